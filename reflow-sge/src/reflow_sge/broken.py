"""Jobs in error state: they, and the jobs that wait for them, stay until they are deleted."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from reflow.plugin_api import FailureCause, JobStatus, SchedulerUnavailableError

from reflow_sge.ids import elements
from reflow_sge.states import IN_ERROR

logger = logging.getLogger("reflow.sge")

_RETURNED_100 = "exit_status of job start = 100"
_NO_LOG = "can't open output file"


def settled(
    statuses: Sequence[JobStatus],
    explain: Callable[[Sequence[str]], str],
    delete: Callable[[Sequence[str]], None],
) -> list[JobStatus]:
    """Return the statuses with Grid Engine's reasons on jobs in error state, and delete those.

    `explain` is called with ids and answers as `qstat -j` does.
    """
    broken = [status for status in statuses if status.reason in IN_ERROR]
    if not broken:
        return list(statuses)
    job_ids = list(dict.fromkeys(status.native_id.partition(".")[0] for status in broken))
    reasons = error_reasons(explain(job_ids))
    try:
        delete([_name_of(status) for status in broken])
    except SchedulerUnavailableError as error:
        logger.warning("jobs in error state are still in the queue: %s", error)
    return [
        _explained(status, reasons) if status.reason in IN_ERROR else status for status in statuses
    ]


def error_reasons(text: str) -> dict[tuple[str, str], str]:
    """Parse why jobs are in error state, by job and task number, in the answer of `qstat -j`."""
    reasons: dict[tuple[str, str], str] = {}
    job_id = ""
    for line in text.splitlines():
        name, _, value = line.partition(":")
        if name == "job_number":
            job_id = value.strip()
        elif found := re.fullmatch(r"error reason +(\d+)", name):
            reasons[job_id, found[1]] = _without_stamp(value.strip())
    return reasons


def _name_of(status: JobStatus) -> str:
    """Write the id of a job, or of elements of an array that share a status."""
    if status.positions is None:
        return status.native_id
    indices = range(status.positions.start + 1, status.positions.stop + 1)
    return elements(status.native_id, indices)


def _explained(status: JobStatus, reasons: Mapping[tuple[str, str], str]) -> JobStatus:
    """Make the status of a job in error state, with Grid Engine's reason."""
    job_id, _, task = status.native_id.partition(".")
    # A plain job's only task has the number 1.
    number = task or str(1 if status.positions is None else status.positions.start + 1)
    reason = reasons.get((job_id, number), "in error state")
    if _RETURNED_100 in reason:
        return replace(status, cause=FailureCause.EXIT_CODE, exit_code=100, reason=reason)
    if _NO_LOG in reason:
        reason += ": is the run directory there?"
    return replace(status, reason=reason)


def _without_stamp(reason: str) -> str:
    """Remove time and process from a reason: `11/22/2026 06:20:50 [0:21649]: ...`."""
    return re.sub(r"^[\d/]+ [\d:.]+ \[[\d:]+\]: ", "", reason)
