"""Merging what several commands report of the jobs that were polled."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from reflow.executors.batch.arrays import contiguous
from reflow.model.jobs import JobHandle, JobStatus
from reflow.model.states import JobState


class Coverage:
    """The states reported so far of jobs and positions of arrays. The first report counts.

    A status without positions is about the whole job: of an array, about those positions that
    no other status of the same answer covers.
    """

    def __init__(self, handles: Sequence[JobHandle]) -> None:
        self._handles = {handle.native_id: handle for handle in handles}
        self._missing = {
            handle.native_id: set(range(handle.size or 1)) for handle in self._handles.values()
        }
        self._statuses: list[JobStatus] = []
        self._doubts: list[JobStatus] = []

    def add(self, statuses: Iterable[JobStatus]) -> None:
        """Add one command's answer. UNKNOWN is ignored: another command may know more."""
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
        """List the jobs whose state is not fully known yet."""
        return [handle for handle in self._handles.values() if self._missing[handle.native_id]]

    @property
    def known(self) -> list[JobStatus]:
        """The states reported so far, each position once."""
        return list(self._statuses)

    def statuses(self, reason: str = "") -> list[JobStatus]:
        """Return the states of all polled jobs, each position once.

        Where none was reported the state is UNKNOWN, with `reason`, or with that of a command
        that reported UNKNOWN.
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
