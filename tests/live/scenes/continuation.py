"""Runs go on, whoever dispatches and whatever dies: on a real scheduler.

What is the same on each; the modules of tests import it, and have a `newcomer` of their own.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from reflow.model.states import RunState
from reflow.rundir.run_settings import read_settings

from tests.live.people import LiveRun, Person, interrupt
from tests.live.scenes.runs import calls

STAGES = """
wf = Workflow("stages")


@wf.job()
def prepare() -> list[str]:
    did("prepare")
    wait_for("begin")
    return list("abc")


@wf.job(array=True)
def each(word: Annotated[str, Result(step="prepare")]) -> str:
    did(word)
    return word


@wf.job()
def gather(words: Annotated[list[str], Result(step="each")]) -> str:
    did("gather")
    return "".join(words)
"""
ONCE = {"prepare": 1, "a": 1, "b": 1, "c": 1, "gather": 1}
FOLLOW_UP, LAST_WORKER, WATCHDOG = "FOLLOW_UP", "LAST_WORKER", "WATCHDOG"


def without(*legs: str) -> dict[str, str]:
    """Settings that take these legs away."""
    return {f"REFLOW_DISPATCH_{leg}": "false" for leg in legs}


@pytest.fixture
def person(newcomer: Person) -> Person:
    newcomer.settings["REFLOW_DISPATCH_GRACE_SECONDS"] = "4"
    return newcomer.write(STAGES)


# -- three legs, each alone ----------------------------------------------------------------------
@pytest.mark.parametrize(
    ("leg", "others"),
    [
        ("follow-up", without(LAST_WORKER, WATCHDOG)),
        ("last worker", without(FOLLOW_UP, WATCHDOG)),
        ("watchdog", without(FOLLOW_UP, LAST_WORKER)),
    ],
    ids=["follow-up", "last-worker", "watchdog"],
)
def test_each_leg_carries_a_run_alone(person: Person, leg: str, others: dict[str, str]) -> None:
    person.settings.update(others)
    person.settings["REFLOW_DISPATCH_WATCHDOG_MINUTES"] = "0.05"
    person.touch("begin")

    run = person.submits()

    run.ends()
    assert person.calls == ONCE
    assert bool(run.native_ids("follow_up")) == (leg == "follow-up")
    assert bool(run.native_ids("watchdog")) == (leg == "watchdog")


def test_three_watchdogs_lie_ahead_while_a_run_lasts(person: Person) -> None:
    run = person.submits()
    run.until(lambda: person.calls["prepare"] == 1, "the first stage")

    run.status()
    run.status()

    assert [job.state for job in run.queue("watchdog")] == 3 * ["PENDING"]
    person.touch("begin")
    run.ends()


def test_a_run_goes_on_after_the_next_watchdog_was_cancelled(person: Person) -> None:
    person.settings.update(without(FOLLOW_UP, LAST_WORKER))
    # The near one comes after 20 s, the next after 40.
    person.settings["REFLOW_DISPATCH_OUTAGE_HOURS"] = str(120 / 3600)
    person.touch("begin")
    run = person.submits()

    person.cancels(min((job.native_id for job in run.queue("watchdog")), key=int))

    run.ends()
    assert person.calls == ONCE


def test_a_run_goes_on_after_its_database_was_away_for_several_watchdogs(person: Person) -> None:
    person.settings.update(without(FOLLOW_UP, LAST_WORKER))
    person.settings["REFLOW_DISPATCH_WATCHDOG_MINUTES"] = "0.2"
    person.touch("begin")
    run = person.submits()
    settings = read_settings(run.run_dir, run.run_id)
    replace(settings, store="sqlite:///proc/nowhere/manifest.db").write()
    mark = settings.layout.watchdog_again(1)
    run.until(mark.exists, "a watchdog that submits itself again")

    settings.write()

    run.ends()
    assert person.calls == ONCE


def test_a_short_branch_goes_on_while_a_long_one_runs(person: Person) -> None:
    person.write("""
    wf = Workflow("diamond")


    @wf.job()
    def top() -> int:
        return 1


    @wf.job()
    def short(x: Annotated[int, Result(step="top")]) -> int:
        return x


    @wf.job()
    def long(x: Annotated[int, Result(step="top")]) -> int:
        did("long begun")
        wait_for("go")
        return x


    @wf.job()
    def after_short(x: Annotated[int, Result(step="short")]) -> int:
        did("short branch done")
        return x


    @wf.job()
    def bottom(x: Annotated[int, Result(step="after_short")],
               y: Annotated[int, Result(step="long")]) -> int:
        return x + y
    """)
    run = person.submits()

    run.until(lambda: person.calls["short branch done"] == 1, "the short branch")

    run.until(lambda: bool(run.running("long")), "the long branch")
    assert run.counts("bottom") in ({}, {"PENDING": 1})
    person.touch("go")
    run.ends()


# -- from the foreground -------------------------------------------------------------------------
def test_follow_carries_a_run_where_jobs_may_not_submit_and_may_be_stopped(
    person: Person, tmp_path: Path, no_submission: str
) -> None:
    refusing = tmp_path / "refusing"
    refusing.mkdir()
    shim = refusing / person.cluster.submit
    shim.write_text(f"#!/bin/sh\necho '{no_submission}' >&2\nexit 1\n")
    shim.chmod(0o755)
    person.configure(f"setup = ['export PATH={refusing}:$PATH']\n")

    first = person.start("submit", "--run-dir", "run", "--follow")
    assert first.stdout is not None
    run = LiveRun(person, first.stdout.readline().strip(), person.folder / "run")
    run.until(lambda: person.calls["prepare"] == 1, "the first stage")
    said = interrupt(first)[1]

    assert first.returncode == 130
    assert f"follow {run.run_id}" in said
    run.until(lambda: bool(run.running("prepare")), "word of the first stage")
    person.touch("begin")
    run.until(lambda: not run.queue("prepare"), "the end of the stage")
    assert not run.state.final
    told = person.types("follow", run.run_id)
    assert run.state is RunState.SUCCESS
    assert "SUCCESS" in told
    assert person.calls == ONCE
    run.leaves_nothing()


def test_a_run_that_nobody_dispatches_says_what_to_type(person: Person) -> None:
    person.settings.update(without(FOLLOW_UP, LAST_WORKER, WATCHDOG))
    run = person.submits()

    said = person.types("status", run.run_id)

    assert f"follow {run.run_id}" in said
    person.touch("begin")
    person.types("follow", run.run_id)
    assert person.calls == ONCE


# -- dispatchers that die --------------------------------------------------------------------------
def hold_back(person: Person) -> None:
    """Make submissions from jobs wait; `person` must not have submitted yet."""
    submit = person.cluster.submit
    shim = person.folder / submit
    shim.write_text(
        "#!/bin/sh\n"
        f"while [ -e '{person.folder}/hold' ]; do\n"
        f'  [ "${person.cluster.in_a_job}$REFLOW_NATIVE_ID" ] || break\n'
        f"  touch '{person.folder}/held'; sleep 0.1\n"
        "done\n"
        f'exec {submit} "$@"\n'
    )
    shim.chmod(0o755)
    person.sets(submit.upper(), shim)
    person.touch("hold")


def go_on(person: Person) -> None:
    """Let the submissions go on."""
    (person.folder / "hold").unlink()


@contextmanager
def held_back(person: Person) -> Iterator[None]:
    """Submissions from jobs wait while this lasts."""
    hold_back(person)
    yield
    go_on(person)


def dispatching(run: LiveRun) -> str:
    """The id of the dispatch job that runs now, once it is held back."""
    run.until((run.person.folder / "held").exists, "a dispatch job")
    # It may be said to be on its way for a moment longer.
    run.until(lambda: len(run.running("dispatch")) == 1, "word of that job")
    return run.running("dispatch")[0].native_id


@pytest.mark.parametrize(("end", "finder"), [("killed", "watchdog"), ("cancelled", "status")])
def test_a_dispatch_job_that_is_ended_from_outside_loses_nothing(
    person: Person, end: str, finder: str
) -> None:
    person.settings.update(without(LAST_WORKER))
    if finder == "watchdog":
        person.settings["REFLOW_DISPATCH_WATCHDOG_MINUTES"] = "0.3"
    person.touch("begin")
    with held_back(person):
        run = person.submits()
        job = dispatching(run)
        if end == "killed":
            run.kills("reflow.runs.dispatch_job", run.run_id)
        else:
            person.cancels(job)
        run.until(lambda: not run.running("dispatch"), "the end of the dispatch job")
    if finder == "status":
        run.status()

    run.ends()
    assert person.calls == ONCE


def test_a_follow_up_cancelled_by_hand_is_found_by_retry_and_status(person: Person) -> None:
    person.settings.update(without(LAST_WORKER))
    run = person.submits()
    run.until(lambda: person.calls["prepare"] == 1, "the first stage")
    for job in (*run.queue("dispatch"), *run.queue("watchdog")):
        person.cancels(job.native_id)
    person.touch("begin")
    run.until(lambda: not run.queue(), "an empty queue")
    assert not run.state.final

    assert "nothing to retry" in run.retries()

    run.ends()
    assert person.calls == ONCE


# -- the scheduler is away -------------------------------------------------------------------------
def test_a_controller_that_is_down_while_dispatching_and_asking_harms_nothing(
    person: Person,
) -> None:
    person.settings.update(without(LAST_WORKER))
    person.settings["REFLOW_DISPATCH_WATCHDOG_MINUTES"] = "0.3"
    person.touch("begin")
    away = ExitStack()
    with held_back(person):
        run = person.submits()
        dispatching(run)
        away.enter_context(person.cluster.without_controller())
    with away:
        said = person.types("status", run.run_id)
        assert not run.state.final, said
        nobody = person.types("submit", "--run-dir", "other", code=2)
        assert "did not answer" in nobody

    run.ends()
    assert person.calls == ONCE


# -- several dispatchers ---------------------------------------------------------------------------
def dispatcher(run: LiveRun) -> subprocess.Popen[bytes]:
    """A dispatcher, started by hand."""
    words = ("-P", "-m", "reflow.runs.dispatch_job", str(run.run_dir), run.run_id)
    return subprocess.Popen(
        [sys.executable, *words],
        cwd=run.person.folder,
        env=run.person.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def test_dispatchers_at_once_submit_everything_once(person: Person) -> None:
    record = person.folder / "calls.jsonl"
    person.sets("COMMAND_RECORD", record)
    person.settings.update(without(FOLLOW_UP, LAST_WORKER, WATCHDOG))
    person.touch("begin")
    run = person.submits()

    for stage in (1, 2, 3):
        run.until(lambda: not run.queue(), f"the end of stage {stage}")
        together = [dispatcher(run) for _ in range(3)]
        assert [each.wait(60) for each in together] == [0, 0, 0]

    run.ends()
    assert calls(record)[person.cluster.submit] == 3
    assert person.calls == ONCE


def test_a_dispatcher_whose_lease_ran_out_writes_nothing_when_it_wakes_up(person: Person) -> None:
    person.settings["REFLOW_DISPATCH_LEASE_SECONDS"] = "3"
    person.settings.update(without(FOLLOW_UP, LAST_WORKER, WATCHDOG))
    person.touch("begin")
    with held_back(person):
        run = person.submits()
        run.until(lambda: not run.queue(), "the end of the first stage")
        person.settings["REFLOW_NATIVE_ID"] = "none"
        sleeper = dispatcher(run)
        run.until((person.folder / "held").exists, "the submission")
        os.killpg(sleeper.pid, signal.SIGSTOP)
        before = time.monotonic()
        del person.settings["REFLOW_NATIVE_ID"]
        successor = dispatcher(run)
        assert successor.wait(60) == 0
        assert time.monotonic() - before >= 3
    os.killpg(sleeper.pid, signal.SIGCONT)
    assert sleeper.wait(60) == 0

    person.types("follow", run.run_id)

    assert run.state is RunState.SUCCESS
    assert person.calls == ONCE
    run.leaves_nothing()
