"""Handles of the jobs that a run's submissions are known by."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from reflow.model.jobs import JobHandle
from reflow.model.records import SubmissionKind, SubmissionRecord
from reflow.rundir.layout import RunLayout


def handles_of(layout: RunLayout, records: Iterable[SubmissionRecord]) -> list[JobHandle]:
    """Return handles of every job id that submissions are known by."""
    return [
        JobHandle(
            native_id=native_id,
            token=record.token,
            size=record.size,
            submitted_at=record.submitted_at,
            directory=_directory(layout, record),
        )
        for record in records
        for native_id in record.native_ids
        if _may_be_an_id(native_id)
    ]


def _may_be_an_id(text: str) -> bool:
    """Tell whether a scheduler's command would read a text as a job id and not as an option.

    Ids come from a database that several users write to, and are put on command lines.
    """
    return text.isprintable() and not text.startswith("-") and not any(map(str.isspace, text))


def _directory(layout: RunLayout, record: SubmissionRecord) -> Path:
    if record.kind is SubmissionKind.WAVE:
        return layout.wave(record.number).directory
    if record.kind is SubmissionKind.PILOTS:
        return layout.pilots(record.number)
    return layout.dispatch_job(record.number)
