"""What pilots are told of waves, and what they make of it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest
from reflow.execution.pool.open_waves import (
    OpenWaves,
    cancelled,
    closed,
    opened,
    tell,
    tell_begin,
    tell_end,
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "open"


def read(file: Path) -> OpenWaves:
    waves = OpenWaves(file)
    waves.look()
    return waves


def test_nothing_is_open_before_anything_was_told(file: Path) -> None:
    waves = read(file)
    assert list(waves.numbers) == []
    assert not waves.run_has_ended


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ([opened(3)], [3]),
        # In the order in which they were opened, and not of their numbers.
        ([opened(12), opened(3)], [12, 3]),
        ([opened(3), opened(4), closed(3)], [4]),
        ([opened(3), closed(3), opened(3)], [3]),
        ([opened(3), opened(4), closed(3), opened(3)], [4, 3]),
        # A dispatcher that takes over tells once more of what may not have been told.
        ([opened(3), opened(3)], [3]),
        ([closed(3)], []),
    ],
)
def test_what_is_open_is_what_was_opened_and_not_closed_since(
    file: Path, told: Sequence[str], expected: list[int]
) -> None:
    tell(file, 1, told)
    assert list(read(file).numbers) == expected
    # The same, told and read bit by bit.
    file.unlink()
    waves = OpenWaves(file)
    for word in told:
        tell(file, 1, [word])
        waves.look()
    assert list(waves.numbers) == expected


def test_a_wave_that_is_cancelled_is_open_no_longer(file: Path) -> None:
    tell(file, 1, [opened(3), opened(12), cancelled(12)])
    waves = read(file)
    assert list(waves.numbers) == [3]
    assert waves.cancelled == {12}
    assert not waves.run_has_ended


def test_a_pilot_reads_on_from_where_it_was(file: Path) -> None:
    tell(file, 1, [opened(1)])
    waves = read(file)
    waves.numbers.clear()
    tell(file, 1, [opened(2)])
    waves.look()
    assert list(waves.numbers) == [2]


def test_lines_of_a_dispatcher_that_was_overtaken_are_ignored(file: Path) -> None:
    tell(file, 2, [opened(1)])
    tell(file, 1, [opened(7), closed(1)])
    tell_end(file, 1)
    tell(file, 3, [opened(2)])
    tell(file, 2, [closed(2)])
    waves = read(file)
    assert list(waves.numbers) == [1, 2]
    assert not waves.run_has_ended


def test_the_end_of_the_run_is_told_and_a_retry_takes_it_back(file: Path) -> None:
    tell(file, 1, [opened(1), closed(1)])
    tell_end(file, 1)
    before, waves = read(file), read(file)
    assert before.run_has_ended
    tell(file, 2, [opened(4)])
    waves.look()
    assert not waves.run_has_ended
    assert list(waves.numbers) == [4]
    assert not read(file).run_has_ended


def test_a_run_that_goes_on_has_not_ended_before_a_wave_is_opened(file: Path) -> None:
    tell_end(file, 1)
    tell_begin(file, 2)
    tell_end(file, 1)
    assert not read(file).run_has_ended


@pytest.mark.parametrize("torn", ["", "1", "1 ", "1 +", "1 en", "+3", "x +3", "1 ?3", "\xff"])
def test_half_a_line_says_nothing_and_the_next_one_is_whole(file: Path, torn: str) -> None:
    tell(file, 1, [opened(1)])
    with file.open("ab") as half:
        half.write(torn.encode("latin-1"))
    waves = read(file)
    assert list(waves.numbers) == [1]
    tell(file, 1, [opened(2)])
    waves.look()
    assert list(waves.numbers) == list(read(file).numbers) == [1, 2]
    assert not waves.run_has_ended


def test_words_are_told_to_the_end_though_a_write_is_cut_short(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:4]))
    tell(file, 1, [opened(1), opened(20), opened(300)])
    assert list(read(file).numbers) == [1, 20, 300]


def test_a_line_that_is_written_in_two_pieces_is_read_once_it_is_whole(file: Path) -> None:
    waves = OpenWaves(file)
    for piece, expected in ((b"1 +1", []), (b"2\n1 ", [12]), (b"-12\n", [])):
        with file.open("ab") as more:
            more.write(piece)
        waves.look()
        assert list(waves.numbers) == expected


def test_a_line_of_a_later_dispatcher_that_says_nothing_silences_no_earlier_one(
    file: Path,
) -> None:
    tell(file, 1, [opened(1)])
    with file.open("a") as half:
        half.write("9\n")
    tell(file, 1, [opened(2)])
    assert list(read(file).numbers) == [1, 2]
