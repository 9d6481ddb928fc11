"""More elements than Grid Engine takes at once, and accounting as late as sites have it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from reflow.model.states import RunState

from tests.live.people import Person
from tests.live.scenes.waves import MANY, looks_at_the_queue, rejected
from tests.live.sge_cluster import Options, SGECluster, running

LARGEST, MOST = 12, 6


@pytest.fixture(scope="module")
def cluster() -> Iterator[SGECluster]:
    """A cell that takes arrays of 12 elements, and 6 jobs of a user at once."""
    narrow = Options(slots=24, max_aj_tasks=LARGEST, max_u_jobs=MOST, flush_time="0:0:15")
    with running(narrow) as cell:
        yield cell


def test_more_elements_than_an_array_holds_go_in_waves_that_the_limits_allow(
    newcomer: Person, tmp_path: Path
) -> None:
    record = tmp_path / "calls.jsonl"
    newcomer.sets("COMMAND_RECORD", record)
    run = newcomer.write(MANY).submits("--count", "40")

    looks = looks_at_the_queue(run)

    run.ends()
    assert run.result("total") == sum(range(40))
    # An array is one job to Grid Engine.
    assert max(len({job.job_id for job in look}) for look in looks) <= MOST
    assert max(map(len, looks)) > LARGEST
    # Where there is one place left, an array has it, and goes without a follow-up.
    assert [words for words in rejected(newcomer, record) if "-hold_jid" not in words] == []
    assert len(run.native_ids("wave")) >= 2 + 40 // LARGEST


def test_a_full_queue_is_waited_for(newcomer: Person, cluster: SGECluster) -> None:
    newcomer.settings["REFLOW_DISPATCH_WATCHDOG_MINUTES"] = "0.1"
    hold = ("qsub", "-terse", "-h", "-b", "y", "-o", "/dev/null", "-j", "y", "true")
    others = [cluster.run(*hold).strip() for _ in range(MOST)]
    try:
        run = newcomer.write(MANY).submits("--count", "3")
        said = run.status()
        assert said["run"]["status"] == "RUNNING"
        assert run.counts("prepare") == {"PENDING": 1}
        assert f"only {MOST} jobs are allowed" in newcomer.types("status", run.run_id)
    finally:
        cluster.run("qdel", *others)

    run.until(lambda: bool(run.status()) and run.state.final, "the end")
    run.ends()


KILLED = """
wf = Workflow("killed")


@wf.job(array=True)
def each(number: Annotated[int, Result(step="numbers")]) -> int:
    if number == 1 and not (HERE / "mended").exists():
        os.kill(os.getpid(), signal.SIGKILL)
    return number


@wf.job()
def numbers() -> list[int]:
    return [0, 1, 2]
"""


def test_the_cause_of_an_end_is_waited_for_until_accounting_has_it(newcomer: Person) -> None:
    run = newcomer.write(KILLED).submits()

    run.ends(RunState.FAILED)

    ((place, (cause, _)),) = run.failures().items()
    assert (place, cause) == (("each", 1), "SIGNAL")
    newcomer.touch("mended")
    run.retries()
    run.ends()
