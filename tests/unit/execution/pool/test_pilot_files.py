"""The files by which pilots tell that they live, and which of them have ended without a word."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest
from reflow.execution.pool import pilot_files as pilot_files_module
from reflow.execution.pool.pilot_files import (
    SILENT_AFTER,
    WATCHED,
    last_sign,
    mark_left,
    pilot_files,
    silent_pilots,
)
from reflow.permissions import touch
from reflow.rundir.claims import Claim
from reflow.rundir.packs import new_slots_file, other_slots_files


def pilot(
    folder: Path, job: str = "70", incarnation: str = "0", submission: int = 3, element: int = 0
) -> Path:
    me = Claim(native_id=job, incarnation=incarnation, host="node", pid=1, element=element)
    file = new_slots_file(folder, me, submission, element)
    touch(file)
    return file


def silent_for(file: Path, seconds: float) -> Path:
    then = file.stat().st_mtime - seconds
    os.utime(file, (then, then))
    return file


def test_a_pilots_file_names_its_job_its_life_and_how_it_was_asked_for(tmp_path: Path) -> None:
    path = pilot(tmp_path, "70_2", "1", submission=5, element=2)
    (file,) = pilot_files(tmp_path)
    assert (file.path, file.job, file.incarnation) == (path, "70_2", "1")
    assert (file.submission, file.element, file.has_left) == (5, 2, False)
    assert file.begun_at == int(path.name.split(".")[2])


def test_ids_with_dots_and_slashes_stay_one_word(tmp_path: Path) -> None:
    pilot(tmp_path, "12.pbs/1", "a.b")
    (file,) = pilot_files(tmp_path)
    assert (file.job, file.incarnation) == ("12_pbs_1", "a_b")


def test_a_pilot_that_has_ended_in_order_says_so_beside_its_file(tmp_path: Path) -> None:
    first, second = pilot(tmp_path, "70"), pilot(tmp_path, "71")
    mark_left(first)
    assert {file.path: file.has_left for file in pilot_files(tmp_path)} == {
        first: True,
        second: False,
    }


def test_files_of_others_are_none_of_pilots(tmp_path: Path) -> None:
    touch(new_slots_file(tmp_path, Claim(native_id="7", incarnation="0", host="n", pid=1)))
    touch(tmp_path / "note.slots")
    touch(tmp_path / "note")
    assert list(pilot_files(tmp_path)) == []


def test_where_no_pilot_has_begun_there_are_no_files(tmp_path: Path) -> None:
    assert list(pilot_files(tmp_path / "hosts")) == []


@pytest.mark.parametrize(
    ("seconds", "silent"), [(0.0, False), (SILENT_AFTER - 5, False), (SILENT_AFTER + 5, True)]
)
def test_a_pilot_is_silent_that_has_not_touched_its_file_for_long(
    tmp_path: Path, seconds: float, silent: bool
) -> None:
    own, other = pilot(tmp_path, "70"), silent_for(pilot(tmp_path, "71"), seconds)
    assert silent_pilots(tmp_path, own) == ({other} if silent else set())


@pytest.mark.parametrize("dead", [[], [5], [0], [15], [3, 4, 5, 6, 7], [14, 15, 0, 1]])
def test_each_pilot_watches_few_and_each_that_falls_silent_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dead: list[int]
) -> None:
    files = sorted(pilot(tmp_path, f"70_{job}", element=job) for job in range(16))
    for job in dead:
        silent_for(files[job], 10 * SILENT_AFTER)
    asked: list[Path] = []

    def look(file: Path) -> float:
        asked.append(file)
        return last_sign(file)

    monkeypatch.setattr(pilot_files_module, "last_sign", look)
    seen = Counter[Path]()
    for own in (file for job, file in enumerate(files) if job not in dead):
        asked.clear()
        seen.update(silent_pilots(tmp_path, own))
        assert len(asked) <= 1 + WATCHED + len(dead)
    assert seen == {files[job]: WATCHED for job in dead}


def test_one_that_has_left_is_not_silent(tmp_path: Path) -> None:
    own, other = pilot(tmp_path, "70"), silent_for(pilot(tmp_path, "71"), 10 * SILENT_AFTER)
    mark_left(other)
    assert silent_pilots(tmp_path, own) == set()


def test_what_counts_is_the_file_servers_clock_and_not_the_own_one(tmp_path: Path) -> None:
    own, other = pilot(tmp_path, "70"), pilot(tmp_path, "71")
    for file in (own, other):
        silent_for(file, 1e6)
    assert silent_pilots(tmp_path, own) == set()
    assert last_sign(own) < tmp_path.stat().st_mtime - 9e5


def test_earlier_lives_of_a_job_are_found_and_other_jobs_are_not(tmp_path: Path) -> None:
    earlier, other = pilot(tmp_path, "70", "0"), pilot(tmp_path, "701", "0")
    own = pilot(tmp_path, "70", "1")
    me = Claim(native_id="70", incarnation="1", host="node", pid=1)
    assert other_slots_files(tmp_path, me, own) == [earlier]
    assert other not in other_slots_files(tmp_path, me, own)
