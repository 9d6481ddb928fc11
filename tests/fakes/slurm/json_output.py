"""What `squeue --json` and `sacct --json` of Slurm 22.05 print."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from reflow.testing.fakes.model import Phase

from tests.fakes.slurm.jobs import Record, reason_of, records

if TYPE_CHECKING:
    from tests.fakes.slurm.emulator import SlurmEmulator
    from tests.fakes.slurm.sacct import Row


def squeue(emulator: SlurmEmulator) -> str:
    """Every job that slurmctld knows, whatever was asked for."""
    jobs = [
        _queued(emulator, record)
        for job in emulator.known_jobs()
        for record in records(job)
        if record.task.known
    ]
    return _document("openapi/v0.0.38", "Slurm OpenAPI v0.0.38", jobs)


def sacct(emulator: SlurmEmulator, rows: Sequence[Row]) -> str:
    """The allocations chosen."""
    jobs = [_accounted(emulator, row) for row in rows]
    return _document("openapi/dbv0.0.38", "Slurm OpenAPI DB v0.0.38", jobs)


def _document(kind: str, name: str, jobs: Sequence[Mapping[str, Any]]) -> str:
    document = {
        "meta": {
            "plugin": {"type": kind, "name": name},
            # minor and micro stand in each other's place in this version
            "Slurm": {"version": {"major": 22, "micro": 8, "minor": 5}, "release": "22.05.8"},
        },
        "errors": [],
        "jobs": jobs,
    }
    text = json.dumps(document, indent=2, ensure_ascii=False).replace("openapi/", "openapi\\/")
    return re.sub(r"^( *)(.*)\[\](,?)$", r"\1\2[\n\1]\3", text, flags=re.MULTILINE)


def _queued(emulator: SlurmEmulator, record: Record) -> dict[str, Any]:
    job, task, run = record.job, record.task, record.task.run
    over = task.phase is Phase.OVER and run is not None
    code, number = emulator.exit_code_of(task)
    cpus = job.request.share.cpus * job.request.nodes
    memory = job.mem_per_node or job.mem_per_cpu * job.request.share.cpus
    resources = f"cpu={cpus},mem={memory}M,node={job.request.nodes},billing={cpus}"
    nodes = emulator.nodes_of(task)
    return {
        "account": job.account,
        "accrue_time": int(job.submitted),
        "array_job_id": job.number if job.is_array else 0,
        "array_task_id": None if record.is_folded else task.index,
        "array_max_tasks": job.throttle or 0,
        "array_task_string": record.index_text if record.is_folded else "",
        "batch_flag": True,
        "batch_host": nodes.split(",")[0],
        "cluster": emulator.settings.cluster,
        "command": job.command,
        "comment": job.comment,
        "cpus_per_task": job.cpus_per_task,
        "dependency": emulator.dependency_text(task).replace("(null)", ""),
        "derived_exit_code": 0,
        "eligible_time": int(job.submitted),
        "end_time": int(emulator.end_of(task) or 0),
        "exit_code": (code << 8 | number) if over else 0,
        "features": job.features,
        "group_id": job.uid,
        "group_name": job.user,
        "job_id": record.raw_id,
        "job_state": emulator.state_of(task),
        "name": job.name,
        "nodes": nodes,
        "cpus": cpus,
        "node_count": job.request.nodes,
        "tasks": job.ntasks or 1,
        "partition": job.queue,
        "memory_per_node": job.mem_per_node,
        "memory_per_cpu": None if job.mem_per_node else job.mem_per_cpu,
        "priority": job.priority,
        "qos": job.qos,
        "requeue": job.requeues,
        "restart_cnt": max(len(task.runs) - 1, 0),
        "start_time": int(emulator.start_of(task) or 0),
        "state_description": "",
        "state_reason": reason_of(task),
        "standard_error": job.stderr,
        "standard_input": job.stdin,
        "standard_output": str(job.directory / job.stdout) if job.stdout else "",
        "submit_time": int(job.submitted),
        "suspend_time": 0,
        "time_limit": int(job.request.walltime // 60) if job.request.walltime else None,
        "tres_req_str": resources,
        "tres_alloc_str": resources if run is not None else "",
        "user_id": job.uid,
        "user_name": job.user,
        "current_working_directory": str(job.directory),
    }


def _accounted(emulator: SlurmEmulator, row: Row) -> dict[str, Any]:
    job = row.job
    code, number = row.code
    status = "SUCCESS" if not code and not number else "ERROR"
    exit_code: dict[str, Any] = {"status": status, "return_code": code}
    if number:
        exit_code = {
            "status": "SIGNALED",
            "return_code": code,
            "signal": {"signal_id": number, "name": str(number)},
        }
    elapsed = 0 if row.start is None else int((row.end or emulator.engine.now()) - row.start)
    index = row.id.partition("_")[2]
    return {
        "account": job.account,
        "array": {
            "job_id": job.number if index else 0,
            "limits": {"max": {"running": {"tasks": job.throttle or 0}}},
            "task": index.strip("[]") if index.startswith("[") else None,
            "task_id": int(index) if index.isdigit() else None,
        },
        "association": {
            "account": job.account,
            "cluster": emulator.settings.cluster,
            "partition": None,
            "user": job.user,
        },
        "cluster": emulator.settings.cluster,
        "derived_exit_code": {"status": "SUCCESS", "return_code": 0},
        "time": {
            "elapsed": elapsed,
            "eligible": int(job.submitted),
            "end": int(row.end or 0),
            "start": int(row.start or 0),
            "submission": int(job.submitted),
            "suspended": 0,
            "limit": int((job.request.walltime or 0) // 60),
        },
        "exit_code": exit_code,
        "flags": [],
        "group": job.user,
        "job_id": int(row.raw),
        "name": row.name,
        "nodes": row.nodes or "None assigned",
        "partition": job.queue,
        "priority": job.priority,
        "qos": job.qos,
        "required": {"CPUs": job.request.share.cpus, "memory": job.mem_per_node or 0},
        "state": {"current": row.state.split()[0], "reason": row.reason},
        "steps": [],
        "user": job.user,
        "working_directory": str(job.directory),
    }
