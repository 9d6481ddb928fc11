"""Elements that share jobs on a real scheduler, whatever befalls an element, a job or a person.

What is the same on each; the modules of tests import it, and have a `newcomer` of their own.
"""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from reflow.model.records import Instance
from reflow.model.states import RunState

from tests.live.clusters import Queued
from tests.live.people import LiveRun, Person
from tests.live.scenes.continuation import FOLLOW_UP, LAST_WORKER, WATCHDOG, without
from tests.live.scenes.mishaps import IMPATIENT

SIZE = 12
WATCHED = {**IMPATIENT, "REFLOW_DISPATCH_WATCHDOG_MINUTES": "1"}
"""Settings under which a run whose follow-up was lost goes on in time for a test."""
ONCE = {str(number): 1 for number in range(SIZE)}


@pytest.fixture
def person(newcomer: Person) -> Person:
    newcomer.settings.update(IMPATIENT)
    return newcomer


def shared(fields: str, body: str = "pass", size: int = SIZE) -> str:
    """Write a flow of elements that share jobs, each of which does something."""
    return f"""
    wf = Workflow("shared")


    @wf.job()
    def numbers() -> list[int]:
        return list(range({size}))


    @wf.job(array=True, at_once=2, {fields})
    def each(number: Annotated[int, Result(step="numbers")]) -> int:
        did(number)
        {body}
        return number


    @wf.job()
    def total(numbers: Annotated[list[int], Result(step="each")]) -> int:
        return sum(numbers)
    """


def elements(run: LiveRun) -> list[Instance]:
    return [item for item in run.person.store.instances(run.run_id) if item.task == "each"]


def waves(run: LiveRun, task: str = "each") -> int:
    """How many waves a task's elements have needed."""
    records = run.person.store.submissions(run.run_id, open_only=False)
    return sum(record.task == task for record in records)


def host(run: LiveRun, number: int) -> Queued:
    """One of the jobs that elements share, once it is in the queue."""
    (job_id,) = {job.job_id for job in run.queue("each-")}
    name = run.person.cluster.element(job_id, number)
    (found,) = (job for job in run.queue("each-") if job.native_id == name)
    return found


def test_elements_that_share_jobs_run_once_each_and_leave_nothing(person: Person) -> None:
    run = person.write(shared('per_job="auto", mem="200M", time="00:02:00"')).submits()

    run.ends()

    assert run.result("total") == sum(range(SIZE))
    assert person.calls == ONCE
    assert any(person.cluster.array_line(SIZE // 2) in path.read_text() for path in run.scripts)
    assert waves(run) == 1


# -- how an element can end --------------------------------------------------------------------
MISHAPS = """
    wf = Workflow("mishaps")


    @wf.job()
    def kinds() -> list[str]:
        return ["well", "exit", "fine", "raise", "good", "kill", "right", "memory", "slow", "best"]


    @wf.job(array=True, per_job=10, at_once=2, mem="400M", time="00:00:08")
    def end(kind: Annotated[str, Result(step="kinds")]) -> str:
        did(kind)
        print("this is", kind, flush=True)
        if (HERE / "mended").exists():
            return kind
        if kind == "exit":
            os._exit(3)
        if kind == "raise":
            raise ValueError("no such station")
        if kind == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if kind == "memory":
            eaten = bytearray(450 * 1024**2)
            time.sleep(6)
        if kind == "slow":
            time.sleep(60)
        return kind


    @wf.job()
    def after(kinds: Annotated[list[str], Result(step="end")]) -> int:
        return len(kinds)
"""


def test_elements_that_end_badly_cost_themselves_alone(person: Person) -> None:
    run = person.write(MISHAPS).submits()
    run.ends(RunState.FAILED)

    assert {place[1]: cause for place, (cause, _) in run.failures().items()} == {
        1: "EXIT_CODE",
        3: "ERROR",
        5: "SIGNAL",
        7: "MEMORY",
        8: "WALLTIME",
    }
    assert run.counts("end") == {"SUCCESS": 5, "FAILED": 5}
    assert "this is exit" in person.types("status", run.run_id, "--errors")
    # All of them in one job, and none of the others lost with them.
    assert waves(run, "end") == 1

    person.touch("mended")
    run.retries()
    run.ends()
    assert run.result("after") == 10


# -- what befalls a job ------------------------------------------------------------------------
GATED = shared('per_job=6, mem="200M", time="00:02:00"', 'wait_for("go")')


def test_a_job_that_is_cancelled_by_hand_takes_with_it_what_it_was_at(
    person: Person, left_by_a_cancelled_host: Mapping[str, int]
) -> None:
    run = person.write(GATED).submits()
    run.until(lambda: len(person.calls) == 4, "two elements in each of two jobs")

    person.cancels(victim := host(run, 0).native_id)
    run.until(lambda: victim not in {job.native_id for job in run.queue()}, "its end")
    person.touch("go")

    run.until(lambda: run.state.final, "the end")
    assert run.counts("each") == left_by_a_cancelled_host
    run.leaves_nothing()
    if run.state is not RunState.SUCCESS:
        run.retries()
        run.ends()
    assert run.result("total") == sum(range(SIZE))


# -- what people do with runs ------------------------------------------------------------------
def test_cancel_ends_shared_jobs_and_retry_runs_all_again(person: Person) -> None:
    run = person.write(GATED).submits()
    run.until(lambda: len(person.calls) == 4, "two elements in each of two jobs")

    person.types("cancel", run.run_id)

    assert run.state is RunState.CANCELLED
    run.leaves_nothing()
    assert run.counts("each") == {"CANCELLED": SIZE}
    person.touch("go")
    run.retries()
    run.ends()
    assert run.counts("each") == {"SUCCESS": SIZE}


BESIDE = """

    @wf.job()
    def beside() -> None:
        did("beside")
        wait_for("go")
"""


def test_cancel_of_a_task_ends_its_shared_jobs(person: Person) -> None:
    run = person.write(GATED + BESIDE).submits()
    run.until(lambda: len(person.calls) == 5, "two elements in each of two jobs, and one beside")

    person.types("cancel", run.run_id, "--task", "each")

    run.until(lambda: not run.queue("each"), "the end of the task's jobs")
    assert run.running("beside")
    person.touch("go")
    run.until(lambda: run.state.final, "the end")
    assert run.counts("beside") == {"SUCCESS": 1}
    assert run.counts("each") == {"CANCELLED": SIZE}
    run.leaves_nothing()


def test_retry_while_shared_jobs_run_submits_what_has_failed(person: Person) -> None:
    body = """if not (HERE / "mended").exists():
            if number == 0:
                raise ValueError("not yet")
        if number == 6:
            wait_for("go")"""
    run = person.write(shared('per_job=6, mem="200M", time="00:02:00"', body)).submits()
    # What an element leaves is taken up when its job is over, or by whoever looks.
    run.until(lambda: bool(run.status()) and run.counts("each").get("FAILED") == 1, "a failure")

    person.touch("mended")
    said = run.retries()

    assert "nothing to retry" not in said
    run.until(lambda: person.calls["0"] == 2, "the second try")
    assert run.running("each")
    person.touch("go")
    run.ends()
    assert person.calls == {**ONCE, "0": 2}


# -- how the run goes on -----------------------------------------------------------------------
@pytest.mark.parametrize(
    "missing", [FOLLOW_UP, LAST_WORKER, WATCHDOG], ids=["follow-up", "last-worker", "watchdog"]
)
def test_shared_jobs_carry_a_run_without_one_of_the_legs(person: Person, missing: str) -> None:
    person.settings.update(without(missing))
    person.settings["REFLOW_DISPATCH_WATCHDOG_MINUTES"] = "0.1"
    run = person.write(shared('per_job=6, mem="200M", time="00:02:00"')).submits()

    run.ends()

    assert person.calls == ONCE
    assert run.result("total") == sum(range(SIZE))


def test_jobs_that_wait_still_when_all_is_done_are_cancelled(person: Person) -> None:
    flow = shared('per_job=2, array_parallelism=2, mem="200M", time="00:02:00"', 'wait_for("go")')
    run = person.write(flow).submits()
    run.until(lambda: len(person.calls) == 2, "the first two elements")
    assert len(run.queue("each-")) == SIZE // 2
    run.until(lambda: len(run.running("each")) == 1, "word of the job")
    person.touch("go")

    run.ends()

    assert person.calls == ONCE


# -- what takes long: the modules of tests begin it first, and it is looked at last --------------
OUT_OF_TIME = shared(
    'per_job="auto", array_parallelism=2, mem="200M", time="00:00:20"', "time.sleep(11)", size=24
)
"""One job of two minutes and a third, and work for more."""


def test_a_job_begins_nothing_that_it_has_no_time_for_and_another_does_the_rest(
    out_of_time: LiveRun,
) -> None:
    out_of_time.ends(seconds=300)

    assert out_of_time.person.calls == {str(number): 1 for number in range(24)}
    assert waves(out_of_time) == 2
    assert {item.retries_used for item in elements(out_of_time)} == {0}
