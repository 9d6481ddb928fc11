"""The source of a run, and how it differs from that of the run before."""

from __future__ import annotations

import stat
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from reflow.fingerprint.code.task_source import TaskSource
from reflow.model.records import RunRecord
from reflow.model.secrets import is_secret, without_passwords
from reflow.rundir.layout import RunLayout
from reflow.rundir.source_record import RunSource, current_source
from reflow.runs.reporting.contents import SourceChange, SourceReport

MOST_CHANGES = 200
MOST_BYTES = 64 * 2**20


def read_source(record: RunRecord) -> RunSource | None:
    """Return the source record of a run; None where there is none that can be read.

    Nothing but a regular file is opened: what lies in another user's folder may be a pipe that
    nobody ever writes to.
    """
    layout = RunLayout(record.run_dir, record.run_id)
    try:
        if not is_fit(layout.source):
            return None
        name = current_source(layout)
        return RunSource.read(layout, name) if is_fit(layout.source_record(name)) else None
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return None


def is_fit(path: Path) -> bool:
    """Tell whether a path is a regular file, and not too large. Raises `OSError`."""
    found = path.stat()
    return stat.S_ISREG(found.st_mode) and found.st_size <= MOST_BYTES


def source_report(
    source: RunSource, before: RunSource | None, last: RunRecord | None
) -> SourceReport:
    """Describe a run's source, and what is different from that of the last run."""
    changes: dict[SourceChange, list[str]] = {}
    changed_tasks = []
    if before is not None:
        for task, code in source.code.items():
            if before.code.get(task) == code:
                continue
            changed_tasks.append(task)
            if task in source.tasks and task in before.tasks:
                for change in _changes(source.tasks[task], before.tasks[task]):
                    changes.setdefault(change, []).append(task)
    told = [replace(change, tasks=tuple(tasks)) for change, tasks in changes.items()]
    return SourceReport(
        digests=dict(source.code),
        compared_with=None if before is None or last is None else last.run_id,
        changed_tasks=tuple(changed_tasks),
        changes=tuple(told[:MOST_CHANGES]),
        changes_in_all=len(told),
    )


_Key = tuple[str, str, str]
"""File, name and kind. Of files the name counts, as hosts may mount folders elsewhere."""
_Piece = tuple[str, str]
"""Digest, and the value as it is shown."""


def _changes(now: TaskSource, before: TaskSource) -> Iterator[SourceChange]:
    pieces, old_pieces = _pieces(now), _pieces(before)
    for key in sorted(pieces.keys() | old_pieces.keys()):
        piece, old = pieces.get(key), old_pieces.get(key)
        if piece == old:
            continue
        file, name, kind = key
        change = "added" if old is None else "removed" if piece is None else "changed"
        yield SourceChange(
            file=file,
            name=name,
            kind=kind,
            change=change,
            before=_shown(name, old),
            now=_shown(name, piece),
            tasks=(),
        )


def _shown(name: str, piece: _Piece | None) -> str:
    if piece is None or not piece[1]:
        return ""
    return "(hidden)" if is_secret(name) else str(without_passwords(piece[1]))


def _pieces(source: TaskSource) -> Mapping[_Key, _Piece]:
    found: dict[_Key, _Piece] = {}
    for each in source.definitions:
        found[Path(each.file).name, each.name, each.kind] = (each.digest, "")
    for value in source.values:
        found[Path(value.file).name, value.name, "value"] = (value.digest, value.shown)
    for given in source.given:
        name = f"{given.function}: {given.name}" if given.function else given.name
        found[Path(given.file).name, name, "given value"] = (given.digest, given.shown)
    return found
