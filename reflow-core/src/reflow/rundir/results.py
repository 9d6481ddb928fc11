"""What a worker publishes about a position, and how it is read back."""

from __future__ import annotations

import json
import os
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from functools import cache
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

from reflow.model.outcomes import Outcome
from reflow.model.states import FailureCause, TaskState
from reflow.permissions import FILE_MODE, make_folder
from reflow.rundir.error_text import LONGEST_TRACEBACK, bounded
from reflow.rundir.files import read_bytes, write_whole
from reflow.rundir.layout import BLOCK, WaveLayout

HOST = os.uname().nodename
RESULT_NOT_WRITTEN = 74
"""Exit status of a worker whose result could not be put on the disk (EX_IOERR)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultRecord:
    """The result of one attempt of one position."""

    position: int
    outcome: Outcome
    """Whether it may be reused is decided by the dispatcher, and not published."""
    inputs_changed: bool = False
    """Files that the arguments refer to have changed since the element was planned."""
    interrupted: bool = False
    """A signal ended it; the scheduler may know why."""
    notes: tuple[tuple[str, str], ...] = ()
    """Key and text of notes to the user about the task (`Note`)."""
    other_values: bool = False
    """Values made at import that are in the fingerprint differ from the submitting process's."""
    confirmed: bool = False
    """The stored result that was its candidate serves: the function was not called."""
    missing: str = ""
    """The file that bytes of an argument lay in, which is gone: the function was not called."""
    lasting: bool = False
    """Trying again is of no use: whatever the function returns so cannot be stored."""
    last_output: str = ""
    """The last lines of a program that made the task fail, where the traceback lacks them."""

    def bounded(self) -> ResultRecord:
        """Cut long texts to what is published; the log has all of them."""
        ended = self.outcome
        if not (ended.error or ended.traceback or self.last_output):
            return self
        return replace(
            self,
            outcome=replace(
                ended,
                error=bounded(ended.error),
                traceback=bounded(ended.traceback, LONGEST_TRACEBACK) + self.last_output,
            ),
            last_output="",
        )

    def with_log(self, log: Path, run_dir: Path) -> ResultRecord:
        """Name the element's log, relative to the run directory."""
        return replace(self, outcome=replace(self.outcome, log=str(log.relative_to(run_dir))))

    def line(self) -> bytes:
        """Write the record as one line of JSON."""
        ended = [getattr(self.outcome, name) for name in _OUTCOME_FIELDS]
        own = [getattr(self, name) for name in _OWN_FIELDS]
        return (json.dumps([ended, *own]) + "\n").encode()

    @classmethod
    def parse(cls, line: bytes) -> ResultRecord:
        """Read `line` back. Raises `ValueError` for a line that is cut or foreign."""
        values = json.loads(line.decode())
        if not isinstance(values, list) or not _OLDEST < len(values) <= len(_OWN_FIELDS) + 1:
            raise ValueError("not a result record")
        ended, *own = values
        if not isinstance(ended, list) or not _OLDEST_OUTCOME <= len(ended) <= len(_OUTCOME_FIELDS):
            raise ValueError("not an outcome")
        outcome: dict[str, Any] = dict(zip(_OUTCOME_FIELDS, ended, strict=False))
        outcome["state"] = _STATES[outcome["state"]]
        if outcome["cause"] is not None:
            outcome["cause"] = FailureCause(outcome["cause"])
        record: dict[str, Any] = dict(zip(_OWN_FIELDS, own, strict=False))
        record["notes"] = tuple(map(tuple, record.get("notes", ())))
        _check({**outcome, **record})
        return cls(outcome=Outcome(**outcome), **record)


def _check(record: Mapping[str, Any]) -> None:
    """Raise `ValueError` for what no worker has written so."""
    kinds = _kinds()
    for name, value in record.items():
        if not isinstance(value, kinds[name]):
            raise ValueError(f"{name} of a result cannot be {value!r}")
    if not record["state"].final:
        raise ValueError("a result without an end")
    if any(list(map(type, note)) != [str, str] for note in record["notes"]):
        raise ValueError(f"notes of a result cannot be {record['notes']!r}")
    for text in (record["output"], record["paths"]):
        if text is not None:
            json.loads(text)
    succeeded = record["state"] is TaskState.SUCCESS
    if succeeded and record["output"] is None and not record.get("confirmed"):
        raise ValueError("a result without a value")


@cache
def _kinds() -> Mapping[str, tuple[type, ...]]:
    """Return what may stand in each field, by its annotation.

    Only dispatchers ask, once; workers that write results do without.
    """
    hints = {**get_type_hints(Outcome), **get_type_hints(ResultRecord)}
    return {name: _types_of(hint) for name, hint in hints.items()}


def _types_of(hint: Any) -> tuple[type, ...]:
    parts = get_args(hint) if isinstance(hint, UnionType) else (hint,)
    types = {get_origin(part) or part for part in parts}
    # JSON writes a number without a fraction as a whole one.
    return tuple(types | {int} if float in types else types)


_STATES = {str(state): state for state in TaskState}
_OUTCOME_FIELDS = tuple(field.name for field in fields(Outcome) if field.name != "reusable")
_OWN_FIELDS = tuple(
    field.name for field in fields(ResultRecord) if field.name not in ("outcome", "last_output")
)
# Fields of the first version; later ones are added at the end and have defaults.
_OLDEST_OUTCOME = _OUTCOME_FIELDS.index("cpu_time") + 1
_OLDEST = _OWN_FIELDS.index("interrupted") + 1


def publish(layout: WaveLayout, record: ResultRecord, incarnation: str) -> None:
    """Write a result to a file of its own, which never replaces another.

    Raises `OSError` where it cannot be written.
    """
    block = layout.result_block(record.position)
    make_folder(block, within=layout.results)
    name = f"{record.position}.{record.outcome.attempt}.{incarnation}.json"
    if not (block / name).exists():
        write_whole(block / name, record.line())


class SegmentWriter:
    """Appends many results to one file, with one fsync for a batch."""

    def __init__(self, layout: WaveLayout, writer: str) -> None:
        make_folder(layout.results, within=layout.directory)
        path = layout.results / f"{writer}.segment"
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, FILE_MODE)
        self._lines: list[bytes] = []
        self._cut = self._ends_within_a_line()
        """Whether a write before, of an earlier writer or of this one, may have left half a line,
        which the next record must not be appended to."""

    def _ends_within_a_line(self) -> bool:
        size = os.fstat(self._descriptor).st_size
        return size > 0 and os.pread(self._descriptor, 1, size - 1) != b"\n"

    def append(self, record: ResultRecord) -> None:
        """Buffer a result until the next `flush`."""
        self._lines.append(record.line())

    def flush(self) -> None:
        """Write buffered results to the disk. Raises `OSError`, keeping them, where it cannot."""
        if not self._lines:
            return
        view = memoryview(b"\n" * self._cut + b"".join(self._lines))
        self._cut = True
        while view:
            view = view[os.write(self._descriptor, view) :]
        os.fsync(self._descriptor)
        self._cut = False
        self._lines.clear()

    def close(self) -> None:
        """Close the file; results that were not flushed are lost."""
        os.close(self._descriptor)


class ResultReader:
    """Reads the results of one wave as they come, each file or line once."""

    def __init__(self, layout: WaveLayout, wanted: Container[int] | None = None) -> None:
        """Read files of the positions in `wanted` only: results of others are known by now."""
        self._results = str(layout.results)
        self._wanted = wanted
        self._offsets: dict[str, int] = {}
        self._seen: dict[str, set[str]] = {}
        """By block, the names of files that need not be read any more."""
        self._over: set[str] = set()
        """Blocks without a wanted position: they are not listed again, however often `new` is
        called while their wave goes on."""

    def new(self) -> Iterator[ResultRecord]:
        """Yield the results that were published since the last call."""
        for entry in _entries(self._results):
            if entry.name.endswith(".segment"):
                yield from self._segment(entry.path)
            elif entry.name not in self._over and entry.is_dir():
                yield from self._block(entry)

    def _segment(self, path: str) -> Iterator[ResultRecord]:
        # Another host may have appended to it what this one's client does not know of yet. The
        # import is here, as workers only write.
        from reflow.fingerprint.files.fresh import asked

        start = self._offsets.get(path, 0)
        if asked(path).st_size <= start:
            return
        with Path(path).open("rb") as file:
            file.seek(start)
            data = file.read()
        # A writer that was killed leaves a last line without its end; it was never reported.
        whole = data[: data.rfind(b"\n") + 1]
        self._offsets[path] = start + len(whole)
        for line in whole.splitlines():
            yield from _parsed(line)

    def _block(self, block: os.DirEntry[str]) -> Iterator[ResultRecord]:
        seen = self._seen.setdefault(block.name, set())
        for entry in _entries(block.path):
            if not entry.name.endswith(".json") or entry.name[0] == "." or entry.name in seen:
                continue
            if self._is_wanted(entry.name):
                yield from _parsed(read_bytes(entry.path))
            seen.add(entry.name)
        if self._is_over(block.name):
            self._over.add(block.name)
            del self._seen[block.name]

    def _is_over(self, block: str) -> bool:
        if self._wanted is None or not block.isdigit():
            return False
        start = int(block) * BLOCK
        return not any(position in self._wanted for position in range(start, start + BLOCK))

    def _is_wanted(self, name: str) -> bool:
        position = name.partition(".")[0]
        return self._wanted is None or not position.isdigit() or int(position) in self._wanted


def _entries(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except FileNotFoundError:
        return []


def _parsed(line: bytes) -> Iterator[ResultRecord]:
    try:
        yield ResultRecord.parse(line)
    except (ValueError, KeyError, TypeError, RecursionError):
        # Foreign or damaged: the position counts as one without a result.
        return
