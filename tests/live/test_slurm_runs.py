"""Whole workflows on a real Slurm: submitted, watched, changed, ended."""

from __future__ import annotations

import json
import shutil
import sys
from collections import Counter
from pathlib import Path

from reflow.model.states import RunState

from tests.docs.pages import REPOSITORY, blocks
from tests.live.people import Person


def test_the_getting_started_flow_is_submitted_and_succeeds(
    newcomer: Person,
) -> None:
    page = blocks(REPOSITORY / "docs" / "getting-started.md")
    (flow,) = (block for block in page if block.title == "flow.py")
    (newcomer.folder / "flow.py").write_text(flow.text)

    run = newcomer.submits("--start", "2025-01-01")

    run.ends()
    assert (run.run_dir / "report.txt").read_text().split("\n")[0] == "2025-01-01 plus 0"


def test_the_weather_example_is_submitted_and_succeeds(newcomer: Person) -> None:
    example = REPOSITORY / "docs" / "examples" / "weather"
    shutil.copytree(example, newcomer.folder, dirs_exist_ok=True)

    run = newcomer.submits("--last-month", "3")

    run.ends()
    assert len((run.run_dir / "temperatures.csv").read_text().splitlines()) == 1 + 2 * 3


# -- what reaches a job ----------------------------------------------------------------------
WISHES = """
wf = Workflow("wishes")


@wf.job(
    cpus=2, mem="300M", time="00:07:00", nodes=2, queue="main", account="tests",
    options={"slurm": {"comment": "as asked", "nice": 5}},
)
def look() -> dict[str, str | None]:
    found = {name: os.environ.get(name) for name in ("MINE", "GREETING", "XDG_STATE_HOME", "HOME")}
    did("looked")
    wait_for("go")
    return {**found, "here": os.getcwd(), "python": sys.executable}


@wf.job(array=True, array_parallelism=2, mem="100M")
def each(word: Annotated[str, Result(step="words")]) -> str:
    return word


@wf.job()
def words() -> list[str]:
    return list("abcd")
"""


def test_what_a_task_asks_for_and_nothing_of_the_shell_reaches_its_job(newcomer: Person) -> None:
    newcomer.settings["MINE"] = "secret"
    newcomer.configure(
        """
        setup = ['export GREETING="set up by the site"']
        """
    )
    run = newcomer.write(WISHES).submits()
    # The person moves on: another default store, other settings. The run keeps its own.
    (newcomer.home / "config" / "reflow" / "config.toml").write_text("setup = ['exit 9']\n")
    run.until(lambda: newcomer.deeds["looked"] == 1, "the start")

    (job,) = run.running("look")
    shown = newcomer.cluster.run("scontrol", "--oneliner", "show", "job", job.native_id)
    for part in (
        "NumNodes=2",
        "CPUs/Task=2",
        "MinMemoryNode=300M",
        "TimeLimit=00:07:00",
        "Partition=main",
        "Account=tests",
        "Comment=as asked",
        "Nice=5",
    ):
        assert part in shown
    newcomer.touch("go")
    run.ends()
    (array,) = (text for text in map(Path.read_text, run.scripts) if "--array" in text)
    assert "#SBATCH --array=0-3%2\n" in array
    said = run.result("look")
    assert said["MINE"] is None
    assert said["GREETING"] == "set up by the site"
    assert said["XDG_STATE_HOME"] is None
    assert said["HOME"] != str(newcomer.home)
    assert (said["here"], said["python"]) == (str(newcomer.folder), sys.executable)


def test_the_environment_is_exported_where_the_configuration_says_so(newcomer: Person) -> None:
    newcomer.settings["MINE"] = "shared"
    newcomer.configure("[executor.slurm]\nexport_environment = true\n")
    run = newcomer.write(WISHES).submits()
    newcomer.touch("go")

    run.ends()

    assert run.result("look")["MINE"] == "shared"


# -- scripts ---------------------------------------------------------------------------------
LETTERS = """
wf = Workflow("letters")


@wf.job()
def words() -> list[str]:
    return list("ab")


@wf.job(array=True)
def shout(word: Annotated[str, Result(step="words")]) -> str:
    print("shouting", word)
    did(word)
    if word == "b" and not (HERE / "mended").exists():
        raise ValueError("not b")
    return word.upper()


@wf.job()
def sentence(words: Annotated[list[str], Result(step="shout")]) -> str:
    return " ".join(words)
"""


def test_a_kept_script_can_be_submitted_by_hand(newcomer: Person) -> None:
    run = newcomer.write(LETTERS).submits()
    run.ends(RunState.FAILED)
    newcomer.touch("mended")
    script = next(path for path in run.scripts if "--array" in path.read_text())

    native_id = newcomer.cluster.run("sbatch", "--parsable", str(script)).strip()

    log = script.parent / "scheduler.log"
    another = "position 1 is being run by another job"
    run.until(lambda: another in log.read_text(), "what was submitted by hand")
    assert native_id.isdigit()
    # What had succeeded is not run again, and what another job has run is another's.
    assert newcomer.deeds == {"a": 1, "b": 1}


def test_a_dry_run_shows_the_scripts_of_what_is_known_so_far(newcomer: Person) -> None:
    said = newcomer.write(LETTERS).types("submit", "--dry-run", "--run-dir", "run")

    assert "#SBATCH --export=NONE" in said
    assert "reflow.engine.worker" in said
    assert newcomer.cluster.run("squeue", "--noheader").strip() == ""
    assert not (newcomer.folder / "run").exists()


def test_a_site_overrides_a_block_of_the_template(newcomer: Person) -> None:
    newcomer.configure("")
    folder = newcomer.home / "config" / "reflow" / "templates"
    folder.mkdir()
    (folder / "slurm.sh.j2").write_text(
        '{% extends "packaged/slurm.sh.j2" %}\n'
        "{% block setup %}\n{{ super() }}echo the site was here\n{% endblock %}\n"
    )
    newcomer.touch("mended")

    run = newcomer.write(LETTERS).submits()

    run.ends()
    assert {"the site was here" in path.read_text() for path in run.scripts} == {True}
    # Those that jobs submit, too: they have another home, and no configuration of the person's.
    logs = [(path.parent / "scheduler.log").read_text() for path in run.scripts]
    assert all(log.startswith("the site was here\n") for log in logs)


# -- cancel and retry ------------------------------------------------------------------------
LONG = """
wf = Workflow("long")


@wf.job()
def words() -> list[str]:
    return [str(number) for number in range(6)]


@wf.job(array=True, array_parallelism=2)
def wait(word: Annotated[str, Result(step="words")]) -> str:
    did(word)
    wait_for("go")
    return word


@wf.job()
def beside() -> None:
    did("beside")
    wait_for("go")


@wf.job()
def sentence(words: Annotated[list[str], Result(step="wait")]) -> str:
    return " ".join(words)
"""


def test_cancel_ends_what_waits_and_what_runs_and_leaves_nothing_in_the_queue(
    newcomer: Person,
) -> None:
    run = newcomer.write(LONG).submits()
    run.until(lambda: len(run.running("wait")) == 2, "the first elements")
    assert run.queue("dispatch")
    assert run.queue("watchdog")

    newcomer.types("cancel", run.run_id)

    assert run.state is RunState.CANCELLED
    run.leaves_nothing()
    assert run.counts("wait") == {"CANCELLED": 6}
    newcomer.touch("go")
    run.retries()
    run.ends()
    assert run.counts("wait") == {"SUCCESS": 6}


def test_cancel_of_a_task_leaves_the_others_alone(newcomer: Person) -> None:
    run = newcomer.write(LONG).submits()
    run.until(lambda: len(run.running("wait")) == 2, "the first elements")
    run.until(lambda: bool(run.running("beside")), "the task beside it")

    newcomer.types("cancel", run.run_id, "--task", "wait")

    run.until(lambda: not run.queue("wait"), "the end of the task's jobs")
    assert run.running("beside")
    newcomer.touch("go")
    run.until(lambda: run.state.final, "the end")
    assert run.counts("beside") == {"SUCCESS": 1}
    assert run.counts("wait") == {"CANCELLED": 6}
    run.leaves_nothing()


SOME_FAIL = """
wf = Workflow("some_fail")


@wf.job()
def words() -> list[int]:
    return list(range(9))


def odd(number: int, task: str) -> int:
    did(f"{task} {number}")
    if number % 4 == 3 and not (HERE / f"mended-{task}").exists():
        raise ValueError(f"{number} is one of those")
    return number


@wf.job(array=True)
def first(number: Annotated[int, Result(step="words")]) -> int:
    return odd(number, "first")


@wf.job(array=True)
def second(number: Annotated[int, Result(step="words")]) -> int:
    return odd(number, "second")


@wf.job()
def total(a: Annotated[list[int], Result(step="first")],
          b: Annotated[list[int], Result(step="second")]) -> int:
    return sum(a) + sum(b)
"""


def test_retry_submits_what_failed_and_only_that_as_a_dense_array(newcomer: Person) -> None:
    run = newcomer.write(SOME_FAIL).submits()
    run.ends(RunState.FAILED)
    assert run.counts("first") == {"SUCCESS": 7, "FAILED": 2}
    assert run.counts("total") == {"SKIPPED": 1}
    before = len(run.scripts)

    newcomer.touch("mended-first")
    run.retries("--task", "first")
    run.ends(RunState.FAILED)

    (again,) = sorted(run.scripts, key=lambda path: int(path.parent.name))[before:]
    assert "#SBATCH --array=0-1\n" in again.read_text()
    assert run.counts("first") == {"SUCCESS": 9}
    assert run.counts("second") == {"SUCCESS": 7, "FAILED": 2}
    assert newcomer.deeds["first 3"] == 2
    assert newcomer.deeds["first 4"] == newcomer.deeds["second 3"] == 1

    newcomer.touch("mended-second")
    run.retries()
    run.ends()
    assert sum(newcomer.deeds.values()) == 18 + 4


# -- how often Slurm is asked ----------------------------------------------------------------
def calls(record: Path) -> Counter[str]:
    """Scheduler commands by name, whichever process of the run called them."""
    lines = record.read_text().splitlines() if record.exists() else []
    return Counter(json.loads(line)["argv"][0] for line in lines)


MANY = """
wf = Workflow("many")


@wf.job()
def prepare(count: int) -> list[int]:
    return list(range(count))


@wf.job(array=True)
def first(number: Annotated[int, Result(step="prepare")]) -> int:
    return number


@wf.job(array=True)
def second(number: Annotated[int, Result(step="first")]) -> int:
    return number


@wf.job()
def gather(numbers: Annotated[list[int], Result(step="second")]) -> int:
    return len(numbers)
"""


def test_calls_of_the_scheduler_do_not_depend_on_the_number_of_elements(newcomer: Person) -> None:
    counted = []
    newcomer.write(MANY)
    # Without the follow-ups there is one dispatcher for each stage, and no race to be seen.
    newcomer.settings["REFLOW_DISPATCH_FOLLOW_UP"] = "false"
    for count in (3, 40):
        record = newcomer.folder / f"{count}.jsonl"
        newcomer.settings["REFLOW_EXECUTOR_SLURM_COMMAND_RECORD"] = str(record)
        run = newcomer.submits("--count", str(count), "--force", run_dir=f"run-{count}")
        run.ends()
        counted.append(calls(record))

    few, many = counted
    assert few["sbatch"] == many["sbatch"] == 4 + 1
    assert few["scancel"] == many["scancel"] == 1
    assert sum(many.values()) <= 25
    assert many == few


def test_status_tells_slurms_reason_with_one_question_and_none_after_the_end(
    newcomer: Person,
) -> None:
    record = newcomer.folder / "calls.jsonl"
    newcomer.settings["REFLOW_EXECUTOR_SLURM_COMMAND_RECORD"] = str(record)
    run = newcomer.write(LONG).submits()
    run.until(lambda: len(run.running("wait")) == 2, "the first elements")
    run.until(lambda: bool(run.running("beside")), "the task beside it")
    run.until(lambda: len(run.queue("dispatch")) == 2, "the end of the first stage's follow-up")
    record.unlink()

    said = run.status()

    assert calls(record) == {"squeue": 1}
    assert said["tasks"]["wait"]["state"] == "RUNNING"
    assert said["tasks"]["wait"]["counts"] == {"RUNNING": 2, "SUBMITTED": 4}
    assert said["tasks"]["wait"]["reason"] == "JobArrayTaskLimit"
    assert "wait waits: JobArrayTaskLimit" in newcomer.types("status", run.run_id)
    newcomer.touch("go")
    run.ends()
    record.unlink()
    run.status()
    assert not record.exists()
