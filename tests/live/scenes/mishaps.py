"""Elements that end badly on a real scheduler: each ends in a true state, and `retry` completes.

What is the same on each; the modules of tests import it, and have a `newcomer` of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from reflow.model.states import RunState

from tests.live.people import LiveRun, Person

IMPATIENT = {"REFLOW_DISPATCH_GRACE_SECONDS": "4", "REFLOW_DISPATCH_LEASE_SECONDS": "5"}
"""Settings of people who want to know soon."""


@pytest.fixture
def person(newcomer: Person) -> Person:
    newcomer.settings.update(IMPATIENT)
    return newcomer


# -- how an element can end --------------------------------------------------------------------
MISHAPS = """
wf = Workflow("mishaps")


@wf.job()
def kinds() -> list[str]:
    return ["well", "exit", "raise", "kill", "memory"]


@wf.job(array=True, mem="150M")
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
        eaten = bytearray(600 * 1024**2)
        time.sleep(20)
    return kind


@wf.job()
def after(kinds: Annotated[list[str], Result(step="end")]) -> int:
    return len(kinds)
"""


def test_exits_exceptions_signals_and_memory_are_told_apart_and_retried(person: Person) -> None:
    run = person.write(MISHAPS).submits()
    run.ends(RunState.FAILED)

    said = run.failures()

    assert {place[1]: cause for place, (cause, _) in said.items()} == {
        1: "EXIT_CODE",
        2: "ERROR",
        3: "SIGNAL",
        4: "MEMORY",
    }
    assert "status 3" in said["end", 1][1]
    assert said["end", 2][1] == "ValueError: no such station"
    assert "SIGKILL" in said["end", 3][1]
    shown = person.types("status", run.run_id, "--errors")
    assert "this is exit" in shown
    assert 'raise ValueError("no such station")' in shown
    assert run.counts("after") == {"SKIPPED": 1}

    person.touch("mended")
    run.retries()
    run.ends()
    assert person.calls == {"well": 1, "exit": 2, "raise": 2, "kill": 2, "memory": 2}


def test_an_output_directory_that_is_gone_is_told(person: Person) -> None:
    person.write("""
    wf = Workflow("gone")


    @wf.job()
    def first() -> int:
        return 1
    """)
    with person.cluster.closed():
        run = person.submits()
        (script,) = run.scripts
        away = script.parent.rename(script.parent.with_name("away"))

    run.until(lambda: run.status()["run"]["status"] == "FAILED", "somebody to notice")

    ((cause, error),) = run.failures().values()
    assert cause == "SUBMIT"
    assert "is the run directory there?" in error
    away.rename(script.parent)
    run.retries()
    run.ends()


# -- what people do with the scheduler's own commands ------------------------------------------
WAIT = """
wf = Workflow("wait")


@wf.job()
def words() -> list[str]:
    return list("abcd")


@wf.job(array=True, array_parallelism=2)
def stay(word: Annotated[str, Result(step="words")]) -> str:
    did(word)
    wait_for("go")
    return word


@wf.job()
def after(words: Annotated[list[str], Result(step="stay")]) -> str:
    return "".join(words)
"""


def test_elements_cancelled_by_hand_are_noticed_and_retried(person: Person) -> None:
    run = person.write(WAIT).submits()
    run.until(lambda: person.calls == {"a": 1, "b": 1}, "the first elements")
    first, last = (person.cluster.element(run.queue("stay")[0].job_id, at) for at in (0, 3))

    # The last waits, and leaves no trace at all; the first runs.
    person.cancels(last)
    person.cancels(first)
    run.until(lambda: first not in {job.native_id for job in run.queue()}, "its end")
    person.touch("go")

    run.until(lambda: run.state.final, "the end")
    assert run.state is RunState.FAILED
    assert run.counts("stay")["SUCCESS"] == 2
    said = run.failures()
    assert said["stay", 3][0] == "LOST"
    run.leaves_nothing()
    run.retries()
    run.ends()
    assert person.calls == {"a": 2, "b": 1, "c": 1, "d": 1}


def test_a_whole_array_cancelled_by_hand_is_noticed_and_retried(
    person: Person, whole_array_cancelled: dict[str, int]
) -> None:
    run = person.write(WAIT).submits()
    run.until(lambda: person.calls == {"a": 1, "b": 1}, "the first elements")
    person.cancels(run.queue("stay")[0].job_id)

    run.until(lambda: run.state.final, "the end")
    assert run.counts("stay") == whole_array_cancelled
    run.leaves_nothing()
    person.touch("go")
    run.retries()
    run.ends()


# -- a submission whose answer is lost -----------------------------------------------------------
def test_a_job_whose_submission_was_answered_to_nobody_is_found_and_not_submitted_twice(
    person: Person, tmp_path: Path, jobs_of: Callable[[str], Sequence[str]]
) -> None:
    submit = person.cluster.submit
    shim = tmp_path / submit
    lost = tmp_path / "lost"
    # The first wave is accepted, and the answer gets lost with the whole machine.
    shim.write_text(
        "#!/bin/sh\n"
        f'case "$*" in */waves/*) if [ ! -e {lost} ]; then touch {lost}; '
        f'{submit} "$@" >/dev/null; exec sleep 60; fi;; esac\n'
        f'exec {submit} "$@"\n'
    )
    shim.chmod(0o755)
    person.sets(submit.upper(), shim)
    person.sets("TIMEOUT", 4)
    person.settings["REFLOW_DISPATCH_WATCHDOG_MINUTES"] = "0.1"
    person.touch("go")

    run = person.write(WAIT).submits()

    run.until(lambda: person.store.run(run.run_id).state.final, "the end")
    assert run.state is RunState.SUCCESS
    assert person.calls == {"a": 1, "b": 1, "c": 1, "d": 1}
    assert lost.exists()
    records = person.store.submissions(run.run_id, open_only=False)
    (token,) = [record.token for record in records if record.task == "words"]
    assert len(jobs_of(token)) == 1
    run.leaves_nothing()


# -- names ---------------------------------------------------------------------------------------
@pytest.mark.parametrize("folder", ["a b 'c' \"d\" %j%A $HOME", "Übung;(1)&#[x]*"])
def test_a_run_directory_may_have_any_name(person: Person, folder: str) -> None:
    flow = """
    wf = Workflow("über $HOME %j 'it'")


    @wf.job(array=True, name="tâche \\"%a\\" $(x)")
    def each(word: Annotated[str, Result(step="words of 'it'")]) -> str:
        did(word)
        return word


    @wf.job(name="words of 'it'")
    def words() -> list[str]:
        return ["a'b", "$(rm)"]
    """
    run = person.write(flow, name="flow of 'mine'.py").submits(
        run_dir=folder, name="flow of 'mine'.py"
    )

    run.ends()

    assert person.calls == {"a'b": 1, "$(rm)": 1}


# -- jobs that run again: with one scheduler it is the same job, with another not quite ----------
REQUEUED = """
wf = Workflow("requeued")


@wf.job(FIELDS)
def work() -> str:
    life = os.environ["REFLOW_INCARNATION"].partition("-")[0]
    did(f"life {life}")
    wait_for(f"go-{life}")
    did("done")
    return life
"""


# -- what takes long: the modules of tests begin it first, and it is looked at last --------------
OVER_TIME = """
wf = Workflow("over_time")


@wf.job(FIELDS)
def slow() -> str:
    for step in range(3000):
        if (HERE / "mended").exists():
            return "done"
        try:
            time.sleep(0.1)
        except TaskInterrupted:
            (HERE / "saved").write_text(str(step))
            raise
    return "never"
"""


def test_a_function_that_is_warned_of_the_time_limit_can_save_its_state(
    over_time: dict[str, LiveRun],
) -> None:
    run = over_time["warned"]
    run.ends(RunState.FAILED, seconds=150)

    assert int((run.person.folder / "saved").read_text()) > 0
    ((_, error),) = run.failures().values()
    assert "SIGTERM" in error
    run.person.touch("mended")
    run.retries()
    run.ends()


def test_an_element_over_its_time_ends_with_that_cause(over_time: dict[str, LiveRun]) -> None:
    run = over_time["plain"]
    run.ends(RunState.FAILED, seconds=150)

    ((cause, _),) = run.failures().values()
    assert cause == "WALLTIME"
    run.person.touch("mended")
    run.retries()
    run.ends()
