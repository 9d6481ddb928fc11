"""A job's attributes in the server's order, and how `qstat -f` and `qstat -x` print them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from reflow.testing.fakes.model import Phase, Task, Wait
from reflow.testing.fakes.pbs.jobs import SERVER, write_moment, write_span
from reflow.testing.fakes.torque.jobs import (
    TorqueJob,
    array_state_of,
    exit_status_of,
    name_of,
    state_of,
)

if TYPE_CHECKING:
    from reflow.testing.fakes.torque.face import TorqueFace

Attribute = tuple[str, str, str]
"""Name, name of the resource if it is one, value."""
_MOMENTS = {"ctime", "etime", "mtime", "qtime", "start_time", "comp_time", "Execution_Time"}
_WIDTH = 77


def attributes_of(face: TorqueFace, job: TorqueJob, task: Task | None) -> list[Attribute]:
    """What is known of a plain job or an element, or, without a task, of an array as a whole."""
    state = array_state_of(job) if task is None else state_of(task)
    return [
        ("Job_Name", "", job.name if task is None else name_of(task)),
        ("Job_Owner", "", f"{job.user}@{SERVER}"),
        *_used(face, task),
        ("job_state", "", state),
        ("queue", "", job.queue),
        ("server", "", SERVER),
        ("Checkpoint", "", "u"),
        ("ctime", "", str(int(job.submitted))),
        *_depend(job),
        ("Error_Path", "", _path(job, task, "e", job.error)),
        *_place(job, task),
        ("Hold_Types", "", _holds(job)),
        ("Join_Path", "", job.join),
        ("Keep_Files", "", job.keep),
        ("Mail_Points", "", "a"),
        ("mtime", "", str(int(job.changed))),
        ("Output_Path", "", _path(job, task, "o", job.output)),
        ("Priority", "", str(job.priority)),
        ("qtime", "", str(int(job.submitted))),
        ("Rerunable", "", str(job.requeues)),
        *(("Resource_List", name, value) for name, value in job.resources.items()),
        *_session(task),
        ("substate", "", str(_substate(state, job))),
        ("Variable_List", "", _variables(job)),
        ("euser", "", job.user),
        ("queue_type", "", "E"),
        *_comment(job),
        *_end(task),
        ("submit_args", "", job.submit_arguments),
        *_array(job, task),
        *_times(task),
        ("submit_host", "", SERVER),
        ("init_work_dir", "", str(job.submit_directory)),
        ("request_version", "", "1"),
    ]


def _used(face: TorqueFace, task: Task | None) -> Iterator[Attribute]:
    run = task.run if task is not None else None
    if run is None:
        return
    memory = f"{run.peak_memory // 1024}kb"
    spent = write_span((run.ended or face.engine.now()) - run.started)
    used = {"cput": "00:00:00", "energy_used": "0", "mem": memory, "vmem": memory}
    for resource, value in {**used, "walltime": spent}.items():
        yield "resources_used", resource, value


def _depend(job: TorqueJob) -> Iterator[Attribute]:
    left = [one.text(SERVER) for one in job.waits_for if not one.met]
    if left:
        yield "depend", "", ",".join(left)


def _path(job: TorqueJob, task: Task | None, letter: str, given: str) -> str:
    local = given.rpartition(":")[2] or f"{job.name}.{letter}{job.number}"
    index = "" if task is None or task.index is None else f"-{task.index}"
    return f"{SERVER}:{job.submit_directory / local}{index}"


def _place(job: TorqueJob, task: Task | None) -> Iterator[Attribute]:
    run = task.run if task is not None else None
    if run is not None:
        cpus = "0" if job.cpus == 1 else f"0-{job.cpus - 1}"
        yield "exec_host", "", "+".join(f"{node.name}/{cpus}" for node in run.nodes)
    elif job.begin:
        yield "Execution_Time", "", str(int(job.begin))


def _session(task: Task | None) -> Iterator[Attribute]:
    run = task.run if task is not None else None
    if run is not None and run.ended is None:
        yield "session_id", "", str(run.pid)


def _variables(job: TorqueJob) -> str:
    values = {"PBS_O_QUEUE": job.queue, "PBS_O_HOST": SERVER, **job.variables}
    return ",".join(f"{name}={value}" for name, value in values.items())


def _comment(job: TorqueJob) -> Iterator[Attribute]:
    if isinstance(job.reason, str) and job.waiting:
        yield "comment", "", job.reason
    if not job.holds:
        yield "etime", "", str(int(job.submitted))


def _end(task: Task | None) -> Iterator[Attribute]:
    status = exit_status_of(task) if task is not None else None
    if status is not None:
        yield "exit_status", "", str(status)


def _array(job: TorqueJob, task: Task | None) -> Iterator[Attribute]:
    if task is not None and task.index is not None:
        yield "job_array_id", "", str(task.index)
    if job.is_array:
        yield "job_array_request", "", job.range_text


def _times(task: Task | None) -> Iterator[Attribute]:
    run = task.run if task is not None else None
    if run is not None and task is not None:
        yield "start_time", "", str(int(run.started))
        yield "start_count", "", str(len(task.runs))
    yield "fault_tolerant", "", "False"
    if task is not None and task.phase is Phase.OVER and task.ended is not None:
        yield "comp_time", "", str(int(task.ended))
        if run is not None:
            yield "total_runtime", "", f"{task.ended - run.started:.6f}"


def _holds(job: TorqueJob) -> str:
    waits = job.reason is Wait.DEPENDENCY and bool(job.waiting)
    return "".join(sorted({*job.holds, *(["s"] if waits else [])}, reverse=True)) or "n"


def _substate(state: str, job: TorqueJob) -> int:
    if state == "H":
        return 20 if job.holds else 22
    return {"Q": 10, "W": 30, "R": 42, "S": 43, "E": 50, "C": 59}[state]


def full(name: str, rows: list[Attribute]) -> str:
    """`qstat -f`."""
    text = f"Job Id: {name}\n"
    for attribute, resource, value in rows:
        shown = write_moment(float(value)) if attribute in _MOMENTS else value
        text += _line(attribute + (f".{resource}" if resource else ""), shown) + "\n"
    return text + "\n"


def _line(name: str, value: str) -> str:
    """Break a value at its commas, and where a part is too long for a line."""
    text = f"    {name} = "
    column = len(name) + 7
    for number, part in enumerate(value.split(",")):
        text += "," if number else ""
        if len(part) + column < _WIDTH:
            text += part
            column += len(part)
            continue
        if number:
            text += "\n\t"
            column = 9
        for character in part:
            text += character
            column += 1
            if column > _WIDTH:
                column = 8
                text += "\n\t"
    return text


def xml(jobs: dict[str, list[Attribute]]) -> str:
    """`qstat -x`: everything in one line, moments as seconds."""
    text = ""
    for name, rows in jobs.items():
        text += f"<Job><Job_Id>{escape(name)}</Job_Id>"
        before = ""
        for attribute, resource, value in rows:
            if before and before != (attribute if resource else ""):
                text += f"</{before}>"
                before = ""
            if resource and not before:
                text += f"<{attribute}>"
                before = attribute
            tag = resource or attribute
            text += f"<{tag}>{escape(value)}</{tag}>"
        text += (f"</{before}>" if before else "") + "</Job>"
    return f'<?xml version="1.0"?>\n<Data>{text}</Data>\n'
