"""The output of `status`: the mapping of `Run.status()` as lines of text."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from rich.text import Text

from reflow.model.likeness import likeness
from reflow.model.states import RunState, TaskState
from reflow.report.layout import (
    GAP,
    block,
    columns,
    count,
    duration,
    moment,
    near,
    paragraph,
    ranges,
    shorten,
)
from reflow.report.pilots import pilot_lines
from reflow.report.screen import screen
from reflow.report.tail import last_lines

STYLES = {
    TaskState.PENDING: "dim",
    TaskState.SUBMITTED: "blue",
    TaskState.RUNNING: "cyan",
    TaskState.SUCCESS: "green",
    TaskState.FAILED: "bold red",
    TaskState.CANCELLED: "magenta",
    TaskState.SKIPPED: "dim",
}
HEADINGS = {
    TaskState.FAILED: "failed",
    TaskState.RUNNING: "running",
    TaskState.SUBMITTED: "queued",
    TaskState.PENDING: "waiting",
    TaskState.CANCELLED: "cancelled",
    TaskState.SKIPPED: "skipped",
}
"""The headings of the columns beside `done`, in their order."""
OWN_EXECUTORS = {"inline": "in the foreground", "pool": "in the foreground", "local": "local"}
"""The executors of this machine, in words; the ids of their jobs are of no use to users."""
MOST_FAILURES = 10
"""Kinds of failure shown; the others are counted."""
BAR_WIDTH = 16
TAIL_LINES = 20

Step = tuple[str, str]
"""A command to type next, and what it does."""


def print_status(
    status: Mapping[str, Any],
    *,
    errors: bool = False,
    file: IO[str] | None = None,
    command: str = "reflow",
) -> None:
    """Print the mapping of `Run.status()` as text.

    `errors` adds tracebacks, or the end of the log where there is none. `command` is what the
    commands to type next begin with.
    """
    console = screen(file=file)
    console.put(status_lines(status, errors=errors, width=console.width, command=command))


def status_lines(
    status: Mapping[str, Any],
    *,
    errors: bool,
    width: int,
    command: str,
    now: datetime | None = None,
) -> list[Text]:
    """Return all lines that `status` shows."""
    lines = run_lines(status["run"], width=width, now=now)
    if status["run"].get("cleaned_at"):
        return lines + note_lines(status)
    lines.append(Text(""))
    lines += task_lines(status["tasks"], width=width)
    lines += pilot_lines(status.get("pilots"), width=width)
    lines += job_lines(status["tasks"], width=width)
    if failed := status["failed_instances"]:
        lines += [Text(""), *failure_lines(failed, status["run"], errors=errors, width=width)]
        if (unlisted := _failed_in_all(status["tasks"]) - len(failed)) > 0:
            lines.append(Text(f"and {count(unlisted, 'more failed instance')} not looked at here"))
    lines += note_lines(status)
    if steps := next_steps(status, command, errors=errors):
        lines += [Text(""), *step_lines(steps)]
    return lines


# -- the run ---------------------------------------------------------------------------------


def state_text(state: str) -> Text:
    """Colour the name of a state."""
    return Text(state, STYLES.get(TaskState(state), ""))


def run_lines(run: Mapping[str, Any], *, width: int, now: datetime | None = None) -> list[Text]:
    """Show the run itself: id, state, times, folder and parameters."""
    head = Text.assemble((run["run_id"], "bold"), GAP, state_text(run["status"]))
    started = datetime.fromisoformat(run["created_at"])
    finished = run.get("finished_at")
    if finished:
        head.append(f"{GAP}after {duration(datetime.fromisoformat(finished) - started)}")
    else:
        head.append(f"{GAP}for {duration((now or datetime.now(UTC)) - started)}")
    executor = run.get("executor") or ""
    facts = [near(run["run_dir"]), OWN_EXECUTORS.get(executor, executor), moment(started)]
    lines = [head, Text(GAP + " · ".join(fact for fact in facts if fact), "dim")]
    if run.get("parameters"):
        shown = "  ".join(f"{name}={brief(value)}" for name, value in run["parameters"].items())
        lines += paragraph(shown, width=width, indent=GAP)
    if run.get("message"):
        lines += paragraph(run["message"], width=width, indent=GAP)
    return lines


def brief(value: Any, width: int = 60) -> str:
    """Write a JSON value in at most `width` characters."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return shorten(text.replace("\n", " "), width)


# -- its tasks -------------------------------------------------------------------------------


def task_lines(tasks: Mapping[str, Mapping[str, Any]], *, width: int) -> list[Text]:
    """Show one line per task: its state, how much is done, and every other state that occurs."""
    shown = [state for state in HEADINGS if any(_number(task, state) for task in tasks.values())]
    header = ["task", "state", "done", *(HEADINGS[state] for state in shown)]
    rows = [[Text(word, "dim") for word in header]]
    for name, task in tasks.items():
        numbers = [Text(str(_number(task, state) or ""), STYLES[state]) for state in shown]
        rows.append([Text(name), state_text(task["state"]), Text(done_of(task)), *numbers])
    right = range(2, len(header))
    if any(task["array"] for task in tasks.values()):
        bars = [Text(""), *(progress_bar(task) for task in tasks.values())]
        with_bars = [[*row[:3], bar, *row[3:]] for row, bar in zip(rows, bars, strict=True)]
        lines = columns(with_bars, width=10_000, right=[2, *range(4, len(header) + 1)])
        if max(line.cell_len for line in lines) <= width:
            return lines
    return columns(rows, width=width, right=right)


def job_lines(tasks: Mapping[str, Mapping[str, Any]], *, width: int) -> list[Text]:
    """Show one line per task whose elements share jobs: how many of these run and wait."""
    return [
        Text(shorten(f"{name}: {_jobs(jobs)}", width), "dim")
        for name, task in tasks.items()
        if (jobs := task.get("jobs")) and jobs["running"] + jobs["queued"]
    ]


def _jobs(jobs: Mapping[str, int]) -> str:
    """Write `3 jobs running, 1 queued; up to 6 elements at once`."""
    running, queued = jobs["running"], jobs["queued"]
    if not running:
        return f"{count(queued, 'job')} queued"
    waiting = f", {queued:,} queued" if queued else ""
    elements = count(jobs["at_once"], "element")
    return f"{count(running, 'job')} running{waiting}; up to {elements} at once"


def fitting(tasks: Mapping[str, Mapping[str, Any]], height: int) -> dict[str, Mapping[str, Any]]:
    """Select as many tasks as fit below a heading.

    Succeeded tasks are left out first, from the top; then, from the bottom, those that have not
    begun, those that wait in a queue, and those that run.
    """
    surplus = max(len(tasks) - max(height - 1, 1), 0)
    done = [name for name in tasks if tasks[name]["state"] == TaskState.SUCCESS]
    others = [name for name in reversed(list(tasks)) if tasks[name]["state"] != TaskState.SUCCESS]
    others.sort(key=lambda name: _GIVING_WAY.get(tasks[name]["state"], len(_GIVING_WAY)))
    hidden = set([*done, *others][:surplus])
    return {name: task for name, task in tasks.items() if name not in hidden}


_GIVING_WAY = {TaskState.PENDING: 0, TaskState.SUBMITTED: 1, TaskState.RUNNING: 2}


def _number(task: Mapping[str, Any], state: TaskState) -> int:
    return int(task["counts"].get(state, 0))


def done_of(task: Mapping[str, Any]) -> str:
    """Write how many elements of an array task have succeeded: `3/10`, or `no elements`."""
    if not task["array"]:
        return ""
    if task.get("size") == 0:
        return "no elements"
    size = "?" if task.get("size") is None else task["size"]
    return f"{_number(task, TaskState.SUCCESS)}/{size}"


def progress_bar(task: Mapping[str, Any], width: int = BAR_WIDTH) -> Text:
    """Draw the shares of an array task that are done and failed; nothing for a plain task."""
    if not task["array"]:
        return Text("")
    done, failed = _number(task, TaskState.SUCCESS), _number(task, TaskState.FAILED)
    return share_bar(done, failed, task.get("size") or 0, width)


def share_bar(done: int, failed: int, size: int, width: int) -> Text:
    """Draw the shares of `size` that are done and failed; nothing where there is no size."""
    if not size:
        return Text("")
    full = min(done * width // size, width)
    lost = min(-(-failed * width // size), width - full)
    return Text.assemble(
        ("━" * full, "green"), ("╍" * lost, "red"), ("─" * (width - full - lost), "dim")
    )


def _failed_in_all(tasks: Mapping[str, Mapping[str, Any]]) -> int:
    return sum(_number(task, TaskState.FAILED) for task in tasks.values())


# -- what failed -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Failure:
    """Instances of one task that failed in the same way."""

    first: Mapping[str, Any]
    indices: Sequence[int]
    """Empty for a plain task."""
    differs: bool
    """Whether numbers in the errors differ."""

    @property
    def label(self) -> str:
        """`convert[0-2, 7]`, or the name of a plain task."""
        name = self.first["task"]
        return f"{name}[{ranges(self.indices)}]" if self.indices else name


def alike(failed: Iterable[Mapping[str, Any]]) -> list[Failure]:
    """Group failed instances of a task whose causes are the same, and whose errors nearly so."""
    kinds: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for instance in failed:
        key = (instance["task"], instance["cause"], likeness(instance["error"]))
        kinds.setdefault(key, []).append(instance)
    return [
        Failure(
            same[0],
            sorted(each["index"] for each in same if each["index"] is not None),
            any(each["error"] != same[0]["error"] for each in same),
        )
        for same in kinds.values()
    ]


def failure_lines(
    failed: Sequence[Mapping[str, Any]], run: Mapping[str, Any], *, errors: bool, width: int
) -> list[Text]:
    """Show what failed, why, and where its log is."""
    failures = alike(failed)
    lines: list[Text] = []
    for failure in failures[:MOST_FAILURES]:
        lines += _one_failure(failure, run, errors=errors, width=width)
    hidden = failures[MOST_FAILURES:]
    if hidden:
        instances = sum(max(len(failure.indices), 1) for failure in hidden)
        lines.append(Text(f"and {count(instances, 'more failed instance')}: see --task or --json"))
    return lines


def _one_failure(
    failure: Failure, run: Mapping[str, Any], *, errors: bool, width: int
) -> list[Text]:
    first = failure.first
    head = Text.assemble((failure.label, "bold"), GAP, (first["cause"] or "FAILED", "red"))
    if len(failure.indices) > 1:
        head.append(f"{GAP}{count(len(failure.indices), 'element')}")
    elif first["attempt"] > 1:
        head.append(f"{GAP}attempt {first['attempt']}")
    if first["job_id"] and run.get("executor") not in OWN_EXECUTORS:
        head.append(f"{GAP}job {first['job_id']}", "dim")
    error = first["error"] + (" (others: with other numbers)" if failure.differs else "")
    lines = [head, *paragraph(error, width=width, indent=GAP * 2, first=GAP)]
    log = Path(run["run_dir"]) / first["log"] if first["log"] else None
    if errors and first.get("traceback"):
        lines += block(first["traceback"], GAP * 2)
    elif errors and log is not None:
        lines += _end_of(log)
    if log is not None:
        word = "log of the first: " if len(failure.indices) > 1 else "log: "
        lines.append(Text(f"{GAP}{word}{near(log)}", "dim"))
    return lines


def _end_of(log: Path) -> list[Text]:
    try:
        tail = last_lines(log, TAIL_LINES).decode(errors="replace")
    except OSError as error:
        return [Text(f"{GAP * 2}(its log cannot be read: {error.strerror})", "dim")]
    return block(tail, GAP * 2) or [Text(f"{GAP * 2}(its log is empty)", "dim")]


# -- what to know, and what to type next -----------------------------------------------------


def note_lines(status: Mapping[str, Any]) -> list[Text]:
    """Show why tasks wait, which were retried, and other notes.

    Commands in them are not broken.
    """
    notes = [
        f"{name} waits: {task['reason']}"
        for name, task in status["tasks"].items()
        if task.get("reason")
    ]
    notes += [
        f"{name} was tried again: {count(tries, 'further attempt')}"
        for name, task in status["tasks"].items()
        if (tries := task.get("retries"))
    ]
    notes += status.get("notes", ())
    return [Text(""), *(Text(note, "yellow") for note in notes)] if notes else []


def next_steps(status: Mapping[str, Any], command: str, *, errors: bool = False) -> list[Step]:
    """Return the commands that a user is likely to want next, the likeliest first."""
    run_id, state = status["run"]["run_id"], RunState(status["run"]["status"])
    failed = status["failed_instances"]
    steps: list[Step] = []
    if state in (RunState.FAILED, RunState.CANCELLED) or (state is RunState.SUCCESS and failed):
        steps.append((typed(command, "retry", run_id), "run again what did not succeed"))
    if state is RunState.RUNNING:
        steps += steps_while_running(command, run_id)
    if failed and not errors:
        steps.append((typed(command, "status", run_id, "--errors"), "see what failed in full"))
    if logged := next((each for each in failed if each["log"]), None):
        again = typed(command, "logs", run_id, logged["task"], logged["index"])
        steps.append((again, "read its log"))
    return steps


def steps_while_running(command: str, run_id: str) -> list[Step]:
    """Return the commands for a run that goes on."""
    return [
        (typed(command, "status", run_id, "--watch"), "follow it"),
        (typed(command, "cancel", run_id), "stop it"),
    ]


def typed(command: str, *words: str | int | None) -> str:
    """Join words to a shell command, quoted where needed. Words that are None are left out."""
    return f"{command} {shlex.join(str(word) for word in words if word is not None)}"


def step_lines(steps: Sequence[Step]) -> list[Text]:
    """Show commands to type next, one per line."""
    longest = max(len(command) for command, _ in steps)
    return [
        Text.assemble((command.ljust(longest), "bold"), (f"{GAP}# {purpose}", "dim"))
        for command, purpose in steps
    ]
