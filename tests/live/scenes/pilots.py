"""Runs in pilots on a real scheduler, whatever befalls a pilot.

What is the same on each; the modules of tests import it, and have a `newcomer` of their own.
"""

from __future__ import annotations

import pytest
from reflow.execution.pool.pilot_files import PilotFile, pilot_files
from reflow.model.records import Instance

from tests.live.people import LiveRun, Person
from tests.live.scenes.mishaps import IMPATIENT

SIZE = 8
TWO = ("--pilots", "2", "--pilot-cpus", "2", "--pilot-mem", "800M", "--pilot-time", "00:05:00")
ONCE = {word: 1 for x in range(SIZE) for word in (f"first-{x}", f"second-{10 * x}")}
TOTAL = sum(10 * x + 1 for x in range(SIZE))


@pytest.fixture
def person(newcomer: Person) -> Person:
    newcomer.settings.update(IMPATIENT)
    return newcomer


def chain(body: str = "pass", size: int = SIZE) -> str:
    """Write a flow of two arrays, of which the elements of the first do something."""
    return f"""
    wf = Workflow("piloted")


    @wf.job()
    def numbers() -> list[int]:
        return list(range({size}))


    @wf.job(array=True)
    def first(x: Annotated[int, Result(step="numbers")]) -> int:
        did(f"first-{{x}}")
        {body}
        return 10 * x


    @wf.job(array=True)
    def second(y: Annotated[int, Result(step="first")]) -> int:
        did(f"second-{{y}}")
        return y + 1


    @wf.job()
    def total(ys: Annotated[list[int], Result(step="second")]) -> int:
        return sum(ys)
    """


GATED = chain('wait_for("go")')


def begun(run: LiveRun) -> list[PilotFile]:
    """The files of the run's pilots, in the order in which they began."""
    folder = run.run_dir / ".reflow" / run.run_id / "hosts"
    return sorted(pilot_files(folder), key=lambda file: file.begun_at)


def submissions(run: LiveRun) -> int:
    """How often pilots were submitted."""
    records = run.person.store.submissions(run.run_id, open_only=False)
    return sum(record.kind.name == "PILOTS" for record in records)


def elements(run: LiveRun) -> list[Instance]:
    return [item for item in run.person.store.instances(run.run_id) if item.task == "first"]


def at_work(run: LiveRun, number: int) -> None:
    """Wait until so many elements have begun."""
    run.until(lambda: sum(run.person.calls.values()) == number, f"{number} elements in pilots")


def test_all_stages_of_a_run_share_its_pilots_and_leave_nothing(person: Person) -> None:
    run = person.write(chain()).submits(*TWO)

    run.ends()

    assert run.result("total") == TOTAL
    assert person.calls == ONCE
    assert submissions(run) == 1
    assert not run.native_ids("wave")


# -- what takes long: the modules of tests begin it first, and it is looked at last --------------
OUT_OF_TIME = chain("time.sleep(28)", size=12)
THREE_MINUTES = (
    "--pilots",
    "1",
    "--pilot-cpus",
    "2",
    "--pilot-mem",
    "800M",
    "--pilot-time",
    "00:03:00",
)
"""A pilot that begins nothing in its last half minute, and work for more."""


def test_pilots_that_have_no_time_left_are_replaced(out_of_time: LiveRun) -> None:
    run = out_of_time
    run.ends(seconds=600)

    assert run.result("total") == sum(10 * x + 1 for x in range(12))
    assert submissions(run) > 1
    # Half a minute before its end a pilot interrupts the two that it is at.
    assert sum(run.person.calls.values()) <= 2 * 12 + 2 * (submissions(run) - 1)
    assert {item.retries_used for item in elements(run)} == {0}
