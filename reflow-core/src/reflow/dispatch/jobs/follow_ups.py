"""Follow-ups: dispatch jobs that start once a wave, or all pilots of a submission, have ended."""

from __future__ import annotations

from datetime import UTC, datetime

from reflow.dispatch.jobs.names import token
from reflow.dispatch.tracked_run import TrackedRun
from reflow.model.records import SubmissionKind, SubmissionRecord
from reflow.permissions import make_folder
from reflow.rundir.run_settings import RunSettings


def new_follow_up(tracked: TrackedRun, settings: RunSettings, follows: int) -> SubmissionRecord:
    """Return the record of a follow-up of another submission, and make the folder of its job."""
    number = tracked.number
    make_folder(settings.layout.dispatch_job(number), within=settings.layout.root)
    return SubmissionRecord(
        number=number,
        kind=SubmissionKind.FOLLOW_UP,
        token=token(settings.run_id, number, "dispatch"),
        follows=follows,
        submitted_at=datetime.now(UTC),
    )
