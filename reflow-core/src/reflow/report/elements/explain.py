"""Why elements ran or came from the cache, as text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from rich.text import Text

from reflow.model.states import TaskState
from reflow.report.layout import GAP, count, duration, moment, near, paragraph, ranges
from reflow.report.status import STYLES, Step, step_lines, typed

MOST_GROUPS = 12
"""Groups of elements that are shown of one task."""
_DIFF_STYLES = {"+": "green", "-": "red", "@": "cyan"}

Data = Mapping[str, Any]
"""What `Run.explain` returns, or a part of it."""


def explanation_lines(found: Data, *, width: int, command: str) -> list[Text]:
    """Show an explanation of one element, or of all elements of a task."""
    lines = _task(found, width) if "groups" in found else _element(found, width)
    steps = list(_steps(found, command))
    return [*lines, Text(""), *step_lines(steps)] if steps else lines


# -- one element ------------------------------------------------------------------------------
def _element(found: Data, width: int) -> list[Text]:
    name = _name(found["task"], found["index"])
    state = Text(found["state"], STYLES.get(TaskState(found["state"]), ""))
    head = Text.assemble((name, "bold"), f" of {found['run_id']}{GAP}", state)
    if found["attempt"] > 1:
        head.append(f"{GAP}attempt {found['attempt']}")
    lines = [head, *paragraph(_reason(found), width=width)]
    for each in found["differences"]:
        lines += _difference(each, width)
    for note in found["notes"]:
        lines += paragraph(note, width=width)
    return lines


def _reason(found: Data) -> str:
    """Say in a sentence why one element ran, or did not."""
    earlier, text = found["earlier"], found["text"]
    ran = "It ran" if TaskState(found["state"]).final else "It is run"
    other = "" if earlier is None else _other(earlier, found["index"])
    match found["reason"]:
        case "cached":
            computed = _computed(earlier, found["index"]) if earlier else text
            return f"It came from the cache: {computed}."
        case "forced" | "not cached":
            return f"{ran} because {text}."
        case "first" if text:
            return f"{ran} because no earlier run has an element to compare it with ({text})."
        case "first":
            return f"{ran} because no earlier run of the workflow has such an element."
        case "differs":
            return f"{ran} because this differs from {other}:"
        case "retried":
            return f"{ran} again: {text}{':' if found['differences'] else '.'}"
        case "no result":
            return f"{ran} because {other}, which was given the same, has no result: {text}."
        case "files":
            colon = ":" if found["differences"] else "."
            return f"{ran}, though {other} was given the same: {text}{colon}"
        case "not reusable" | "used":
            return f"{ran}, though {other} was given the same. Its result was not used: {text}."
        case "waits":
            return f"It has not run: {text}."
    if not other:
        return f"{ran}; nothing tells why. {text}".rstrip()
    if found["notes"]:
        return f"{ran}: {text}. The nearest is {other}."
    return f"{ran}, though {other} was given the same; {text}."


def _other(earlier: Data, index: int | None) -> str:
    """Name the element of an earlier run."""
    name = ""
    if earlier["index"] is not None and earlier["index"] != (index or 0):
        name = f"{earlier['task']}[{earlier['index']}] of "
    return f"{name}{_run(earlier)}"


def _run(earlier: Data) -> str:
    whose = f", run by {earlier['user']}" if earlier["user"] else ""
    return f"{earlier['run_id']} ({_moment(earlier['created_at'])}{whose})"


def _computed(earlier: Data, index: int | None) -> str:
    """Say which element computed a result, and when and where."""
    name = _name(earlier["task"], None if index is None else earlier["index"])
    took = ""
    if earlier["started_at"]:
        span = duration(timedelta(seconds=earlier["seconds"] or 0))
        where = f" on {earlier['host']}" if earlier["host"] else ""
        took = f", computed at {_moment(earlier['started_at'])}{where} in {span}"
    whose = f", run by {earlier['user']}" if earlier["user"] else ""
    return f"it is the result of {name} of {earlier['run_id']}{whose}{took}"


def _moment(text: str) -> str:
    return moment(datetime.fromisoformat(text))


# -- all elements of a task -------------------------------------------------------------------
def _task(found: Data, width: int) -> list[Text]:
    size = found["size"]
    elements = "not begun" if size is None else count(size, "element")
    lines = [Text.assemble((found["task"], "bold"), f" of {found['run_id']}{GAP}{elements}")]
    groups = found["groups"]
    for group in groups[:MOST_GROUPS]:
        lines += _group(group, size is not None, width)
    if hidden := groups[MOST_GROUPS:]:
        number = sum(group["count"] for group in hidden)
        lines.append(
            Text(f"and {count(number, 'element')} for {count(len(hidden), 'more reason')}")
        )
    return lines


@dataclass(frozen=True, slots=True)
class _Verbs:
    """How it is said of a run that is there, and of one that is planned."""

    ran: str
    came: str


_DONE, _PLANNED = _Verbs("ran", "came"), _Verbs("would run", "would come")


def planned_lines(groups: Sequence[Data], *, array: bool, width: int) -> list[Text]:
    """Show why elements of a run that is planned would run, or whose results they would take."""
    width -= len(GAP)
    lines = [line for group in groups for line in _group(group, array, width, _PLANNED)]
    return [Text(GAP).append_text(line) for line in lines]


def _group(group: Data, counted: bool, width: int, verbs: _Verbs = _DONE) -> list[Text]:
    why = _why(group, verbs)
    text = f"{group['count']:,} {why}" if counted else why
    lines = paragraph(text, width=width, indent=GAP, first="")
    told = [each["elements"] for each in group["differences"][:1]] == [group["elements"]]
    if counted and group["elements"] and group["reason"] != "cached" and not told:
        lines.append(Text(f"{GAP}{_named(group)}", "dim"))
    for each in group["differences"]:
        if len(group["differences"]) > 1 or each["diff"]:
            lines += _difference(each, width)
    for note in group["notes"]:
        lines += paragraph(note, width=width, indent=GAP)
    return lines


def _why(group: Data, verbs: _Verbs) -> str:
    """Say why the elements of a group ran, or did not."""
    earlier, text = group["earlier"], group["text"]
    run = "" if earlier is None else _run(earlier)
    differences = group["differences"]
    match group["reason"]:
        case "cached":
            return f"{verbs.came} from {run}" if run else f"{verbs.came} from the cache"
        case "forced" | "not cached":
            return f"{verbs.ran} because {text}"
        case "first" if text:
            return f"{verbs.ran} because no earlier run has any to compare with ({text})"
        case "first":
            return f"{verbs.ran} because no earlier run of the workflow has such elements"
        case "differs" if len(differences) == 1:
            return f"{verbs.ran} because {said(differences[0])}; compared with {run}"
        case "differs":
            return f"{verbs.ran} because these differ from {run}:"
        case "retried" if len(differences) == 1:
            return f"{verbs.ran} again: {text}: {said(differences[0])}"
        case "retried":
            return f"{verbs.ran} again: {text}{':' if differences else ''}"
        case "no result":
            return f"{verbs.ran} because the same had no result in {run}: {text}"
        case "files" if len(differences) == 1:
            return f"{verbs.ran}, though {run} had the same: {text}: {said(differences[0])}"
        case "waits":
            return f"did not run: {text}"
    if not run:
        return f"{verbs.ran}; nothing tells why {text}"
    if group["reason"] == "unknown" and group["notes"]:
        return f"{verbs.ran}: {text}; the nearest is {run}"
    return f"{verbs.ran}, though {run} had the same: {text}"


# -- differences ------------------------------------------------------------------------------
def _difference(difference: Data, width: int) -> list[Text]:
    lines = paragraph(said(difference), width=width, indent=GAP * 2, first=GAP)
    for line in difference["diff"]:
        lines.append(Text(f"{GAP * 2}{line}".rstrip(), _DIFF_STYLES.get(line[:1], "")))
    return lines


def said(difference: Data) -> str:
    """Say in a clause what differs."""
    name, detail = difference["name"], difference["detail"]
    change = _change(difference["old"], difference["new"])
    where = f" in {Path(difference['file']).name}" if difference["file"] else ""
    match difference["field"]:
        case "parameter":
            whose = f" {detail}" if detail else ""
            return f"parameter {name}{whose} differs{_of_many(difference)}{change}"
        case "definition":
            verb = f"is {detail}" if detail else "differs"
            return f"{name}{where} {verb}"
        case "value":
            verb = f"is {detail}" if detail.startswith(("used", "no")) else "differs"
            how = f", {detail}" if detail and verb == "differs" else ""
            return f"{name}{where}{how} {verb}{change}"
        case "version":
            return f"version= differs{change}"
        case "code":
            return f"its source differs {detail}"
        case "upstream":
            return _upstream(difference, change)
        case "file":
            of = f" of {difference['argument']}" if difference["argument"] else ""
            return f"file {near(name)}{of}: {detail}"
        case "missing":
            return f"elements of {name} without result differ{change}{_listed(difference)}"
        case "after" if detail:
            return f"{name}: {detail}"
        case "after":
            return f"{name}, which it comes after, has {count(difference['count'], 'new result')}"
    return f"argument {name}: {detail}{change}"


def _upstream(difference: Data, change: str) -> str:
    name, detail, argument = difference["name"], difference["detail"], difference["argument"]
    elements, number = difference["elements"], difference["count"]
    if not argument:
        return f"this is {detail}"
    if len(elements) == 1 and number == 1:
        return f"input {argument} from {name}[{elements[0]}] differs{change}"
    if number > 1:
        return f"input {argument} from {name} differs{_of_many(difference)}{_listed(difference)}"
    of = f"{detail} of what {name} returned" if detail.startswith("item") else f"from {name}"
    more = f" ({detail})" if detail and not detail.startswith("item") else ""
    return f"input {argument}, {of}, differs{more}{change}"


def _of_many(difference: Data) -> str:
    number = difference["count"]
    return f" in {count(number, 'element')}" if number > 1 else ""


def _listed(difference: Data) -> str:
    return f": {_named(difference)}" if difference["elements"] else ""


def _named(found: Data) -> str:
    """Name elements: `[0-2, 7]`. Of many, only some are listed."""
    named = ranges(found["elements"])
    is_all = len(found["elements"]) == found["count"] or named.endswith("...")
    return f"[{named}]" if is_all else f"[{named}, ...]"


def _change(old: str, new: str) -> str:
    if old and new:
        return f" ({old} → {new})"
    if new:
        return f" (now {new})"
    return f" (was {old})" if old else ""


def _name(task: str, index: int | None) -> str:
    return task if index is None else f"{task}[{index}]"


# -- what to type next ------------------------------------------------------------------------
def _steps(found: Data, command: str) -> Iterator[Step]:
    run_id = found["run_id"]
    if "groups" in found:
        one = next((group for group in found["groups"] if group["elements"]), None)
        if one is not None and one["reason"] != "waits":
            again = typed(command, "explain", run_id, found["task"], one["elements"][0])
            yield again, "explain one of them"
        differences = [each for group in found["groups"] for each in group["differences"]]
    else:
        differences = found["differences"]
    for each in differences:
        if each["field"] == "upstream" and each["argument"]:
            element = each["elements"][0] if each["elements"] else None
            yield typed(command, "explain", run_id, each["name"], element), "why that differs"
            return
