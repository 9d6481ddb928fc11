"""Elements that end badly on a real Slurm: each ends in a true state, and `retry` completes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from reflow.model.states import RunState

from tests.live.people import LiveRun, Person
from tests.live.slurm_cluster import SlurmCluster

IMPATIENT = {"REFLOW_DISPATCH_GRACE_SECONDS": "4", "REFLOW_DISPATCH_LEASE_SECONDS": "5"}
"""Settings of people who want to know soon."""


@pytest.fixture
def person(newcomer: Person) -> Person:
    newcomer.settings.update(IMPATIENT)
    return newcomer


# -- what takes more than a minute is begun first, and looked at last --------------------------
OVER_TIME = """
wf = Workflow("over_time")


@wf.job(time="00:01:00"WISHES)
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


@pytest.fixture(scope="module", autouse=True)
def over_time(slurm: SlurmCluster, tmp_path_factory: pytest.TempPathFactory) -> dict[str, LiveRun]:
    """Runs over their time limit: with a warning, and without."""
    runs = {}
    for name, wishes in (("warned", ', options={"slurm": {"signal": "TERM@30"}}'), ("plain", "")):
        folder = tmp_path_factory.mktemp(name)
        person = Person(cluster=slurm, folder=folder, settings=dict(IMPATIENT))
        runs[name] = person.write(OVER_TIME.replace("WISHES", wishes)).submits()
    return runs


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
    assert person.deeds == {"well": 1, "exit": 2, "raise": 2, "kill": 2, "memory": 2}


MORE_MEMORY = """
wf = Workflow("more_memory")


@wf.job()
def sizes() -> list[int]:
    return [1, 250, 1]


@wf.job(array=True, mem="200M", retries=2, retry_mem=2.0)
def eat(size: Annotated[int, Result(step="sizes")]) -> int:
    did(size)
    eaten = bytearray(size * 1024**2)
    time.sleep(4)
    return size
"""


def with_more_memory(person: Person) -> None:
    run = person.write(MORE_MEMORY).submits()

    run.ends()

    assert person.deeds == {"1": 2, "250": 2}
    *_, last = sorted(run.scripts, key=lambda path: int(path.parent.name))
    assert "#SBATCH --mem=400M\n" in last.read_text()
    assert "--array" not in last.read_text()


def test_what_ran_out_of_polled_memory_is_tried_with_twice_as_much(person: Person) -> None:
    with_more_memory(person)


def test_an_output_directory_that_is_gone_is_told(person: Person) -> None:
    person.write("""
    wf = Workflow("gone")


    @wf.job()
    def first() -> int:
        return 1
    """)
    person.cluster.run("scontrol", "update", "partition=main", "state=down")
    try:
        run = person.submits()
        (script,) = run.scripts
        away = script.parent.rename(script.parent.with_name("away"))
    finally:
        person.cluster.run("scontrol", "update", "partition=main", "state=up")

    run.until(lambda: not run.queue("first"), "the job's end")
    run.until(lambda: run.status()["run"]["status"] == "FAILED", "somebody to notice")

    ((cause, error),) = run.failures().values()
    assert cause == "SUBMIT"
    assert "is the run directory there?" in error
    away.rename(script.parent)
    run.retries()
    run.ends()


# -- what people do with scancel ---------------------------------------------------------------
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
    run.until(lambda: person.deeds == {"a": 1, "b": 1}, "the first elements")
    array = run.running("stay")[0].native_id.partition("_")[0]

    # The last waits, and leaves no trace at all; the first runs.
    person.cluster.run("scancel", f"{array}_3")
    person.cluster.run("scancel", f"{array}_0")
    run.until(lambda: not person.cluster.run("squeue", "-h", "-j", f"{array}_0"), "its end")
    person.touch("go")

    run.until(lambda: run.state.final, "the end")
    assert run.state is RunState.FAILED
    assert run.counts("stay")["SUCCESS"] == 2
    said = run.failures()
    assert said["stay", 3][0] == "LOST"
    run.leaves_nothing()
    run.retries()
    run.ends()
    assert person.deeds == {"a": 2, "b": 1, "c": 1, "d": 1}


def test_a_whole_array_cancelled_by_hand_is_noticed_and_retried(person: Person) -> None:
    run = person.write(WAIT).submits()
    run.until(lambda: person.deeds == {"a": 1, "b": 1}, "the first elements")
    array = run.running("stay")[0].native_id.partition("_")[0]

    person.cluster.run("scancel", array)

    run.until(lambda: run.state.final, "the end")
    assert run.counts("stay") == {"CANCELLED": 4}
    run.leaves_nothing()
    person.touch("go")
    run.retries()
    run.ends()


# -- nodes that die, and requeues ----------------------------------------------------------------
REQUEUED = """
wf = Workflow("requeued")


@wf.job(WISHES)
def work() -> str:
    did(f"life {os.environ['REFLOW_INCARNATION']}")
    wait_for(f"go-{os.environ['REFLOW_INCARNATION']}")
    did("done")
    return os.environ["REFLOW_INCARNATION"]
"""


def test_an_element_requeued_by_hand_runs_again_and_the_attempt_is_not_counted(
    person: Person,
) -> None:
    run = person.write(REQUEUED.replace("WISHES", "")).submits()
    run.until(lambda: person.deeds["life 0"] == 1, "the first life")
    (job,) = run.running("work")

    person.cluster.run("scontrol", "requeue", job.native_id)
    run.until(lambda: [each.state for each in run.queue("work")] == ["PENDING"], "the queue")
    assert run.status()["tasks"]["work"]["state"] == "SUBMITTED"
    person.cluster.hurry(job.native_id)
    run.until(lambda: person.deeds["life 1"] == 1, "the second life")
    person.touch("go-1")

    run.ends()
    assert run.result("work") == "1"
    assert person.deeds == {"life 0": 1, "life 1": 1, "done": 1}
    (element,) = person.store.instances(run.run_id)
    assert (element.attempt, element.counted) == (1, 0)


@contextmanager
def node_down(person: Person) -> Iterator[None]:
    """The second node is down while this lasts."""
    person.cluster.run("scontrol", "update", "nodename=node02", "state=down", "reason=test")
    yield
    person.cluster.run("scontrol", "update", "nodename=node02", "state=resume", check=False)


def test_an_element_whose_node_died_is_tried_again_without_being_counted(person: Person) -> None:
    wishes = 'options={"slurm": {"no-requeue": True, "nodelist": "node02"}}'
    run = person.write(REQUEUED.replace("WISHES", wishes)).submits()
    run.until(lambda: person.deeds["life 0"] == 1, "the start")

    with node_down(person):
        run.until(lambda: not run.running("work"), "the job's end")
    person.touch("go-0")

    run.until(lambda: bool(run.status()) and run.state.final, "the end")
    run.ends()
    assert person.deeds == {"life 0": 2, "done": 1}
    (element,) = person.store.instances(run.run_id)
    assert (element.attempt, element.counted, element.uncounted) == (2, 0, 1)


def test_an_element_that_slurm_requeues_when_its_node_died_runs_again_as_it_is(
    person: Person,
) -> None:
    wishes = 'options={"slurm": {"nodelist": "node02"}}'
    run = person.write(REQUEUED.replace("WISHES", wishes)).submits()
    run.until(lambda: person.deeds["life 0"] == 1, "the start")
    (job,) = run.running("work")

    with node_down(person):
        run.until(lambda: [each.state for each in run.queue("work")] == ["PENDING"], "the requeue")
        assert run.status()["tasks"]["work"]["state"] == "SUBMITTED"
    person.touch("go-1")
    person.cluster.hurry(job.native_id)

    run.ends()
    assert person.deeds == {"life 0": 1, "life 1": 1, "done": 1}
    (element,) = person.store.instances(run.run_id)
    assert (element.attempt, element.counted, element.uncounted) == (1, 0, 0)


# -- a submission whose answer is lost -----------------------------------------------------------
def test_a_job_whose_submission_was_answered_to_nobody_is_found_and_not_submitted_twice(
    person: Person, tmp_path: Path
) -> None:
    shim = tmp_path / "sbatch"
    lost = tmp_path / "lost"
    # The first wave is accepted, and the answer gets lost with the whole machine.
    shim.write_text(
        "#!/bin/sh\n"
        f'case "$*" in */waves/*) if [ ! -e {lost} ]; then touch {lost}; '
        'sbatch "$@" >/dev/null; exec sleep 60; fi;; esac\n'
        'exec sbatch "$@"\n'
    )
    shim.chmod(0o755)
    person.settings["REFLOW_EXECUTOR_SLURM_SBATCH"] = str(shim)
    person.settings["REFLOW_EXECUTOR_SLURM_TIMEOUT"] = "4"
    person.settings["REFLOW_DISPATCH_WATCHDOG_MINUTES"] = "0.1"
    person.touch("go")

    run = person.write(WAIT).submits()

    run.until(lambda: person.store.run(run.run_id).state.final, "the end")
    assert run.state is RunState.SUCCESS
    assert person.deeds == {"a": 1, "b": 1, "c": 1, "d": 1}
    assert lost.exists()
    records = person.store.submissions(run.run_id, open_only=False)
    (token,) = [record.token for record in records if record.task == "words"]
    names = person.cluster.run("squeue", "-h", "-t", "all", "-o", "%j", "--name", token)
    assert names.split() == [token]
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

    assert person.deeds == {"a'b": 1, "$(rm)": 1}


# -- what took long --------------------------------------------------------------------------------
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
