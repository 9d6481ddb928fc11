"""What `flux jobs` shows of a job: the fields of its formats and its JSON."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from reflow.testing.fakes.emulator import Refusal
from reflow.testing.fakes.model import Phase

from tests.fakes.flux import durations, ids
from tests.fakes.flux.jobs import (
    ABBREVIATIONS,
    FluxJob,
    result_of,
    return_code,
    wait_status,
)

if TYPE_CHECKING:
    from tests.fakes.flux.emulator import FluxEmulator

_FIELD = re.compile(r"\{([\w.]+)(?:!(\w))?(?::([^{}]*))?\}")
KNOWN_EMPTY = ("bank", "uri", "annotations", "t_estimate", "user", "sched")


def record(emulator: FluxEmulator, job: FluxJob) -> dict[str, Any]:
    """The job as `--json` prints it; what does not apply yet is absent."""
    task, run = job.task, job.task.run
    state = emulator.state_of(job)
    result = result_of(job)
    values: dict[str, Any] = {"t_depend": job.submitted + 0.001}
    if state != "DEPEND":
        values["t_priority"] = job.submitted + 0.002
        values["t_sched"] = job.submitted + 0.002
    if run is not None:
        values["t_run"] = run.started
    if job.cleanup is not None:
        values["t_cleanup"] = job.cleanup
    if task.phase is Phase.OVER:
        values["t_inactive"] = task.ended
    if job.trouble is not None and job.trouble.type == "alloc":
        values.pop("t_run", None)
    values["duration"] = job.duration
    if run is not None and job.duration:
        values["expiration"] = run.started + job.duration
    values["name"] = job.name
    if job.queue:
        values["queue"] = job.queue
    values["cwd"] = str(job.directory)
    values["ntasks"] = 1 if job.is_batch else job.ntasks
    if job.asked_nodes is None or run is not None:
        values["ncores"] = job.ncores
    if run is not None:
        values["nnodes"] = len(run.nodes)
    if state != "DEPEND" and not (result and run is None and job.left):
        values["priority"] = job.urgency
    if run is not None:
        values["ranks"] = "0"
        values["nodelist"] = ",".join(node.name for node in run.nodes)
    if result:
        values["success"] = result == "COMPLETED"
        values["result"] = result
        status = wait_status(job)
        if status is not None:
            values["waitstatus"] = status
    values["id"] = job.number
    values["t_submit"] = job.submitted
    if run is not None and not result and job.duration:
        values["t_remaining"] = max(run.started + job.duration - emulator.engine.now(), 0.0)
    values["state"] = state
    values["username"] = job.user
    values["userid"] = job.uid
    values["urgency"] = job.urgency
    if run is not None:
        values["runtime"] = (run.ended or emulator.engine.now()) - run.started
    values["status"] = result or state
    if result:
        values["returncode"] = return_code(job)
    values["dependencies"] = job.left if run is None else []
    values["jobid"] = ids.to_f58(job.number)
    values["annotations"] = {}
    if state == "SCHED" and (start := emulator.estimate(job)) is not None:
        values["annotations"] = {"sched": {"t_estimate": start}}
    if run is not None:
        values["annotations"] = {"sched": {"resource_summary": "rank0/core0"}}
    values["exception"] = {"occurred": job.trouble is not None}
    if job.trouble is not None:
        values["exception"] |= {
            "severity": job.trouble.severity,
            "type": job.trouble.type,
            "note": job.trouble.note,
        }
    return values


def _contextual(emulator: FluxEmulator, job: FluxJob, values: Mapping[str, Any]) -> str:
    if values["state"] == "DEPEND":
        return "depends:" + ",".join(job.left)
    if values["state"] == "SCHED":
        if job.holds:
            return "held"
        start = emulator.estimate(job)
        return f"eta:{durations.write(max(start - emulator.engine.now(), 0.0))}" if start else ""
    return str(values.get("nodelist", ""))


def field(emulator: FluxEmulator, job: FluxJob, name: str, *, plain: bool) -> Any:
    """One field's value; None where it does not apply. Raises `KeyError` for one there is not."""
    values = record(emulator, job)
    over = bool(values.get("result"))
    simple: dict[str, Any] = {
        "id": ids.to_f58(job.number, ascii_only=plain),
        "state_single": values["state"][0],
        "status_abbrev": ABBREVIATIONS[values["status"]],
        "result": values.get("result", ""),
        "result_abbrev": ABBREVIATIONS.get(values.get("result", ""), ""),
        "dependencies": ",".join(values["dependencies"]),
        "contextual_info": _contextual(emulator, job, values),
        "contextual_time": values.get("runtime", job.duration),
        "inactive_reason": _inactive_reason(job) if over else "",
        "queue": job.queue,
        "runtime": values.get("runtime", 0.0),
        "expiration": values.get("expiration", 0.0),
        "t_remaining": values.get("t_remaining", 0.0),
        "exception.occurred": values["exception"]["occurred"] if over else "",
        "exception.type": values["exception"].get("type", ""),
        "exception.severity": values["exception"].get("severity", ""),
        "exception.note": values["exception"].get("note", ""),
        "jobid": ids.to_f58(job.number, ascii_only=plain),
    }
    for moment in ("submit", "depend", "run", "cleanup", "inactive"):
        simple[f"t_{moment}"] = values.get(f"t_{moment}", 0.0)
    if name in simple:
        return simple[name]
    if name.startswith("id."):
        found = ids.convert(job.number, name[3:], ascii_only=plain)
        if found is None:
            raise KeyError(name)
        return found
    every = (
        "duration", "name", "cwd", "ntasks", "ncores", "nnodes", "priority", "ranks", "nodelist",
        "success", "waitstatus", "state", "username", "userid", "urgency", "status",
        "returncode",
    )  # fmt: skip
    if name in every:
        return values.get(name)
    if name.split(".")[0] in KNOWN_EMPTY:
        return ""
    raise KeyError(name)


def _inactive_reason(job: FluxJob) -> str:
    result = result_of(job)
    if result == "CANCELED":
        return "Canceled"
    if result == "TIMEOUT":
        return "Timeout"
    code = return_code(job) or 0
    return "Exit 0" if result == "COMPLETED" else f"Exit {code}"


class Format:
    """A format string of `flux jobs -o`."""

    def __init__(self, text: str) -> None:
        self._text = text
        for match in _FIELD.finditer(text):
            if not _is_field(match[1]):
                raise Refusal(
                    f"flux-jobs: ERROR: Error in user format: Unknown format field: {match[1]}"
                )

    def row(self, emulator: FluxEmulator, job: FluxJob, *, plain: bool) -> str:
        """Fill in a job."""

        def fill(match: re.Match[str]) -> str:
            value = field(emulator, job, match[1], plain=plain)
            return _shown(value, match[2] or "", match[3] or "")

        return _FIELD.sub(fill, self._text)

    def header(self) -> str:
        """The line of headings."""

        def fill(match: re.Match[str]) -> str:
            heading = HEADINGS.get(match[1], match[1].upper())
            return _shown(heading, "", re.sub(r"[hdf+]$", "", match[3] or ""))

        return _FIELD.sub(fill, self._text)


HEADINGS = {
    "id": "JOBID",
    "id.f58": "JOBID",
    "id.dec": "JOBID",
    "username": "USER",
    "status_abbrev": "ST",
    "state_single": "S",
    "contextual_time": "TIME",
    "contextual_info": "INFO",
    "runtime": "TIME",
}
_SAMPLE_FIELDS = {
    "id", "state_single", "status_abbrev", "result", "result_abbrev", "dependencies",
    "contextual_info", "contextual_time", "inactive_reason", "queue", "runtime", "expiration",
    "t_remaining", "exception.occurred", "exception.type", "exception.severity", "exception.note",
    "jobid", "t_submit", "t_depend", "t_run", "t_cleanup", "t_inactive", "duration", "name", "cwd",
    "ntasks", "ncores", "nnodes", "priority", "ranks", "nodelist", "success", "waitstatus",
    "state", "username", "userid", "urgency", "status", "returncode",
}  # fmt: skip


def _is_field(name: str) -> bool:
    if name in _SAMPLE_FIELDS or name.split(".")[0] in KNOWN_EMPTY:
        return True
    return name.startswith("id.") and ids.convert(1, name[3:], ascii_only=True) is not None


def _shown(value: Any, conversion: str, spec: str) -> str:
    if spec.endswith("h"):
        spec = spec[:-1]
        value = "-" if value in (None, "", 0, 0.0) else value
    if conversion == "F" and isinstance(value, int | float):
        value = durations.write(value)
    text = "" if value is None else str(value)
    if spec.endswith("+"):
        spec = spec[:-1]
        width = int(spec.rpartition(".")[2])
        if len(text) > width:
            text = text[: width - 1] + "+"
    return format(text, spec) if spec else text
