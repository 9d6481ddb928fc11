"""More elements than the scheduler takes at once, on a real Slurm with narrow limits."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live.conftest import running
from tests.live.people import Person
from tests.live.scenes.waves import MANY, looks_at_the_queue, rejected
from tests.live.slurm_cluster import Options, SlurmCluster

LARGEST, MOST = 100, 300


@pytest.fixture(scope="module")
def narrow() -> Iterator[SlurmCluster]:
    """A cluster that takes arrays of 100 elements, and 300 jobs of a user at once."""
    with running(Options(max_array=LARGEST + 1, cpus=4)) as cluster:
        cluster.limit_submitted_jobs(MOST)
        yield cluster


@pytest.mark.timeout(600)
def test_a_thousand_elements_go_in_waves_that_the_limits_allow(
    narrow: SlurmCluster, tmp_path: Path
) -> None:
    record = tmp_path / "calls.jsonl"
    person = Person(
        cluster=narrow,
        folder=tmp_path / "work",
        settings={"REFLOW_EXECUTOR_SLURM_COMMAND_RECORD": str(record)},
    )
    run = person.write(MANY).submits("--count", "1000")

    most = max(map(len, looks_at_the_queue(run, 550)))

    run.ends()
    assert run.result("total") == sum(range(1000))
    assert LARGEST < most <= MOST
    assert rejected(person, record) == []
    assert len(run.native_ids("wave")) >= 2 + 1000 // LARGEST


def test_the_persons_own_limit_is_kept_where_it_is_lower(
    narrow: SlurmCluster, tmp_path: Path
) -> None:
    person = Person(
        cluster=narrow,
        folder=tmp_path / "work",
        settings={"REFLOW_MAX_SUBMIT_JOBS": "10"},
    )
    run = person.write(MANY).submits("--count", "20")

    most = max(map(len, looks_at_the_queue(run)))

    run.ends()
    assert 3 < most <= 10


def test_a_full_queue_is_waited_for(narrow: SlurmCluster, tmp_path: Path) -> None:
    person = Person(
        cluster=narrow,
        folder=tmp_path / "work",
        settings={"REFLOW_DISPATCH_WATCHDOG_MINUTES": "0.1"},
    )
    hold = ("sbatch", "--parsable", f"--array=1-{LARGEST}", "--hold", "--output=/dev/null")
    others = [narrow.run(*hold, "--wrap=true").strip() for _ in range(MOST // LARGEST)]
    try:
        run = person.write(MANY).submits("--count", "3")
        said = run.status()
        assert said["run"]["status"] == "RUNNING"
        assert run.counts("prepare") == {"PENDING": 1}
    finally:
        narrow.run("scancel", *others)

    run.until(lambda: bool(run.status()) and run.state.final, "the end")
    run.ends()
