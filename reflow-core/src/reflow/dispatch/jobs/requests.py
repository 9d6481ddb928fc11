"""Job requests: what is asked of an executor for a wave, or for a dispatch job."""

from __future__ import annotations

from datetime import timedelta

from reflow.dispatch.jobs.packing import job_resources
from reflow.model.jobs import JobRequest
from reflow.model.records import SubmissionRecord
from reflow.rundir.run_settings import RunSettings
from reflow.rundir.wave_files import WaveSpec


def array_size(spec: WaveSpec) -> int | None:
    """Return the size of the wave's array; None where it is a plain job."""
    if spec.pack is not None and spec.pack.open:
        return None
    jobs = spec.size if spec.pack is None else spec.pack.hosts
    return jobs if jobs > 1 else None


def wave_request(settings: RunSettings, spec: WaveSpec) -> JobRequest:
    """Return the job that runs a wave's workers, the same for every submission of the wave."""
    layout = settings.layout.wave(spec.number)
    pack = spec.pack
    module = "reflow.execution.job_worker" if pack is None else "reflow.execution.pool.host"
    command = settings.command(module, str(spec.number))
    size = array_size(spec)
    return JobRequest(
        token=spec.token,
        command=command if size is not None else (*command, "0"),
        directory=layout.directory,
        working_directory=settings.working_directory,
        resources=spec.resources if pack is None else job_resources(spec.resources, pack),
        size=size,
        throttle=_throttle(spec) if size is not None else None,
        excluded_hosts=spec.excluded_hosts,
        label=f"{settings.workflow} / {settings.run_id} / {spec.task}",
    )


def _throttle(spec: WaveSpec) -> int | None:
    """Return how many jobs of a wave may run at once."""
    if spec.throttle is None or spec.pack is None:
        return spec.throttle
    return max(1, spec.throttle // spec.pack.at_once)


def dispatch_request(
    settings: RunSettings, record: SubmissionRecord, begin_in: timedelta | None = None
) -> JobRequest:
    """Return the job that takes one dispatch step."""
    return JobRequest(
        token=record.token,
        command=settings.command("reflow.runs.dispatch_job"),
        directory=settings.layout.dispatch_job(record.number),
        working_directory=settings.working_directory,
        resources=settings.config.dispatch.resources,
        begin_in=begin_in,
        again_unless=None if begin_in is None else settings.layout.ended,
        label=f"{settings.workflow} / {settings.run_id} / dispatch",
    )
