"""Whole workflows on clusters set up in other ways, and what is said of what is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from reflow.model.states import RunState

from tests.live.conftest import running
from tests.live.people import LiveRun, Person
from tests.live.scenes.continuation import LAST_WORKER, ONCE, STAGES, WATCHDOG, without
from tests.live.scenes.mishaps import MISHAPS, WAIT
from tests.live.slurm_cluster import Options, SlurmCluster, cgroup_is_possible
from tests.live.test_slurm_mishaps import MORE_MEMORY

QUICK = {"REFLOW_DISPATCH_GRACE_SECONDS": "4"}


@pytest.fixture(scope="module")
def forgetful() -> Iterator[SlurmCluster]:
    """A cluster with accounting that forgets finished jobs as soon as it can."""
    with running(Options(nodes=1, min_job_age=5)) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def bare() -> Iterator[SlurmCluster]:
    """A cluster with GPUs, without accounting, that forgets finished jobs as soon as it can."""
    with running(Options(nodes=1, min_job_age=5, accounting=False, gpus=2)) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def confined() -> Iterator[SlurmCluster]:
    """A cluster whose jobs are confined by the kernel."""
    if not cgroup_is_possible():
        pytest.skip("needs the memory controller of cgroup v1")
    with running(Options(nodes=1, cgroup=True, accounting=False)) as cluster:
        yield cluster


def person_on(cluster: SlurmCluster, folder: Path, **settings: str) -> Person:
    return Person(cluster=cluster, folder=folder / "work", settings={**QUICK, **settings})


def forgotten(run: LiveRun, native_id: str) -> bool:
    """Whether slurmctld does not know a job any more."""
    # Of a single unknown job squeue says that it is an error, as of a controller that is busy.
    ask = ("squeue", "--noheader", "--states=all", f"--jobs={native_id},{native_id}1")
    return not run.person.cluster.run(*ask).strip()


# -- what is remembered of jobs ------------------------------------------------------------------
@pytest.fixture(scope="module", autouse=True)
def unwatched(
    forgetful: SlurmCluster, bare: SlurmCluster, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, LiveRun]:
    """Runs that nobody looks at until slurmctld has forgotten their jobs."""
    clusters = {"forgetful": forgetful, "bare": bare}
    return {
        name: killed_unseen(
            person_on(cluster, tmp_path_factory.mktemp(name), **without(LAST_WORKER, WATCHDOG))
        )
        for name, cluster in clusters.items()
    }


def killed_unseen(person: Person) -> LiveRun:
    """A run of which one element was killed and one cancelled, and whose dispatch was too."""
    run = person.write(WAIT).submits()
    run.until(lambda: person.calls == {"a": 1, "b": 1}, "the first elements")
    array = run.running("stay")[0].native_id.partition("_")[0]
    person.cluster.run("scancel", *(job.native_id for job in run.queue("dispatch")), f"{array}_3")
    run.kills("reflow.execution.job_worker", "0")
    run.until(lambda: len(run.running("stay")) == 2 and person.calls["c"] == 1, "the third")
    person.touch("go")
    run.until(lambda: not run.queue(), "an empty queue")
    return run


def test_the_getting_started_flow_needs_no_accounting(bare: SlurmCluster, tmp_path: Path) -> None:
    person = person_on(bare, tmp_path).write(STAGES)
    person.touch("begin")

    run = person.submits()

    run.ends()
    assert person.calls == ONCE


def test_without_accounting_a_cancelled_run_leaves_nothing_and_is_retried(
    bare: SlurmCluster, tmp_path: Path
) -> None:
    person = person_on(bare, tmp_path).write(WAIT)
    run = person.submits()
    run.until(lambda: len(run.running("stay")) == 2, "the first elements")

    person.types("cancel", run.run_id)

    run.leaves_nothing()
    person.touch("go")
    run.retries()
    run.ends()


def test_without_accounting_causes_are_told_while_slurm_remembers(
    bare: SlurmCluster, tmp_path: Path
) -> None:
    person = person_on(bare, tmp_path).write(MISHAPS)
    run = person.submits()
    run.ends(RunState.FAILED)

    causes = {place[1]: cause for place, (cause, _) in run.failures().items()}

    assert causes == {1: "EXIT_CODE", 2: "ERROR", 3: "SIGNAL", 4: "MEMORY"}
    person.touch("mended")
    run.retries()
    run.ends()


def test_a_task_gets_the_gpus_that_it_asks_for(bare: SlurmCluster, tmp_path: Path) -> None:
    person = person_on(bare, tmp_path).write("""
    wf = Workflow("gpus")


    @wf.job(gpus=2)
    def count() -> str:
        return os.environ["SLURM_GPUS_ON_NODE"]
    """)

    run = person.submits()

    run.ends()
    assert run.result("count") == "2"


# -- memory --------------------------------------------------------------------------------------
def test_what_ran_out_of_confined_memory_is_tried_with_twice_as_much(
    confined: SlurmCluster, tmp_path: Path
) -> None:
    person = person_on(confined, tmp_path).write(MORE_MEMORY)

    run = person.submits()

    run.ends()
    assert person.calls == {"1": 2, "250": 2}
    *_, last = sorted(run.scripts, key=lambda path: int(path.parent.name))
    assert "#SBATCH --mem=400M\n" in last.read_text()


# -- what is wrong, in words ---------------------------------------------------------------------
ONE = """
wf = Workflow("one")


@wf.job(FIELDS)
def work() -> int:
    return 1
"""


@pytest.mark.parametrize(
    ("fields", "said", "advice"),
    [
        ('queue="nosuch"', "invalid partition specified: nosuch", "sinfo --summarize"),
        ('account="nosuch"', "Invalid account", "sacctmgr show assoc"),
        ('mem="900G"', "Memory specification can not be satisfied", "sinfo -o"),
    ],
    ids=["partition", "account", "memory"],
)
def test_what_slurm_never_accepts_fails_in_its_own_words(
    forgetful: SlurmCluster, tmp_path: Path, fields: str, said: str, advice: str
) -> None:
    person = person_on(forgetful, tmp_path).write(ONE.replace("FIELDS", fields))

    run = person.submits(code=1)

    run.ends(RunState.FAILED)
    ((cause, error),) = run.failures().values()
    assert cause == "SUBMIT"
    assert said in error
    assert advice in error


def test_a_job_that_can_never_start_is_told_and_fails_after_a_while(
    forgetful: SlurmCluster, tmp_path: Path
) -> None:
    settings = {"REFLOW_DISPATCH_IMPOSSIBLE_MINUTES": "0.03"}
    person = person_on(forgetful, tmp_path, **settings).write(ONE.replace("FIELDS", "cpus=64"))
    run = person.submits()

    run.until(
        lambda: run.status()["tasks"]["work"]["reason"] == "PartitionConfig" or run.state.final,
        "the reason",
    )
    run.until(lambda: bool(run.status()) and run.state.final, "the end")

    ((cause, error),) = run.failures().values()
    assert (cause, "PartitionConfig" in error) == ("SUBMIT", True)
    run.leaves_nothing()


def test_what_is_printed_before_the_worker_begins_is_shown(
    forgetful: SlurmCluster, tmp_path: Path
) -> None:
    person = person_on(forgetful, tmp_path).write(ONE.replace("FIELDS", ""))
    person.configure("setup = ['echo there is no module of that name >&2', 'exit 4']\n")

    run = person.submits()

    run.until(lambda: bool(run.status()) and run.state.final, "the end")
    assert run.state is RunState.FAILED
    assert "there is no module of that name" in person.types("status", run.run_id, "--errors")


def test_a_flow_that_compute_nodes_cannot_import_is_told(
    forgetful: SlurmCluster, tmp_path: Path
) -> None:
    person = person_on(forgetful, tmp_path)
    only_here = tmp_path / "only_here"
    only_here.mkdir()
    (only_here / "helper.py").write_text("VALUE = 1\n")
    person.settings["PYTHONPATH"] = str(only_here)
    person.write("import helper\n" + ONE.replace("FIELDS", "")).configure(
        f"setup = ['mv {only_here}/helper.py {only_here}/gone.py 2>/dev/null']\n"
    )

    run = person.submits()

    run.until(lambda: run.state.final, "the end")
    shown = person.store.failures(run.run_id, limit=1)
    said = person.store.run(run.run_id).message + (shown[0].error if shown else "")
    assert "helper" in said


def test_without_sbatch_it_is_said_that_this_is_no_machine_of_the_cluster(
    forgetful: SlurmCluster, tmp_path: Path
) -> None:
    person = person_on(forgetful, tmp_path).write(ONE.replace("FIELDS", ""))
    empty = tmp_path / "empty"
    empty.mkdir()
    person.settings["PATH"] = str(empty)

    said = person.types("submit", "--executor", "slurm", "--run-dir", "run", code=2)

    assert "cannot be run here" in said
    assert "Is this a machine of the cluster?" in said


# -- what was forgotten, which takes more than a minute --------------------------------------------
@pytest.mark.parametrize("name", ["forgetful", "bare"])
def test_jobs_that_slurm_has_forgotten_end_in_a_true_state(
    unwatched: dict[str, LiveRun], name: str
) -> None:
    run = unwatched[name]
    for native_id in run.native_ids("wave"):
        run.until(partial(forgotten, run, native_id), "forgetting", 150)
    assert not run.state.final

    run.until(lambda: bool(run.status()) and run.state.final, "the end")

    assert run.state is RunState.FAILED
    causes = {place[1]: cause for place, (cause, _) in run.failures().items()}
    # Accounting knows what became of the killed one; of the other there is no trace anywhere.
    assert causes == {0: "SIGNAL" if name == "forgetful" else "LOST", 3: "LOST"}
    run.retries()
    run.ends()
    assert run.person.calls == {"a": 2, "b": 1, "c": 1, "d": 1}
