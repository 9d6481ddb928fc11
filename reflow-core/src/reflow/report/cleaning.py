"""The output of `usage`, `clean`, `rm` and `invalidate`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.text import Text

from reflow.report.layout import GAP, columns, count, data_size, paragraph
from reflow.report.status import state_text, step_lines, typed
from reflow.runs.status import run_as_dict

if TYPE_CHECKING:
    from reflow.model.cleaning import StoreSize
    from reflow.model.records import RunRecord
    from reflow.runs.cleaning.choose import Refusal
    from reflow.runs.cleaning.clean import Cleaned
    from reflow.runs.cleaning.usage import RunUsage, Usage

LARGEST = 10
"""Runs that are shown one by one."""
MOST_TOLD = 10
"""Runs that are not cleaned up, and files that stay, of which is told why."""


# -- usage -----------------------------------------------------------------------------------
def usage_lines(usage: Usage, *, width: int, command: str, seconds: float) -> list[Text]:
    """Show what runs take: by workflow, by age, and the largest ones."""
    from reflow.runs.cleaning.usage import ages

    runs = usage.runs
    lines = [Text(f"{count(len(runs), 'run')}: {_files(runs)}{_in_store(usage.store)}")]
    by_workflow: dict[str, list[RunUsage]] = {}
    for each in runs:
        by_workflow.setdefault(each.record.workflow, []).append(each)
    largest = sorted(by_workflow.items(), key=lambda item: -_total(item[1]))
    lines += [Text(""), *_groups("workflow", largest, width)]
    lines += [Text(""), *_groups("ended", list(ages(runs).items()), width)]
    lines += [Text(""), *_largest(runs[:LARGEST], width)]
    unreadable = [each for run in runs for each in run.size.unreadable]
    lines += _told("could not be read", unreadable, width)
    if usage.not_looked_at:
        there_was = f"{count(usage.not_looked_at, 'run')} could not be measured in {seconds:g} s"
        again = (typed(command, "usage", "--seconds", f"{10 * seconds:g}"), "take more time")
        lines += [Text(""), Text(there_was), *step_lines([again])]
    return lines


def _groups(
    heading: str, groups: Iterable[tuple[str, Sequence[RunUsage]]], width: int
) -> list[Text]:
    head = (heading, "runs", "instances", "values", "logs", "other files")
    rows = [[Text(word, "dim") for word in head]]
    for name, runs in groups:
        sizes = [
            sum(each.size.values for each in runs),
            sum(each.size.logs for each in runs),
            sum(each.size.others for each in runs),
        ]
        instances = sum(each.instances for each in runs)
        numbers = [f"{len(runs):,}", f"{instances:,}", *map(data_size, sizes)]
        rows.append([Text(name), *map(Text, numbers)])
    return columns(rows, width=width, right=range(1, len(head)))


def _largest(runs: Sequence[RunUsage], width: int) -> list[Text]:
    head = ("largest runs", "state", "started", "instances", "files", "size")
    rows = [[Text(word, "dim") for word in head]]
    for each in runs:
        numbers = [f"{each.instances:,}", f"{each.size.files:,}", data_size(each.size.total)]
        numbers[-1] += "" if each.size.is_whole else " or more"
        started = f"{each.record.created_at.astimezone():%Y-%m-%d}"
        rows.append([Text(each.record.run_id), _state(each), *map(Text, (started, *numbers))])
    return columns(rows, width=width, right=(3, 4, 5))


def _state(run: RunUsage) -> Text:
    return Text("cleaned", "dim") if run.record.cleaned_at else state_text(run.record.state)


def usage_as_dict(usage: Usage) -> dict[str, Any]:
    """Convert to JSON."""
    return {
        "version": 1,
        "store": None
        if usage.store is None
        else {"bytes": usage.store.total, "free_bytes": usage.store.free},
        "runs": [
            {
                **_short(run_as_dict(each.record)),
                "instances": each.instances,
                "files": each.size.files,
                "value_bytes": each.size.values,
                "log_bytes": each.size.logs,
                "other_bytes": each.size.others,
                "complete": each.size.is_whole,
                "unreadable": each.size.unreadable,
            }
            for each in usage.runs
        ],
    }


# -- clean and rm ----------------------------------------------------------------------------
def plan_lines(
    runs: Sequence[RunUsage],
    results: Mapping[str, int],
    *,
    remove: str,
    stay: bool,
    width: int,
) -> list[Text]:
    """Show what is about to be removed, where results that the cache can use `stay` or not."""
    lines = [Text(f"{count(len(runs), 'run')} to be {remove}: {_files(runs)}")]
    lines += _largest(runs[:LARGEST], width)
    if len(runs) > LARGEST:
        lines.append(Text(f"and {count(len(runs) - LARGEST, 'smaller run')}"))
    number = sum(results.values())
    if number and stay:
        lines += paragraph(
            f"{count(number, 'result')} that the cache can use {_verb(number, 'stay')}, with the "
            "files that hold them; --results removes them, too",
            width=width,
        )
    elif number:
        lines += paragraph(
            f"{count(number, 'result')} that the cache could use {_verb(number, 'go')}, too, "
            "except what other runs have taken over",
            width=width,
        )
    return lines


def missing_lines(records: Sequence[RunRecord], *, width: int) -> list[Text]:
    """Warn of runs whose run directories are not there."""
    lines: list[Text] = []
    for record in records[:MOST_TOLD]:
        lines += paragraph(
            f"the run directory {record.run_dir} is not there: if it lies on a file system that is "
            f"not mounted, the files of {record.run_id} stay there, and nothing will know of them",
            width=width,
        )
    if len(records) > MOST_TOLD:
        more = len(records) - MOST_TOLD
        lines.append(Text(f"and {count(more, 'more run')} without a run directory"))
    return lines


def refusal_lines(refusals: Sequence[Refusal], *, command: str, width: int) -> list[Text]:
    """Show which runs are left alone, why, and what to type first."""
    lines = _told(
        "left alone", [f"{each.record.run_id}: {each.reason}" for each in refusals], width
    )
    steps = [
        (f"{command} {each.advice}", each.purpose or f"before {each.record.run_id} can go")
        for each in refusals[:MOST_TOLD]
        if each.advice
    ]
    return lines + (step_lines(steps) if steps else [])


def done_lines(
    cleaned: Sequence[Cleaned], *, removed: str, shrunk: int, store: StoreSize, width: int
) -> list[Text]:
    """Show what was removed."""
    files, size = sum(each.files for each in cleaned), sum(each.size for each in cleaned)
    lines = [
        Text(
            f"{count(len(cleaned), 'run')} {removed}: {count(files, 'file')}, "
            f"{data_size(size)} freed"
        )
    ]
    staying = [each for each in cleaned if not each.is_gone and each.results and not each.left]
    if removed == "removed" and staying:
        for each in staying[:MOST_TOLD]:
            lines += paragraph(
                f"{each.run_id} stays in the list: other runs use {count(each.results, 'result')} "
                "of it",
                width=width,
            )
    if shrunk:
        lines.append(Text(f"the database is smaller by {data_size(shrunk)}"))
    if store.free >= 1_000_000:
        lines.append(Text(f"{data_size(store.free)} in the database are free for further runs"))
    left = [each for run in cleaned for each in run.left]
    lines += _told("could not be removed, and is tried again by the next clean", left, width)
    return lines


def cleaned_as_dict(
    runs: Sequence[RunUsage],
    results: Mapping[str, int],
    refusals: Sequence[Refusal],
    cleaned: Sequence[Cleaned] | None,
) -> dict[str, Any]:
    """Convert what is to be removed, or was, to JSON."""
    done = {each.run_id: each for each in cleaned or ()}
    return {
        "version": 1,
        "dry_run": cleaned is None,
        "runs": [
            {
                **_short(run_as_dict(each.record)),
                "bytes": each.size.total,
                "instances": each.instances,
                "results": results.get(each.record.run_id, 0),
                "freed_bytes": done[each.record.run_id].size
                if each.record.run_id in done
                else None,
                "gone": done[each.record.run_id].is_gone if each.record.run_id in done else None,
                "left": list(done[each.record.run_id].left) if each.record.run_id in done else [],
            }
            for each in runs
        ],
        "left_alone": [{"run_id": each.record.run_id, "reason": each.reason} for each in refusals],
    }


# -- details ---------------------------------------------------------------------------------
def _short(run: dict[str, Any]) -> dict[str, Any]:
    return {name: run[name] for name in run if name not in ("parameters", "message")}


def _files(runs: Sequence[RunUsage]) -> str:
    files = sum(each.size.files for each in runs)
    instances = sum(each.instances for each in runs)
    return f"{count(instances, 'instance')}, {count(files, 'file')}, {data_size(_total(runs))}"


def _total(runs: Sequence[RunUsage]) -> int:
    return sum(each.size.total for each in runs)


def _in_store(size: StoreSize | None) -> str:
    if size is None:
        return ""
    free = f" ({data_size(size.free)} of it free)" if size.free >= size.total / 10 else ""
    return f"; database {data_size(size.total)}{free}"


def _verb(number: int, plain: str) -> str:
    """Put a verb into the singular where its subject is one."""
    if number != 1:
        return plain
    return f"{plain}es" if plain.endswith("o") else f"{plain}s"


def _told(what: str, items: Sequence[str], width: int) -> list[Text]:
    if not items:
        return []
    lines = [Text(""), Text(f"{what}:")]
    for item in items[:MOST_TOLD]:
        lines += paragraph(item, width=width, indent=GAP + GAP, first=GAP)
    if len(items) > MOST_TOLD:
        lines.append(Text(f"{GAP}and {len(items) - MOST_TOLD:,} more"))
    return lines
