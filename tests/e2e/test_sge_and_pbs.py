"""Whole workflows through reflow-sge and reflow-pbs, on fakes that really run jobs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from reflow.model.states import RunState
from reflow.testing.fakes import FakeScheduler

from tests.e2e.fixtures import on_fakes
from tests.e2e.support import FlowFile, counts, failed, until
from tests.fakes import fake_of

MakeFlow = Callable[..., FlowFile]

STAGES = """
wf = Workflow("stages")


@wf.job()
def prepare() -> list[str]:
    return ["a", "b", "c"]


@wf.job(array=True)
def each(word: Annotated[str, Result(step="prepare")]) -> str:
    did(word)
    if word == "b" and not Path("{here}/mended").exists():
        raise ValueError(word)
    return word


@wf.job()
def gather(words: Annotated[list[str], Result(step="each")]) -> str:
    return "".join(words)
"""
WAITING = """
wf = Workflow("wait")


@wf.job()
def words() -> list[str]:
    return list("abc")


@wf.job(array=True, array_parallelism=2)
def stay(word: Annotated[str, Result(step="words")]) -> str:
    did(word)
    wait_for("{here}/go")
    return word
"""

SMALL = """
wf = Workflow("small")


@wf.job()
def numbers() -> list[int]:
    return list(range(5))


@wf.job(array=True, queue="small", mem="100M", time="00:01:00")
def each(number: Annotated[int, Result(step="numbers")]) -> int:
    did(str(number))
    return number
"""


cluster = on_fakes("sge", "pbs")


def test_a_run_goes_from_stage_to_stage_by_itself(
    cluster: FakeScheduler, flow_file: MakeFlow
) -> None:
    flow = flow_file(STAGES)
    (flow.folder / "mended").touch()

    run = flow.load().submit(run_dir="run", executor=cluster.name)
    until(lambda: run.state.final)

    assert run.state is RunState.SUCCESS
    assert run.result("gather") == "abc"
    # Neither a watchdog nor a follow-up that waits for ever.
    cluster.wait_until_idle()


def test_an_element_that_failed_is_tried_again_alone(
    cluster: FakeScheduler, flow_file: MakeFlow
) -> None:
    flow = flow_file(STAGES)
    run = flow.load().submit(run_dir="run", executor=cluster.name)
    until(lambda: run.state.final)
    assert failed(run)["each", 1][0] == "ERROR"

    (flow.folder / "mended").touch()
    run.retry()
    until(lambda: run.state.final)

    assert run.result("gather") == "abc"
    assert flow.calls == {"a": 1, "b": 2, "c": 1}
    cluster.wait_until_idle()


def test_a_run_that_is_cancelled_leaves_nothing_in_the_queue(
    cluster: FakeScheduler, flow_file: MakeFlow
) -> None:
    flow = flow_file(WAITING)
    run = flow.load().submit(run_dir="run", executor=cluster.name)
    until(lambda: len(flow.calls) == 2)

    run.cancel()

    until(lambda: run.state.final)
    assert counts(run, "stay") == {"CANCELLED": 3}
    cluster.wait_until_idle()


def test_a_queue_that_takes_few_jobs_is_given_few_at_a_time(
    flow_file: MakeFlow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REFLOW_DISPATCH_GRACE_SECONDS", "2")
    flow = flow_file(SMALL)
    folder = tmp_path / "fake"
    folder.mkdir()
    # Only this queue has a limit: three jobs of one person's.
    with fake_of("pbs", folder) as pbs:
        pbs.activate()
        run = flow.load().submit(run_dir="run", executor="pbs")
        until(lambda: run.state.final)

    assert run.state is RunState.SUCCESS
    assert flow.calls == {str(number): 1 for number in range(5)}


def test_a_watchdog_that_begins_early_by_our_clock_has_a_successor(
    flow_file: MakeFlow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for leg in ("FOLLOW_UP", "LAST_WORKER"):
        monkeypatch.setenv(f"REFLOW_DISPATCH_{leg}", "false")
    flow = flow_file(STAGES)
    (flow.folder / "mended").touch()
    folder = tmp_path / "fake"
    folder.mkdir()
    with fake_of("pbs", folder) as fake:
        fake.activate()
        run = flow.load().submit(run_dir="run", executor="pbs")
        fake.advance(3600)
        until(lambda: run.state.final)

    assert run.state is RunState.SUCCESS


def test_an_element_that_is_started_again_under_its_id_runs_again(
    flow_file: MakeFlow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REFLOW_DISPATCH_GRACE_SECONDS", "2")
    flow = flow_file(WAITING)
    folder = tmp_path / "fake"
    folder.mkdir()
    with fake_of("pbs", folder) as fake:
        fake.activate()
        run = flow.load().submit(run_dir="run", executor="pbs")
        until(lambda: flow.calls["a"])
        fake.requeue(next(job.id for job in fake.jobs() if "stay" in job.name))
        until(lambda: flow.calls["a"] == 2)
        (flow.folder / "go").touch()
        until(lambda: run.state.final)

    assert run.state is RunState.SUCCESS
    assert flow.calls == {"a": 2, "b": 1, "c": 1}
