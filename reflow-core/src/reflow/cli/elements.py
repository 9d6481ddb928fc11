"""Elements of tasks, as they are typed: `TASK[INDEX]`, or `TASK INDEX`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from reflow.cli.source import LATEST, runs_of
from reflow.errors import NotFoundError, ReflowError, UsageError
from reflow.report.layout import count
from reflow.report.status import typed
from reflow.suggest import did_you_mean

if TYPE_CHECKING:
    from reflow.model.records import TaskRecord
    from reflow.run import Run

_ELEMENT = re.compile(r"(?P<task>.+)\[(?P<index>\d+)\]")
_SPANS = re.compile(r"\d{1,12}(-\d{1,12})?(,\d{1,12}(-\d{1,12})?)*")
_ELEMENTS = re.compile(rf"(?P<task>[^\[\]]+)\[(?P<spans>{_SPANS.pattern})\]")


def _complete_tasks(ctx: typer.Context) -> list[tuple[str, str]]:
    """Return the tasks of the run that was typed, for shell completion, each with its size."""
    try:
        run = runs_of(ctx).open(ctx.params.get("run_id") or LATEST)
        tasks = run.store.tasks(run.run_id)
    except ReflowError:
        return []
    return [
        (task.name, count(task.size or 0, "element") if task.array else "one") for task in tasks
    ]


_TASK = typer.Argument(
    metavar="TASK",
    show_default=False,
    help="A task, or TASK\\[INDEX].",
    autocompletion=_complete_tasks,
)
TaskName = Annotated[str, _TASK]
OptionalTaskName = Annotated[str | None, _TASK]
Index = Annotated[
    int | None,
    typer.Argument(metavar="INDEX", show_default=False, help="An element of an array task."),
]


@dataclass(frozen=True, slots=True)
class Element:
    """One element of a task of a run."""

    task: TaskRecord
    index: int

    def __str__(self) -> str:
        return f"{self.task.name}[{self.index}]" if self.task.array else self.task.name


def split_element(task: str, index: int | None) -> tuple[str, int | None]:
    """Take `TASK[INDEX]` apart, where the index was not typed as a word of its own.

    Raises `UsageError` for brackets with anything else in them.
    """
    if index is None and (found := _ELEMENT.fullmatch(task)):
        return found["task"], int(found["index"])
    if "[" in task:
        raise UsageError(
            f"{task!r} names no element: write TASK[3], in quotes where the shell expands "
            "brackets, or TASK 3"
        )
    return task, index


@dataclass(frozen=True, slots=True)
class Indexes:
    """Indexes of elements, as ranges."""

    spans: tuple[tuple[int, int], ...]

    def __contains__(self, index: object) -> bool:
        return isinstance(index, int) and any(low <= index <= high for low, high in self.spans)

    @property
    def largest(self) -> int:
        """The last of them."""
        return max(high for _, high in self.spans)


def parse_elements(words: Sequence[str]) -> dict[str, Indexes | None]:
    """Parse tasks and elements, `fit[3-7,9]` or `fit 3-7,9`; None stands for all of a task.

    Raises `UsageError`.
    """
    found: dict[str, Indexes | None] = {}
    whole: set[str] = set()
    last = ""
    for word in words:
        if _SPANS.fullmatch(word) and last:
            spans, name = word, last
            whole.discard(name)
        elif parts := _ELEMENTS.fullmatch(word):
            name, spans = parts["task"], parts["spans"]
        else:
            if "[" in word or _SPANS.fullmatch(word):
                raise UsageError(
                    f"{word!r} names no element: write TASK, TASK[3], or TASK[3-7,9], in quotes "
                    "where the shell expands brackets, or TASK 3-7,9"
                )
            found.setdefault(word, None)
            whole.add(word)
            last = word
            continue
        last = name
        earlier = found.get(name)
        found[name] = Indexes((*(earlier.spans if earlier else ()), *_spans(word, spans)))
    return {name: None if name in whole else indexes for name, indexes in found.items()}


def _spans(word: str, text: str) -> list[tuple[int, int]]:
    spans = []
    for part in text.split(","):
        low, _, high = part.partition("-")
        spans.append((int(low), int(high or low)))
        if spans[-1][0] > spans[-1][1]:
            raise UsageError(f"{word!r}: {part} ends before it begins")
    return spans


def find_task(run: Run, name: str) -> TaskRecord:
    """Return a task of a run. Raises `NotFoundError`, also where the run was cleaned up."""
    from reflow.rundir.ownership import require_files

    require_files(run.store.run(run.run_id))
    tasks = {record.name: record for record in run.store.tasks(run.run_id)}
    if name not in tasks:
        raise NotFoundError(f"run {run.run_id} has no task {name!r}{did_you_mean(name, tasks)}")
    return tasks[name]


def find_element(run: Run, task: str, index: int | None, command: str, about: str) -> Element:
    """Return the element that was typed.

    `about` is the command it was typed for, and `command` what such commands begin with. Raises
    `NotFoundError` for an unknown task, and `UsageError` where the index is missing.
    """
    name, index = split_element(task, index)
    record = find_task(run, name)
    if index is None and record.array and record.size != 1:
        raise UsageError(_which_element(run, record, command, about))
    return Element(record, index or 0)


def _which_element(run: Run, task: TaskRecord, command: str, about: str) -> str:
    size = "several elements" if task.size is None else count(task.size, "element")
    failed = [each.index for each in run.store.failures(run.run_id, task=task.name, limit=1)]
    example = next((index for index in failed if index is not None), 0)
    again = typed(command, about, run.run_id, task.name, example)
    failing = " (it failed)" if failed else ""
    return f"task {task.name!r} has {size}; name one: {again}{failing}"
