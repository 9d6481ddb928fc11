"""Putting together what several commands said of the jobs that were asked about."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from reflow.executors.batch.arrays import contiguous
from reflow.model.jobs import JobHandle, JobStatus
from reflow.model.states import JobState


class Coverage:
    """Which jobs, and which positions of arrays, have been spoken of. The first word counts.

    A status without positions speaks of the whole job: of an array, those positions that no
    other status of the same answer speaks of.
    """

    def __init__(self, handles: Sequence[JobHandle]) -> None:
        self._handles = {handle.native_id: handle for handle in handles}
        self._missing = {
            handle.native_id: set(range(handle.size or 1)) for handle in self._handles.values()
        }
        self._statuses: list[JobStatus] = []
        self._doubts: list[JobStatus] = []

    def add(self, statuses: Iterable[JobStatus]) -> None:
        """Take in one command's answer. UNKNOWN settles nothing: another command may know."""
        whole = []
        for status in statuses:
            if status.native_id not in self._handles:
                continue
            if status.state is JobState.UNKNOWN:
                self._doubts.append(status)
            elif status.positions is None:
                whole.append(status)
            else:
                self._take(status, status.positions)
        for status in whole:
            self._take(status, self._missing[status.native_id])

    def missing(self) -> list[JobHandle]:
        """List the jobs of which something is not known yet."""
        return [handle for handle in self._handles.values() if self._missing[handle.native_id]]

    @property
    def known(self) -> list[JobStatus]:
        """What has been said, each position once."""
        return list(self._statuses)

    def statuses(self, reason: str = "") -> list[JobStatus]:
        """Everything asked about, each position once; what nobody spoke of is UNKNOWN.

        Where somebody said why he does not know, that is the reason.
        """
        for doubt in self._doubts:
            if doubt.reason:
                places = doubt.positions or self._missing[doubt.native_id]
                self._take(doubt, places)
        unknown = [
            JobStatus(
                native_id=handle.native_id,
                state=JobState.UNKNOWN,
                positions=None if handle.size is None else positions,
                reason=reason,
            )
            for handle in self.missing()
            for positions in contiguous(self._missing[handle.native_id])
        ]
        return [*self._statuses, *unknown]

    def _take(self, status: JobStatus, positions: Iterable[int]) -> None:
        missing = self._missing[status.native_id]
        news = missing.intersection(positions)
        missing -= news
        if self._handles[status.native_id].size is None:
            if news:
                self._statuses.append(replace(status, positions=None))
            return
        self._statuses.extend(replace(status, positions=run) for run in contiguous(news))
