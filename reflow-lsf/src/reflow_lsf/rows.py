"""What is known of one job or element, from bjobs or bhist."""

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
    """Why it waits, or why it was ended."""
    killed_by: str = ""
    memory_limited: bool = False
    name: str = ""
    """The job's name, without an element's index; empty where it is unknown."""
    slots: int = 1
    """The number of slots requested."""
    requirements: str = ""
    """The requirements of `-R`."""
    hopeless: str = ""
    """Why no host can ever run it."""

    @property
    def may_be_killed(self) -> bool:
        """Whether it ended as jobs that bkill ends do, without a reason given."""
        return self.state == "EXIT" and not self.reason and self.ended_by in KILL_SIGNALS

    @property
    def ended_by(self) -> int | None:
        """The signal that ended it, which LSF reports mostly as 128 plus the number."""
        if self.signal is not None:
            return self.signal
        return self.code - 128 if self.code is not None and 128 < self.code < 193 else None

    @property
    def place(self) -> tuple[str, int]:
        """The job and the index of the element."""
        return self.job_id, self.index


def of_these(rows: Iterable[Row], handles: Iterable[JobHandle]) -> list[Row]:
    """Return the rows of the polled jobs, by name too: ids start again after MAX_JOBID, 999,999."""
    tokens = {handle.native_id.partition("[")[0]: handle.token for handle in handles}
    return [row for row in rows if _is_called(row.name, tokens.get(row.job_id, ""))]


def _is_called(name: str, token: str) -> bool:
    """Tell whether a name may be that of the token: of a long one LSF may show `*` and the end."""
    shown = name.startswith("*") and token.endswith(name[1:])
    return shown or name == token or not (name and token)


def explained(row: Row, past: Mapping[tuple[str, int], Row], enforced: bool) -> Row:
    """Add to a row what its history tells of its end, where it may have been killed.

    OpenLava reports nothing of a job that it ends for its memory: where a site does so
    (`enforced`), memory is the cause when no user has killed the job.
    """
    if not row.may_be_killed:
        return row
    history = past.get(row.place)
    if history is not None and (history.killed_by or history.reason):
        return replace(row, killed_by=history.killed_by, reason=history.reason)
    return replace(row, reason=OVER_MEMORY) if enforced and row.memory_limited else row
