"""What is known of one job or element, whoever said it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from reflow.plugin_api import JobHandle

from reflow_lsf.states import KILL_SIGNALS, OVER_MEMORY


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What is known of one job or element."""

    job_id: str
    index: int
    """0 for a plain job."""
    state: str
    code: int | None = None
    signal: int | None = None
    host: str = ""
    reason: str = ""
    """Why it waits, or was ended."""
    killed_by: str = ""
    memory_limited: bool = False
    name: str = ""
    """The job's, without an element's index; empty where it is not told."""
    slots: int = 1
    """How many were asked for."""
    requirements: str = ""
    """What `-R` asked for."""
    hopeless: str = ""
    """Why no host can ever take it."""

    @property
    def may_be_killed(self) -> bool:
        """Whether it ended as jobs do that bkill ends, and nobody has said why."""
        return self.state == "EXIT" and not self.reason and self.ended_by in KILL_SIGNALS

    @property
    def ended_by(self) -> int | None:
        """The signal, which LSF reports as 128 and more most of the time."""
        if self.signal is not None:
            return self.signal
        return self.code - 128 if self.code is not None and 128 < self.code < 193 else None

    @property
    def place(self) -> tuple[str, int]:
        """Which job and element it is."""
        return self.job_id, self.index


def of_these(rows: Iterable[Row], handles: Iterable[JobHandle]) -> list[Row]:
    """Those that are of the jobs asked about: ids start again after MAX_JOBID, 999,999."""
    tokens = {handle.native_id.partition("[")[0]: handle.token for handle in handles}
    return [row for row in rows if _is_called(row.name, tokens.get(row.job_id, ""))]


def _is_called(name: str, token: str) -> bool:
    """Whether a job may be that one. Of a long name LSF may show the end, after a star."""
    shown = name.startswith("*") and token.endswith(name[1:])
    return shown or name == token or not (name and token)


def explained(row: Row, past: Mapping[tuple[str, int], Row], enforced: bool) -> Row:
    """Add to a row what its history tells of its end, where it may have been killed.

    Of a job that is ended over its memory OpenLava says nothing at all: where a site does so
    (`enforced`), that is what is left when nobody has killed it.
    """
    if not row.may_be_killed:
        return row
    history = past.get(row.place)
    if history is not None and (history.killed_by or history.reason):
        return replace(row, killed_by=history.killed_by, reason=history.reason)
    return replace(row, reason=OVER_MEMORY) if enforced and row.memory_limited else row
