"""The job request of pilots."""

from __future__ import annotations

from reflow.model.jobs import JobRequest
from reflow.model.records import SubmissionRecord
from reflow.rundir.run_settings import RunSettings


def pilots_request(settings: RunSettings, record: SubmissionRecord) -> JobRequest:
    """Return the job, or the array of `record.size` jobs, in which a run's pilots run."""
    assert settings.pilots is not None
    command = settings.command("reflow.execution.pool.pilot", str(record.number))
    return JobRequest(
        token=record.token,
        command=command if record.size is not None else (*command, "0"),
        directory=settings.layout.pilots(record.number),
        working_directory=settings.working_directory,
        resources=settings.pilots.resources(),
        size=record.size,
        label=f"{settings.workflow} / {settings.run_id} / pilots",
    )


def pilots_size(jobs: int) -> int | None:
    """Return the size of the array of so many pilots; None where it is a plain job."""
    return jobs if jobs > 1 else None
