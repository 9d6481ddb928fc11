"""What is recorded of files, and what a worker makes of what it sees of them."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from reflow.errors import StoredValueError
from reflow.execution.witness import Change, Witness, note_of
from reflow.fingerprint.files.contents import OwnMemory
from reflow.fingerprint.files.look import MANY
from reflow.fingerprint.files.look_progress import LookProgress
from reflow.fingerprint.files.states import State
from reflow.model.outcomes import HeldFile
from reflow.model.tasks import ParameterInput, ResultInput, TaskSpec
from reflow.rundir.file_states import Recorded, places_in
from reflow.rundir.looks import RunLooks
from reflow.rundir.run_settings import RunSettings

Make = Callable[..., RunSettings]


@pytest.fixture
def settings(tmp_path: Path) -> Make:
    def make(**files: float) -> RunSettings:
        return RunSettings(
            run_id="r",
            workflow="w",
            run_dir=tmp_path / "run",
            store=f"sqlite://{tmp_path}/manifest.db",
            executor="pool",
            python="python",
            working_directory=tmp_path,
            flow=None,
            parameters={},
            home=str(tmp_path),
            config_data={"files": files},
        )

    return make


def file(path: Path, text: str, time: int) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    os.utime(path, ns=(time, time))
    return str(path)


# -- what is recorded ------------------------------------------------------------------------------
def test_what_was_recorded_comes_back(settings: Make, tmp_path: Path) -> None:
    looks = RunLooks(settings())
    one = looks.state(file(tmp_path / "a", "1", 10), "stat")
    other = looks.state(str(tmp_path / "missing"), "stat")
    for recorded in (
        Recorded((one, other)),
        Recorded((one,), (other,), str(tmp_path)),
        Recorded((), (other,)),
        Recorded((), (), None, (other,)),
        Recorded(held=(HeldFile("/a", 5), HeldFile("/b", 5, 2 * 10**18))),
    ):
        assert Recorded.parse(recorded.text()) == recorded
    assert Recorded().text() is None
    assert Recorded.parse(None) == Recorded()


@pytest.mark.parametrize("text", ["[]", "1", "nonsense", '{"value":[1]}', '{"value":{}}'])
def test_what_is_no_record_is_an_error(text: str) -> None:
    with pytest.raises(StoredValueError):
        Recorded.parse(text)


def test_relative_paths_start_where_the_run_was_submitted(tmp_path: Path) -> None:
    assert places_in(["a/b", "/c", "."], tmp_path) == [f"{tmp_path}/a/b", "/c", str(tmp_path)]


# -- looks of a dispatcher -------------------------------------------------------------------------
def test_a_place_is_looked_at_once_until_something_near_it_was_written(
    settings: Make, tmp_path: Path
) -> None:
    inner = file(tmp_path / "d" / "e" / "f", "1", 10)
    beside = file(tmp_path / "d2", "1", 10)
    places = [str(tmp_path / "d"), str(tmp_path / "d" / "e"), inner, beside]
    for written in places[:3]:
        looks = RunLooks(settings())
        file(Path(inner), "1", 10)
        before = {place: looks.state(place, "stat") for place in places}
        file(Path(inner), "1", 20)
        file(Path(beside), "1", 20)
        assert {place: looks.state(place, "stat") for place in places} == before
        looks.note_changes([written])
        changed = [place for place in places if not looks.is_still(before[place])]
        assert changed == places[:3]
        file(Path(beside), "1", 10)


def test_a_file_of_values_is_looked_at_again_only_where_it_was_too_short(
    settings: Make, tmp_path: Path
) -> None:
    path = file(tmp_path / "a.values", "12345", 10)
    looks = RunLooks(settings())
    assert looks.holds(HeldFile(path, 5))
    file(tmp_path / "a.values", "1", 10)
    assert looks.holds(HeldFile(path, 4))
    assert not looks.holds(HeldFile(path, 6))
    file(tmp_path / "a.values", "123456", 10)
    assert looks.holds(HeldFile(path, 6))


def test_a_file_of_values_that_was_written_to_since_is_told(settings: Make, tmp_path: Path) -> None:
    path = file(tmp_path / "a.npy", "12345", 10)
    looks = RunLooks(settings())
    for written, told in ((10, False), (11, True), (0, False)):
        held = HeldFile(path, 5, written)
        assert looks.holds(held)
        assert looks.was_written_to(held) is told


def test_modes_are_looked_at_each_by_itself(settings: Make, tmp_path: Path) -> None:
    path = file(tmp_path / "a", "1", 10)
    looks = RunLooks(settings())
    exists, stat = looks.state(path, "exists"), looks.state(path, "stat")
    file(tmp_path / "a", "2", 20)
    looks.forget()
    assert looks.is_still(exists)
    assert not looks.is_still(stat)


# -- what a worker sees ----------------------------------------------------------------------------
def states(settings: RunSettings, *places: str) -> tuple[State, ...]:
    looks = RunLooks(settings)
    return tuple(looks.state(place, "stat") for place in places)


def test_files_that_stay_as_they_were_are_no_change(settings: Make, tmp_path: Path) -> None:
    run = settings(latency=5)
    expected = states(run, file(tmp_path / "d" / "a", "1", 10), str(tmp_path / "d"))
    witness = Witness(run, OwnMemory())
    witness.before({"x": expected})
    (tmp_path / "d" / "lock").touch()
    (tmp_path / "d" / "lock").unlink()
    assert list(witness.changes()) == []


def test_a_file_that_changes_meanwhile_is_told_from_one_that_had_changed(
    settings: Make, tmp_path: Path
) -> None:
    run = settings(latency=5)
    expected = states(run, file(tmp_path / "a", "1", 10), file(tmp_path / "b", "1", 10))
    witness = Witness(run, OwnMemory())
    # Newer than expected: nothing is waited for.
    file(tmp_path / "a", "2", 20)
    witness.before({"x": expected})
    file(tmp_path / "b", "2", 20)
    assert [(change.now.place[-1], change.during) for change in witness.changes()] == [
        ("a", False),
        ("b", True),
    ]


def test_a_file_that_is_late_is_waited_for(settings: Make, tmp_path: Path) -> None:
    run = settings(latency=60)
    expected = states(run, file(tmp_path / "a", "1", 10))
    (tmp_path / "a").rename(tmp_path / "hidden")
    late = threading.Timer(0.2, (tmp_path / "hidden").rename, [tmp_path / "a"])
    late.start()
    witness = Witness(run, OwnMemory())
    witness.before({"x": expected})
    assert (tmp_path / "a").exists()
    assert list(witness.changes()) == []
    late.join()


def test_a_tree_of_many_entries_is_looked_at_afterwards(settings: Make, tmp_path: Path) -> None:
    run = settings(latency=60)
    for number in range(MANY + 1):
        (tmp_path / "tree" / str(number)).parent.mkdir(exist_ok=True)
        (tmp_path / "tree" / str(number)).touch()
    (expected,) = states(run, str(tmp_path / "tree"))
    witness = Witness(run, OwnMemory())
    (tmp_path / "tree" / "0").unlink()
    witness.before({"x": (expected,)})  # and waits for nothing
    (change,) = witness.changes()
    assert change.during
    assert "1 entry fewer" in change.now.difference(change.before)


def test_a_file_that_comes_while_the_task_runs_is_not_the_tasks_doing(
    settings: Make, tmp_path: Path
) -> None:
    run = settings(latency=0)
    expected = states(run, file(tmp_path / "a", "1", 10))
    (tmp_path / "a").rename(tmp_path / "hidden")
    witness = Witness(run, OwnMemory())
    witness.before({"x": expected})
    (tmp_path / "hidden").rename(tmp_path / "a")
    (change,) = witness.changes()
    assert not change.during


# -- what the user is told -------------------------------------------------------------------------
def change(argument: str, during: bool) -> Change:
    before = State("/d/a", "stat", "file", size=1, newest=10)
    return Change(argument, before, State("/d/a", "stat", "file", size=3, newest=10), during)


SPEC = TaskSpec(
    name="add",
    function=len,
    inputs=(
        ResultInput(argument="wired", annotation=Path, steps=("base", "other")),
        ParameterInput(argument="given", annotation=Path),
    ),
)


@pytest.mark.parametrize(
    ("argument", "during", "words"),
    [
        (
            "wired",
            True,
            ["'add' changes wired", "'base' and 'other' returned", "2 bytes more", "/d/a",
             "wired: Annotated[Path, Result(steps=['base', 'other'], output=True)]"],
        ),
        ("given", True, ["'add' changes given", "given: Annotated[Path, Param(output=True)]"]),
        ("wired", False, ["wired of 'add' was not as 'base' and 'other' had left it"]),
        ("given", False, ["given of 'add' was not as it was when the run was submitted"]),
    ],
)  # fmt: skip
def test_a_note_names_the_argument_and_what_to_write(
    argument: str, during: bool, words: list[str]
) -> None:
    note = note_of(SPEC, change(argument, during))
    assert note.task == "add"
    assert [word for word in words if word not in note.text] == []
    assert note.key != note_of(SPEC, change(argument, not during)).key


def test_a_look_that_takes_long_says_at_how_much(capsys: pytest.CaptureFixture[str]) -> None:
    quick = LookProgress()
    quick(1_000_000)
    assert capsys.readouterr().err == ""
    slow = LookProgress(silent=0, every=0)
    for entries in (700, 1_500, 20):
        slow(entries)
    assert "1,500 so far" in capsys.readouterr().err.splitlines()[1]
    slow(30)
    assert "1,530 so far (Ctrl-C is safe)" in capsys.readouterr().err
