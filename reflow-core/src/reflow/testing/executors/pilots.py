"""Scenarios of runs in pilots, where a pilot, an element or the run is ended."""

# ruff: noqa: D102 - the names of tests are sentences.

from __future__ import annotations

from typing import Any

import pytest

from reflow.dispatch.modes import mode_of
from reflow.model.pilots import Pilots
from reflow.testing.executors.bench import Bench
from reflow.testing.executors.flows import Flows, WithFlows

PILOTED = """
wf = Workflow("piloted")


@wf.job()
def items() -> list[int]:
    return list(range(8))


@wf.job(array=True)
def each(x: Annotated[int, Result(step="items")]) -> int:
    did(f"each-{x}")
    did(f"pilot-{os.getppid()}")
    work(x)
    return x * 10


@wf.job(array=True)
def next(y: Annotated[int, Result(step="each")]) -> int:
    did(f"pilot-{os.getppid()}")
    return y + 1


@wf.job()
def total(ys: Annotated[list[int], Result(step="next")]) -> int:
    return sum(ys)


"""
TOTAL = sum(x * 10 + 1 for x in range(8))

ONE_KILLS_ITSELF = """
def work(x):
    if x == 5 and not (HERE / "mended").exists():
        os.kill(os.getpid(), signal.SIGKILL)
"""

ONE_KILLS_THE_PILOT = """
def work(x):
    begun = HERE / f"begun-{x}"
    if x < 2 and not begun.exists():
        pilot = os.getppid()
        begun.touch()
        if x == 1:
            wait_for("begun-0")
            os.kill(pilot, signal.SIGKILL)
        while os.getppid() == pilot:
            time.sleep(0.05)
        os._exit(1)
"""

ALL_STAY = """
def work(x):
    wait_for("go")
"""


class PilotScenarios(WithFlows):
    """What holds of runs in pilots on every scheduler."""

    # Not for the tests of other classes that a suite is made of, too.
    @pytest.fixture
    def pilots_dispatch(self, flows: Flows, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let the pilot that finishes a wave open the next one."""
        if why := mode_of(flows.executor).why_no_pilots:
            pytest.skip(why)
        monkeypatch.setenv("REFLOW_DISPATCH_LAST_WORKER", "true")

    def submit_with_pilots(self, flows: Flows, work: str, jobs: int) -> Any:
        """Submit the flow, whose elements do some work, with so many pilots."""
        return flows.submit(PILOTED + work, pilots=Pilots(jobs=jobs, cpus=2, time="00:10:00"))

    def pilots(self, flows: Flows) -> int:
        """Count the pilots that have run elements."""
        return len([word for word in flows.calls if word.startswith("pilot-")])

    def states(self, run: Any) -> dict[str, int]:
        """Count the elements of the first array by their state."""
        counts: dict[str, int] = run.status(as_dict=True)["tasks"]["each"]["counts"]
        return counts

    @pytest.mark.usefixtures("pilots_dispatch")
    def test_all_stages_run_in_the_pilots_and_one_element_that_kills_its_process_costs_itself(
        self, bench: Bench, flows: Flows
    ) -> None:
        before = self.places_taken(bench)
        run = self.submit_with_pilots(flows, ONE_KILLS_ITSELF, 2)
        flows.until_over(run)

        assert flows.causes(run) == {5: "SIGNAL"}
        assert self.states(run) == {"SUCCESS": 7, "FAILED": 1}
        assert self.pilots(flows) <= 2
        bench.until("the queue to be empty", lambda: self.places_taken(bench) <= before)

        (flows.folder / "mended").touch()
        run.retry()
        flows.until_over(run)
        assert run.result("total") == TOTAL
        bench.until("the queue to be empty", lambda: self.places_taken(bench) <= before)

    @pytest.mark.usefixtures("pilots_dispatch")
    def test_the_only_pilot_is_killed_and_another_goes_on(self, bench: Bench, flows: Flows) -> None:
        before = self.places_taken(bench)
        run = self.submit_with_pilots(flows, ONE_KILLS_THE_PILOT, 1)

        flows.until_over(run)

        # Of the two that it was at, each may have ended it, and ran once more alone.
        assert flows.causes(run) == {}
        assert run.result("total") == TOTAL
        assert [flows.calls[f"each-{x}"] for x in range(8)] == [2, 2, 1, 1, 1, 1, 1, 1]
        bench.until("the queue to be empty", lambda: self.places_taken(bench) <= before)

    @pytest.mark.usefixtures("pilots_dispatch")
    def test_a_run_that_is_cancelled_ends_its_pilots(self, bench: Bench, flows: Flows) -> None:
        before = self.places_taken(bench)
        run = self.submit_with_pilots(flows, ALL_STAY, 2)
        bench.until(
            "the pilots to be at two elements each",
            lambda: len([word for word in flows.calls if word.startswith("each-")]) == 4,
        )

        run.cancel()
        flows.until_over(run)

        assert run.state.value == "CANCELLED"
        assert self.states(run) == {"CANCELLED": 8}
        bench.until("the queue to be empty", lambda: self.places_taken(bench) <= before)
