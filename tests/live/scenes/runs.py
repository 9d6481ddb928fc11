"""Whole workflows on a real scheduler: submitted, watched, changed, ended.

What is the same on each; the modules of tests import it, and have a `newcomer` of their own.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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


def test_the_sweep_example_hands_arrays_from_job_to_job(newcomer: Person) -> None:
    examples = REPOSITORY / "docs" / "examples"
    for name in ("sweep", "weather"):
        shutil.copytree(examples / name, newcomer.folder / name)
    models = ("--look-back", "1", "--look-back", "4", "--ridge", "0.1", "--ridge", "1000")

    run = newcomer.submits(*models, name="sweep/sweep.py")

    run.ends()
    assert len((run.run_dir / "models.txt").read_text().splitlines()) == 1 + 4 + 1


# -- what reaches a job ----------------------------------------------------------------------
@dataclass(frozen=True)
class Asked:
    """What a task asks for, and where it is seen that its job asks for that."""

    fields: str
    """Keywords in the flow."""
    shows: tuple[str, ...]
    """The scheduler's command that tells of a job, without the id."""
    told: tuple[str, ...]
    """What it tells, with one blank between two words."""
    directives: tuple[str, ...]
    """Lines of the script of four elements of which two may run at once."""


FIELDS = """
wf = Workflow("fields")


@wf.job(ASKED)
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


def test_what_a_task_asks_for_and_nothing_of_the_shell_reaches_its_job(
    newcomer: Person, asked: Asked
) -> None:
    newcomer.settings["MINE"] = "secret"
    newcomer.configure(
        """
        setup = ['export GREETING="set up by the site"']
        """
    )
    run = newcomer.write(FIELDS.replace("ASKED", asked.fields)).submits()
    # The person moves on: another default store, other settings. The run keeps its own.
    (newcomer.home / "config" / "reflow" / "config.toml").write_text("setup = ['exit 9']\n")
    run.until(lambda: newcomer.calls["looked"] == 1, "the start")
    # The task knows earlier than the scheduler that it has begun.
    run.until(lambda: bool(run.running("look")), "word of the job")

    (job,) = run.running("look")
    shown = " ".join(newcomer.cluster.run(*asked.shows, job.native_id).split())
    for part in asked.told:
        assert part in shown
    newcomer.touch("go")
    run.ends()
    scripts = [set(path.read_text().splitlines()) for path in run.scripts]
    assert any(set(asked.directives) <= script for script in scripts)
    said = run.result("look")
    assert said["MINE"] is None
    assert said["GREETING"] == "set up by the site"
    assert said["XDG_STATE_HOME"] is None
    assert said["HOME"] != str(newcomer.home)
    assert (said["here"], said["python"]) == (str(newcomer.folder), sys.executable)


def test_the_environment_is_exported_where_the_configuration_says_so(newcomer: Person) -> None:
    newcomer.settings["MINE"] = "shared"
    newcomer.configure(f"[executor.{newcomer.cluster.scheduler}]\nexport_environment = true\n")
    run = newcomer.write(FIELDS.replace("ASKED", "")).submits()
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
    script = next(
        path for path in run.scripts if newcomer.cluster.array_line(2) in path.read_text()
    )

    native_id = newcomer.cluster.run(*newcomer.cluster.hand_in, str(script)).strip()

    log = script.parent / "scheduler.log"
    another = "position 1 is being run by another job"
    run.until(lambda: another in log.read_text(), "what was submitted by hand")
    assert native_id.partition(".")[0].isdigit()
    # What had succeeded is not run again, and what another job has run is another's.
    assert newcomer.calls == {"a": 1, "b": 1}


def test_a_dry_run_shows_the_scripts_of_what_is_known_so_far(newcomer: Person) -> None:
    before = {job.job_id for job in newcomer.cluster.queue()}

    said = newcomer.write(LETTERS).types("submit", "--dry-run", "--run-dir", "run")

    assert "reflow.execution.job_worker" in said
    assert {job.job_id for job in newcomer.cluster.queue()} <= before
    assert not (newcomer.folder / "run").exists()


def test_a_site_overrides_a_block_of_the_template(newcomer: Person) -> None:
    newcomer.configure("")
    folder = newcomer.home / "config" / "reflow" / "templates"
    folder.mkdir()
    template = f"{newcomer.cluster.scheduler}.sh.j2"
    (folder / template).write_text(
        f'{{% extends "packaged/{template}" %}}\n'
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
    return list("abcd")


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
    assert run.counts("wait") == {"CANCELLED": 4}
    newcomer.touch("go")
    run.retries()
    run.ends()
    assert run.counts("wait") == {"SUCCESS": 4}


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
    assert run.counts("wait") == {"CANCELLED": 4}
    run.leaves_nothing()


SOME_FAIL = """
wf = Workflow("some_fail")


@wf.job()
def words() -> list[int]:
    return list(range(5))


def odd(number: int, task: str) -> int:
    did(f"{task} {number}")
    if number % 2 and not (HERE / f"mended-{task}").exists():
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
    assert run.counts("first") == {"SUCCESS": 3, "FAILED": 2}
    assert run.counts("total") == {"SKIPPED": 1}
    before = len(run.scripts)

    newcomer.touch("mended-first")
    run.retries("--task", "first")
    run.ends(RunState.FAILED)

    (again,) = sorted(run.scripts, key=lambda path: int(path.parent.name))[before:]
    assert newcomer.cluster.array_line(2) in again.read_text()
    assert run.counts("first") == {"SUCCESS": 5}
    assert run.counts("second") == {"SUCCESS": 3, "FAILED": 2}
    assert newcomer.calls["first 3"] == 2
    assert newcomer.calls["first 4"] == newcomer.calls["second 3"] == 1

    newcomer.touch("mended-second")
    run.retries()
    run.ends()
    assert sum(newcomer.calls.values()) == 10 + 4


# -- how often the scheduler is asked --------------------------------------------------------
def calls(record: Path) -> Counter[str]:
    """Scheduler commands by name, whichever process of the run called them."""
    lines = record.read_text().splitlines() if record.exists() else []
    commands = [json.loads(line)["argv"] for line in lines]
    # Whose command it is says the command itself: no server is asked.
    return Counter(Path(words[0]).name for words in commands if words[1:] != ["-help"])


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
    newcomer.write(MANY)
    # Without the follow-ups there is one dispatcher for each stage, and no race to be seen.
    newcomer.settings["REFLOW_DISPATCH_FOLLOW_UP"] = "false"
    records = [newcomer.folder / f"{count}.jsonl" for count in (3, 20)]
    # One after the other: what is found out depends on whether anything is in the queue.
    for record in records:
        newcomer.sets("COMMAND_RECORD", record)
        run = newcomer.submits("--count", record.stem, "--force", run_dir=f"run-{record.stem}")
        run.ends()

    few, many = map(calls, records)
    submit, cancel = newcomer.cluster.submit, newcomer.cluster.cancel
    assert few[submit] == many[submit] == 4 + 3
    assert few[cancel] == many[cancel] == 1
    assert sum(many.values()) <= 25
    assert many == few


def status_is_one_question(newcomer: Person, query: str) -> dict[str, Any]:
    """How it stands in the middle of a run, told with one question, and none after the end."""
    record = newcomer.folder / "calls.jsonl"
    newcomer.sets("COMMAND_RECORD", record)
    run = newcomer.write(LONG).submits()
    run.until(lambda: len(run.running("wait")) == 2, "the first elements")
    run.until(lambda: bool(run.running("beside")), "the task beside it")
    run.until(lambda: len(run.queue("dispatch")) == 2, "the end of the first stage's follow-up")
    record.unlink()

    said = run.status()

    assert calls(record) == {query: 1}
    assert said["tasks"]["wait"]["state"] == "RUNNING"
    assert said["tasks"]["wait"]["counts"] == {"RUNNING": 2, "SUBMITTED": 2}
    seen = newcomer.types("status", run.run_id)
    newcomer.touch("go")
    run.ends()
    record.unlink()
    run.status()
    assert not record.exists()
    return {**said["tasks"]["wait"], "seen": seen}
