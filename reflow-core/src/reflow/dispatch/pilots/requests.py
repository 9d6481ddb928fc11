"""The job request of pilots, and its script."""

from __future__ import annotations

from reflow.dispatch.jobs.names import token
from reflow.executors.contract import Executor
from reflow.model.jobs import JobRequest
from reflow.model.records import SubmissionKind, SubmissionRecord
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


def pilots_script(settings: RunSettings, executor: Executor) -> str:
    """Render the script of a run's pilots, before there are any; empty where there is no script.

    Raises `ParameterError` for what the executor cannot ask its scheduler for.
    """
    assert settings.pilots is not None
    record = SubmissionRecord(
        number=1,
        kind=SubmissionKind.WAVE,
        token=token(settings.run_id, 1, "pilots"),
        size=pilots_size(settings.pilots.jobs),
    )
    return executor.script(pilots_request(settings, record))


def pilots_size(jobs: int) -> int | None:
    """Return the size of the array of so many pilots; None where it is a plain job."""
    return jobs if jobs > 1 else None
