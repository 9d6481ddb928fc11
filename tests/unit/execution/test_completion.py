"""Who is told that the last result of a wave has been written."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from reflow.execution.completion import count_result, prepare_counters
from reflow.rundir.layout import WaveLayout


@pytest.fixture
def layout(tmp_path: Path) -> WaveLayout:
    (tmp_path / "0" / "counters").mkdir(parents=True)
    return WaveLayout(tmp_path / "0")


@pytest.mark.parametrize("size", [1, 2, 1000, 2001])
def test_of_all_that_count_one_is_the_last_whatever_their_order(
    layout: WaveLayout, size: int
) -> None:
    prepare_counters(layout, size)
    positions = random.Random(size).sample(range(size), size)

    with ThreadPoolExecutor(16) as pool:
        told = list(pool.map(lambda position: count_result(layout, position, size), positions))

    assert told.count(True) == 1


def test_nobody_is_the_last_before_all_have_counted(layout: WaveLayout) -> None:
    prepare_counters(layout, 3)
    assert not count_result(layout, 0, 3)
    assert not count_result(layout, 2, 3)
    assert not count_result(layout, 2, 3), "a copy counts once"
    assert count_result(layout, 1, 3)
    assert not count_result(layout, 1, 3), "nor does a copy tell once more"


def test_nobody_is_the_last_where_the_folder_is_gone(layout: WaveLayout) -> None:
    assert not count_result(layout, 0, 1)


def test_positions_of_a_large_wave_do_not_count_in_one_folder(layout: WaveLayout) -> None:
    prepare_counters(layout, 3000)
    for position in range(0, 3000, 100):
        count_result(layout, position, 3000)

    folders = [folder for folder in layout.counters.iterdir() if folder.is_dir()]
    assert [len(list(folder.iterdir())) for folder in folders] == [11, 11, 11]
