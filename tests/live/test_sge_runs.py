"""Whole workflows on a real Grid Engine: submitted, cancelled, killed, tried again."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path
from typing import cast

import pytest
from reflow.model.states import RunState
from reflow_sge.answers import queue_rows

from tests.docs.pages import REPOSITORY, blocks
from tests.live.people import LiveRun, Person, Queued
from tests.live.sge_cluster import SGECluster, running
from tests.live.slurm_cluster import SlurmCluster


class SGERun(LiveRun):
    """A run on Grid Engine."""

    def queue(self, word: str = "") -> list[Queued]:
        """The jobs in the queue, which are all this run's."""
        shown = self.person.cluster.run("qstat", "-u", "*", "-g", "d", "-xml", check=False)
        jobs = [
            Queued(f"{row.job_id}.{run.start}" if row.indices else row.job_id, row.name, state, "")
            for row in queue_rows(shown)
            for run in row.indices or (range(1),)
            if (state := row.state)
        ]
        return [job for job in jobs if job.name.startswith(word)]

    def running(self, task: str) -> list[Queued]:
        """The jobs of a task that run."""
        return [job for job in self.queue(f"{task}-") if job.state == "r"]


class Someone(Person):
    """Somebody at a login node of Grid Engine."""

    def submits(
        self, *words: str, run_dir: str | Path = "run", name: str = "flow.py", code: int = 0
    ) -> SGERun:
        """Submit the flow."""
        run = super().submits(*words, run_dir=run_dir, name=name, code=code)
        return SGERun(self, run.run_id, run.run_dir)


@pytest.fixture(scope="module")
def cell() -> Iterator[SGECluster]:
    with running() as cell:
        yield cell


@pytest.fixture
def someone(cell: SGECluster, tmp_path: Path) -> Iterator[Someone]:
    names = {entry.dist.name for entry in entry_points(group="reflow") if entry.dist is not None}
    others = sorted(names - {"reflow-core", "reflow-sge"})
    yield Someone(
        # What people do with a cluster is the same for each.
        cluster=cast("SlurmCluster", cell),
        folder=tmp_path / "work",
        settings={"REFLOW_DISABLE_PLUGINS": ",".join(others)},
    )
    cell.end_all_jobs()


def test_the_getting_started_flow_is_submitted_and_succeeds(someone: Someone) -> None:
    page = blocks(REPOSITORY / "docs" / "getting-started.md")
    (flow,) = (block for block in page if block.title == "flow.py")
    (someone.folder / "flow.py").write_text(flow.text)

    run = someone.submits("--start", "2025-01-01")

    run.ends()
    assert (run.run_dir / "report.txt").read_text().split("\n")[0] == "2025-01-01 plus 0"
    assert all(script.read_text().count("#$ -N") == 1 for script in run.scripts)


SUBMITTED_BY_NAME = """
from flow import wf

if __name__ == "__main__":
    print(wf.submit(run_dir="run", executor="sge").run_id)
"""
FLOW = """
wf = Workflow("words")


@wf.job()
def words() -> list[str]:
    return list("abcd")


@wf.job(array=True, time="00:05:00", cpus=2)
def each(word: Annotated[str, Result(step="words")]) -> str:
    did(word)
    if word in os.environ.get("BAD", "b") and not (HERE / "mended").exists():
        raise ValueError(f"no such word: {word}")
    return word.upper()


@wf.job()
def join(words: Annotated[list[str], Result(step="each")]) -> str:
    return "".join(words)
"""


def test_a_run_is_submitted_by_the_executors_name(someone: Someone) -> None:
    someone.touch("mended")
    someone.write(FLOW)
    (someone.folder / "go.py").write_text(SUBMITTED_BY_NAME)

    run_id = someone.types(name="go.py").split()[0]

    run = SGERun(someone, run_id, someone.folder / "run")
    run.ends()
    assert run.result("join") == "ABCD"
    assert someone.deeds == {"a": 1, "b": 1, "c": 1, "d": 1}


def test_an_element_that_fails_is_told_and_only_it_is_tried_again(someone: Someone) -> None:
    run = someone.write(FLOW).submits()

    run.ends(RunState.FAILED)
    assert run.counts("each") == {"SUCCESS": 3, "FAILED": 1}
    cause, error = run.failures()["each", 1]
    assert (cause, "no such word: b" in error) == ("ERROR", True)

    someone.touch("mended")
    run.retries()

    run.ends()
    assert run.result("join") == "ABCD"
    assert someone.deeds == {"a": 1, "b": 2, "c": 1, "d": 1}


LONG = """
wf = Workflow("long")


@wf.job(array=True, time="TIME")
def each(number: Annotated[int, Result(step="numbers")]) -> int:
    if not (HERE / "go").exists():
        did(f"begun {number}")
        time.sleep(300)
    return number


@wf.job()
def numbers() -> list[int]:
    return [1, 2]


@wf.job()
def total(numbers: Annotated[list[int], Result(step="each")]) -> int:
    return sum(numbers)
"""


def both_run(run: LiveRun) -> None:
    run.until(lambda: len(run.person.deeds) == 2, "both elements")
    # Grid Engine calls them transferred a moment longer.
    run.until(lambda: len(run.running("each")) == 2, "both jobs")


def test_a_run_that_is_cancelled_leaves_nothing_in_the_queue(someone: Someone) -> None:
    run = someone.write(LONG.replace("TIME", "00:10:00")).submits()
    both_run(run)

    someone.types("cancel", run.run_id)

    run.ends(RunState.CANCELLED)


def test_a_job_killed_from_outside_fails_its_element_and_can_be_tried_again(
    someone: Someone, cell: SGECluster
) -> None:
    run = someone.write(LONG.replace("TIME", "00:10:00")).submits()
    both_run(run)

    # The whole array: what waits for it starts nevertheless.
    for native_id in {job.native_id.partition(".")[0] for job in run.running("each")}:
        cell.run("qdel", native_id)

    run.ends(RunState.FAILED)
    assert {cause for cause, _ in run.failures().values()} == {"SIGNAL"}
    someone.touch("go")
    run.retries()
    run.ends()
    assert run.result("total") == 3


def test_an_element_over_its_time_is_told(someone: Someone) -> None:
    run = someone.write(LONG.replace("TIME", "00:00:08")).submits()

    run.ends(RunState.FAILED)

    assert {cause for cause, _ in run.failures().values()} == {"WALLTIME"}


def test_a_run_goes_on_after_qmaster_was_away(someone: Someone, cell: SGECluster) -> None:
    someone.touch("mended")
    run = someone.write(FLOW).submits()
    cell.daemons.kill("qmaster")
    cell.start_qmaster()

    run.ends(seconds=200)

    assert run.result("join") == "ABCD"
