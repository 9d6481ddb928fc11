"""Scenarios of elements that share jobs, where a job, an element or the run is ended."""

# ruff: noqa: D102 - the names of tests are sentences.

from __future__ import annotations

from typing import Any

from reflow.testing.executors.bench import Bench
from reflow.testing.executors.flows import Flows, WithFlows

SHARING = """
wf = Workflow("sharing")


@wf.job()
def items() -> list[int]:
    return list(range(8))


@wf.job(array=True, per_job=4, at_once=2)
def each(x: Annotated[int, Result(step="items")]) -> int:
    did(f"each-{x}")
    did(f"job-{os.getppid()}")
    work(x)
    return x * 10


@wf.job()
def total(xs: Annotated[list[int], Result(step="each")]) -> int:
    return sum(xs)


"""

ONE_KILLS_ITSELF = """
def work(x):
    if x == 5 and not (HERE / "mended").exists():
        os.kill(os.getpid(), signal.SIGKILL)
"""

ONE_KILLS_THE_JOB = """
def work(x):
    begun, killed = HERE / f"begun-{x}", HERE / "killed"
    if x > 3:
        wait_for("killed")
    elif x < 2 and not begun.exists():
        job = os.getppid()
        begun.touch()
        if x == 1:
            wait_for("begun-0")
            killed.touch()
            os.kill(job, signal.SIGKILL)
        while os.getppid() == job:
            time.sleep(0.05)
        os._exit(1)
"""

ALL_STAY = """
def work(x):
    wait_for("go")
"""


class SharedJobScenarios(WithFlows):
    """What holds of elements that share jobs on every scheduler."""

    def counts(self, run: Any) -> dict[str, int]:
        """Count the elements of the array by their state."""
        counts: dict[str, int] = run.status(as_dict=True)["tasks"]["each"]["counts"]
        return counts

    def test_elements_share_jobs_and_one_that_kills_its_process_costs_itself(
        self, flows: Flows
    ) -> None:
        run = flows.submit(SHARING + ONE_KILLS_ITSELF)
        flows.until_over(run)

        assert flows.causes(run) == {5: "SIGNAL"}
        assert self.counts(run) == {"SUCCESS": 7, "FAILED": 1}
        assert len([word for word in flows.calls if word.startswith("job-")]) <= 2

        # What a worker had done in the moment before it died may have begun twice.
        before = flows.calls

        (flows.folder / "mended").touch()
        run.retry()
        flows.until_over(run)

        assert run.result("total") == sum(range(8)) * 10
        begun = {word for word in flows.calls - before if word.startswith("each-")}
        assert begun == {"each-5"}

    def test_a_shared_job_that_is_killed_costs_none_of_its_elements(self, flows: Flows) -> None:
        run = flows.submit(SHARING + ONE_KILLS_THE_JOB)

        flows.until_over(run)

        assert flows.causes(run) == {}
        assert run.result("total") == sum(range(8)) * 10
        # Only those that the job was at, of which each may have ended it, have begun twice.
        assert [flows.calls[f"each-{x}"] for x in range(8)] == [2, 2, 1, 1, 1, 1, 1, 1]

    def test_a_run_that_is_cancelled_ends_its_shared_jobs(self, bench: Bench, flows: Flows) -> None:
        before = self.places_taken(bench)
        run = flows.submit(SHARING + ALL_STAY)
        bench.until(
            "the jobs to be at two elements each",
            lambda: len([word for word in flows.calls if word.startswith("each-")]) == 4,
        )

        run.cancel()
        flows.until_over(run)

        assert run.state.value == "CANCELLED"
        assert self.counts(run) == {"CANCELLED": 8}
        bench.until("the queue to be empty", lambda: self.places_taken(bench) <= before)
