"""The files of a wave's workers: one specification, and one input record per position."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from reflow.errors import ReflowError
from reflow.fingerprint.files.states import State
from reflow.model.fields import as_json, from_json
from reflow.model.resources import Resources
from reflow.rundir.file_states import states_as_json, states_from_json
from reflow.rundir.files import damaged, read_bytes, write_whole
from reflow.rundir.layout import WaveLayout
from reflow.rundir.packs import Pack

_OFFSET = struct.Struct("<Q")


@dataclass(frozen=True, slots=True, kw_only=True)
class WaveSpec:
    """What every element of a wave shares. `size` counts its elements, 1 for a plain task."""

    run_id: str
    task: str
    number: int
    token: str
    size: int
    code: str
    """Version or source digest that the wave was planned with."""
    source: str = ""
    """Name of the source record, which also names the copy of the code to load."""
    common: Mapping[str, str]
    """Texts of the arguments that all elements share."""
    each: tuple[str, ...]
    """Names of the arguments that stand in the input records, in order."""
    resources: Resources
    throttle: int | None = None
    excluded_hosts: tuple[str, ...] = ()
    states: Mapping[str, tuple[State, ...]] = field(default_factory=dict)
    """Recorded states of files that shared arguments refer to, by argument."""
    notify: bool = False
    """Whether the last worker starts a dispatch step."""
    pack: Pack | None = None
    """How the elements share jobs; None where each has a job of its own."""

    @property
    def claims(self) -> int:
        """How many claims the wave has: one per element, or per block where they share jobs."""
        return self.size if self.pack is None else self.pack.blocks(self.size)

    def claim_of(self, position: int) -> int:
        """Return the number of the claim that covers a position."""
        return position if self.pack is None else self.pack.block_of(position)

    def write(self, layout: WaveLayout) -> None:
        """Write the specification into the wave's folder."""
        write_whole(layout.spec, json.dumps(as_json(self), indent=1).encode())

    @classmethod
    def read(cls, layout: WaveLayout) -> WaveSpec:
        """Read back what `write` wrote. Raises `OSError`, for damaged data too."""
        content = read_bytes(layout.spec)
        try:
            data = json.loads(content)
            if "announce" in data:  # What reflow 0.1 called it; its runs may go on with this one.
                data["notify"] = data.pop("announce")
            return from_json(cls, data)
        except (ValueError, LookupError, TypeError, ReflowError) as error:
            raise damaged(layout.spec) from error


@dataclass(frozen=True, slots=True)
class InputRecord:
    """The input of one position."""

    index: int
    attempt: int
    texts: tuple[str, ...] = field(default=())
    """Canonical texts of the arguments that `WaveSpec.each` names."""
    states: tuple[tuple[State, ...], ...] = field(default=())
    """Recorded states of the files that each of them refers to; empty where none does."""
    candidate: str = ""
    """What is recorded of a stored result that serves if its files, which were touched since,
    have the contents that they had (`Recorded.text`)."""


def write_inputs(path: Path, records: Iterable[InputRecord]) -> None:
    """Write one line per position, and after them where each line starts."""
    lines = [_line(record) for record in records]
    offsets, start = [], 0
    for line in lines:
        offsets.append(start)
        start += len(line)
    offsets.append(start)
    table = b"".join(map(_OFFSET.pack, offsets))
    write_whole(path, b"".join([*lines, table, _OFFSET.pack(len(lines))]))


class InputReader:
    """Reads input records by position without reading the whole file."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")
        self._file.seek(-_OFFSET.size, 2)
        end = self._file.tell()
        (count,) = _OFFSET.unpack(self._file.read(_OFFSET.size))
        self._table = end - (count + 1) * _OFFSET.size
        self.size: int = count

    def read(self, position: int) -> InputRecord:
        """Return the record of a position. Raises `IndexError` beyond the last."""
        if not 0 <= position < self.size:
            raise IndexError(f"position {position} of {self.size}")
        self._file.seek(self._table + position * _OFFSET.size)
        pair = self._file.read(2 * _OFFSET.size)
        (start,), (end,) = _OFFSET.unpack(pair[:8]), _OFFSET.unpack(pair[8:])
        self._file.seek(start)
        return _parse(self._file.read(end - start))

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _line(record: InputRecord) -> bytes:
    values = [record.texts, list(map(states_as_json, record.states)), record.candidate]
    return f"{record.index} {record.attempt} {json.dumps(values)}\n".encode()


def _parse(line: bytes) -> InputRecord:
    index, attempt, rest = line.split(b" ", 2)
    texts, states, candidate = json.loads(rest)
    seen = tuple(map(states_from_json, states))
    return InputRecord(int(index), int(attempt), tuple(texts), seen, candidate)
