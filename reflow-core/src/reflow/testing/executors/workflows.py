"""Tiers 2 and 3, whole runs: dispatcher, workers and dispatch jobs on the site."""

# ruff: noqa: D102 - the names of tests are sentences.

from __future__ import annotations

import pytest

from reflow.testing.executors.bench import Bench
from reflow.testing.executors.flows import Flows
from reflow.testing.executors.pilots import PilotScenarios
from reflow.testing.executors.shared_jobs import SharedJobScenarios

GETTING_STARTED = """
wf = Workflow("experiment")


@wf.job(time="00:05:00", mem="1G")
def prepare(run_dir: RunDir = RunDir()) -> list[str]:
    did("prepare")
    (run_dir / "prepared").touch()
    return ["a.nc", "b.nc", "c.nc"]


@wf.job(array=True, time="00:20:00", mem="1G")
def convert(item: Annotated[str, Result(step="prepare")]) -> str:
    did(item)
    return item.replace(".nc", ".zarr")


@wf.job()
def publish(paths: Annotated[list[str], Result(step="convert")]) -> str:
    did("publish")
    return f"published {len(paths)} outputs"
"""

FAILING = """
wf = Workflow("failing")


@wf.job()
def kinds() -> list[str]:
    return ["raise", "well", "exit", "kill"]


@wf.job(array=True)
def work(kind: Annotated[str, Result(step="kinds")]) -> str:
    did(kind)
    if not (HERE / "mended").exists():
        if kind == "raise":
            raise ValueError("the tide is out")
        if kind == "exit":
            os._exit(3)
        if kind == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
    return kind


@wf.job()
def gather(words: Annotated[list[str], Result(step="work")]) -> str:
    return " ".join(words)
"""

SMALL = """
wf = Workflow("small")


@wf.job(mem="100M")
def first() -> int:
    did("first")
    return 1


@wf.job(mem="100M")
def second(number: Annotated[int, Result(step="first")]) -> int:
    did("second")
    return number
"""

FEW = """
wf = Workflow("few")


@wf.job()
def one() -> list[int]:
    return [7]


@wf.job(array=True)
def each(number: Annotated[int, Result(step="one")]) -> list[int]:
    did(number)
    return []


@wf.job(array=True)
def none(number: Annotated[int, Result(step="each")]) -> int:
    return number


@wf.job()
def gather(numbers: Annotated[list[int], Result(step="none")]) -> list[int]:
    return numbers
"""

STAYING = """
wf = Workflow("staying")


@wf.job()
def stay() -> str:
    did("began")
    wait_for("go")
    return "went"
"""


class WorkflowConformance(SharedJobScenarios, PilotScenarios):
    """What whole runs must do. The executor must be offered by an installed plugin, by name."""

    def test_the_workflow_of_the_first_page_runs_from_stage_to_stage_by_itself(
        self, bench: Bench, flows: Flows
    ) -> None:
        before = self.places_taken(bench)
        run = flows.submit(GETTING_STARTED)

        flows.until_over(run)

        assert run.state.value == "SUCCESS"
        assert run.result("convert") == ["a.zarr", "b.zarr", "c.zarr"]
        assert run.result("publish") == "published 3 outputs"
        assert set(flows.calls.values()) == {1}
        # Neither a watchdog nor a follow-up must be left to wait for ever.
        bench.until("the queue to be empty", lambda: self.places_taken(bench) <= before)

    def test_every_failure_has_its_cause_and_a_retry_runs_those_elements_alone(
        self, bench: Bench, flows: Flows
    ) -> None:
        run = flows.submit(FAILING)
        flows.until_over(run)
        assert run.state.value == "FAILED"
        causes = flows.causes(run)
        assert causes.keys() == {0, 2, 3}
        assert (causes[0], causes[2]) == ("ERROR", "EXIT_CODE")
        assert causes[3] in ("SIGNAL", "EXIT_CODE")
        assert run.status(as_dict=True)["tasks"]["gather"]["counts"] == {"SKIPPED": 1}

        (flows.folder / "mended").touch()
        run.retry()
        flows.until_over(run)

        assert run.result("gather") == "raise well exit kill"
        assert flows.calls == {"well": 1, "raise": 2, "exit": 2, "kill": 2}

    def test_one_element_is_an_array_too_and_so_is_none(self, flows: Flows) -> None:
        run = flows.submit(FEW)

        flows.until_over(run)

        assert run.state.value == "SUCCESS"
        assert run.result("gather") == []
        assert flows.calls == {"7": 1}

    def test_a_run_that_is_cancelled_ends_and_leaves_nothing_in_the_queue(
        self, bench: Bench, flows: Flows
    ) -> None:
        before = self.places_taken(bench)
        run = flows.submit(STAYING)
        bench.until("the task to run", lambda: flows.calls["began"])

        run.cancel()
        flows.until_over(run)

        assert run.state.value == "CANCELLED"
        bench.until("the queue to be empty", lambda: self.places_taken(bench) <= before)

    def test_a_submission_whose_answer_is_lost_is_not_made_twice(
        self, bench: Bench, flows: Flows
    ) -> None:
        self.needs_scheduler(bench)
        bench.site.lose_next_answer()
        run = flows.submit(STAYING)
        bench.until(
            "the task to run",
            lambda: run.status(as_dict=True) and flows.calls["began"],
        )

        (flows.folder / "go").touch()
        flows.until_over(run)

        assert run.result("stay") == "went"
        assert flows.calls == {"began": 1}

    def test_it_goes_on_by_itself_where_no_watchdog_can(
        self, bench: Bench, flows: Flows, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("REFLOW_DISPATCH_LAST_WORKER", "true")
        self.needs_scheduler(bench)
        self.needs_dispatch_jobs(bench)
        if bench.executor.capabilities.begin_time:
            pytest.skip(f"{bench.executor.name} has watchdogs that go on (capabilities.begin_time)")
        bench.site.lose_next_answer()

        # No status is asked for, which would start a dispatcher.
        run = flows.submit(SMALL)

        bench.until("the end of the run", lambda: run.state.final)
        assert run.state.value == "SUCCESS"
        assert flows.calls == {"first": 1, "second": 1}
