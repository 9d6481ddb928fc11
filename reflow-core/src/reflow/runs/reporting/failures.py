"""Failures of a run, put together by what they have in common."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from reflow.model.attempts import Attempt
from reflow.model.likeness import likeness
from reflow.rundir.files import open_regular
from reflow.runs.reporting.contents import FailureGroup

MOST_GROUPS = 30
"""Groups that are told, those of most tries first."""
_MOST_KEPT = 2_000
"""Groups that are kept while failures are counted: beyond, further kinds are counted only."""
MOST_RANGES = 20
TAIL_LINES = 30
TAIL_BYTES = 4_000


@dataclass(slots=True)
class _Group:
    first: Attempt
    indices: array[int] = field(default_factory=lambda: array("q"))
    lost: int = 0


class Failures:
    """Gathers failed tries, which come in order of task, index and attempt."""

    def __init__(self) -> None:
        self.attempts = 0
        self._groups: dict[tuple[str, str, str], _Group] = {}

    def add(self, attempt: Attempt, *, is_last: bool) -> None:
        """Take a failed try; `is_last` tells that its element has had no other since."""
        self.attempts += 1
        outcome = attempt.outcome
        key = (outcome.task, str(outcome.cause or ""), likeness(outcome.error))
        group = self._groups.get(key)
        if group is None:
            if len(self._groups) >= _MOST_KEPT:
                return
            group = self._groups[key] = _Group(attempt)
        group.indices.append(outcome.index)
        group.lost += is_last

    def groups(self, arrays: frozenset[str], run_dir: Path) -> Iterator[FailureGroup]:
        """Yield the largest groups; logs are read in the run directory."""
        largest = sorted(self._groups.values(), key=lambda each: -len(each.indices))
        for group in largest[:MOST_GROUPS]:
            outcome = group.first.outcome
            yield FailureGroup(
                task=outcome.task,
                array=outcome.task in arrays,
                cause=str(outcome.cause or "FAILED"),
                message=outcome.error,
                attempts=len(group.indices),
                elements=group.lost,
                indices=_ranges(group.indices),
                index=outcome.index,
                attempt=outcome.attempt,
                host=outcome.host,
                native_id=outcome.native_id,
                log=outcome.log,
                tail=log_tail(run_dir, outcome.log),
            )


def _ranges(indices: array[int]) -> tuple[tuple[int, int], ...]:
    spans: list[list[int]] = []
    for index in sorted(set(indices)):
        if spans and index == spans[-1][1] + 1:
            spans[-1][1] = index
        else:
            spans.append([index, index])
    return tuple((low, high) for low, high in spans[:MOST_RANGES])


def log_tail(run_dir: Path, log: str) -> str:
    """Return the last lines of a log; empty where it cannot be read, or leads out of the run.

    A row of the database may name any file, and a link may lead to any: neither may bring a file
    of the reader into a page that is passed on.
    """
    if not log:
        return ""
    try:
        path = (run_dir / log).resolve(strict=True)
        if not path.is_relative_to(run_dir.resolve()):
            return ""
        with open_regular(path) as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - TAIL_BYTES))
            text = file.read(TAIL_BYTES)
    except (OSError, ValueError, RuntimeError):
        return ""
    lines = text.decode(errors="replace").splitlines()
    return "\n".join(
        lines[-TAIL_LINES:] if size <= TAIL_BYTES else (lines[1:] or lines)[-TAIL_LINES:]
    )
