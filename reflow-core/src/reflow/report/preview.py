"""What `--dry-run` shows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.text import Text

from reflow.report.elements.explain import planned_lines
from reflow.report.layout import GAP, block, columns, count, paragraph, shorten
from reflow.report.pilots import described

if TYPE_CHECKING:
    from reflow.model.pilots import Pilots
    from reflow.runs.preview import Preview, PreviewInstance, PreviewTask

MOST_INSTANCES = 20
"""Instances of one task that are listed on a terminal; files and pipes get all."""
WIDEST_ARGUMENT = 100
_STYLES = {"run": "cyan", "cached": "green", "waits": "dim"}


def preview_lines(preview: Preview, *, width: int, every_instance: bool) -> list[Text]:
    """Show what would run, what would come from the cache, and each instance's arguments."""
    lines = [Text("this is what would be done; nothing has been done"), Text("")]
    lines += _summary(preview.tasks, width)
    if preview.pilots is not None:
        lines.append(Text(""))
        for sentence in _pilots(preview.pilots, preview.tasks):
            lines += paragraph(sentence, width=width)
    for task in preview.tasks:
        lines += [Text(""), *_task(task, width, every_instance)]
    for title, text in preview.scripts:
        lines += [Text(""), Text(title, "bold"), *block(text, "")]
    return lines


def _summary(tasks: list[PreviewTask], width: int) -> list[Text]:
    rows = [[Text(word, "dim") for word in ("task", "size", "to run", "from cache")]]
    for task in tasks:
        size = "?" if task.size is None else f"{task.size:,}"
        numbers = [_number(task.to_run), _number(task.cached)]
        rows.append([Text(task.name), Text(size), *numbers])
    return columns(rows, width=width, right=(1, 2, 3))


def _pilots(pilots: Pilots, tasks: list[PreviewTask]) -> Iterator[str]:
    """Say what pilots there would be, and which tasks do not fit them."""
    yield described(pilots)
    left = [task for task in tasks if task.may_run]
    unfit = [repr(task.name) for task in left if not task.fits]
    if len(unfit) == len(left):
        yield "no task fits a pilot: all would have jobs of their own"
    elif len(unfit) == 1:
        yield f"{unfit[0]} does not fit a pilot, and would have jobs of its own"
    elif unfit:
        yield f"{', '.join(unfit)} do not fit a pilot, and would have jobs of their own"


def _number(number: int | None) -> Text:
    return Text("?" if number is None else f"{number:,}")


def _task(task: PreviewTask, width: int, every_instance: bool) -> list[Text]:
    lines = [Text(task.name, "bold")]
    if task.reason:
        lines += paragraph(task.reason, width=width, indent=GAP)
    if task.zipped:
        lists = " and ".join(task.zipped)
        message = f"zip: {lists} are taken side by side, item by item, not in every combination"
        lines += paragraph(message, width=width, indent=GAP)
    if task.multiplied:
        lists = " and ".join(task.multiplied)
        message = f"product: {lists} are taken in every combination, the last changing fastest"
        lines += paragraph(message, width=width, indent=GAP)
    for told in task.configured:
        lines += paragraph(told, width=width, indent=GAP)
    if task.advice:
        lines += paragraph(task.advice, width=width, indent=GAP)
    if task.groups:
        return [*lines, *planned_lines(task.groups, array=task.array, width=width)]
    shown = task.instances if every_instance else task.instances[:MOST_INSTANCES]
    for instance in shown:
        lines += _instance(task, instance)
    if hidden := len(task.instances) - len(shown):
        lines.append(Text(f"{GAP}and {count(hidden, 'more element')}: all of them with '| cat'"))
    return lines


def _instance(task: PreviewTask, instance: PreviewInstance) -> list[Text]:
    label = f"[{instance.index}]{GAP}" if task.array else ""
    head = Text.assemble(GAP, label, (instance.action, _STYLES.get(instance.action, "")))
    if instance.why:
        head.append(f"{GAP}{instance.why}")
    given = [
        Text(f"{GAP * 3}{name} = {shorten(value, WIDEST_ARGUMENT)}")
        for name, value in instance.arguments.items()
    ]
    return [head, *given]
