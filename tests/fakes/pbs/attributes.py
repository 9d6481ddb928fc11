"""A job's attributes in the order in which `qstat -f` prints them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reflow.testing.fakes.model import Phase, Task, Wait, Why

from tests.fakes.pbs.depend import AFTER, Dependency
from tests.fakes.pbs.jobs import (
    SERVER,
    PbsJob,
    array_state_of,
    exit_status_of,
    state_of,
    write_comment_moment,
    write_indices,
    write_moment,
    write_span,
)

if TYPE_CHECKING:
    from tests.fakes.pbs.emulator import PbsEmulator

Value = str | int | dict[str, str]
Attributes = dict[str, Value]


class Writer:
    """Writes the attributes of arrays, plain jobs and elements."""

    def __init__(self, emulator: PbsEmulator) -> None:
        self._emulator = emulator

    def of_array(self, job: PbsJob) -> Attributes:
        """An array as a whole."""
        state = array_state_of(job)
        values = self._head(job, None, state)
        values |= self._times(job, job.began, self._array_end(job))
        values["substate"] = self._array_substate(job)
        values["Variable_List"] = self._variables(job)
        comment = self._array_comment(job)
        if comment:
            values["comment"] = comment
        if not job.holds and state not in "HW" and not job.doomed:
            values["etime"] = write_moment(job.submitted)
        if job.exit_status is not None:
            values["Stageout_status"] = 1
            values["Exit_status"] = job.exit_status
        values["Submit_arguments"] = job.submit_arguments
        values["array"] = "True"
        values["array_state_count"] = self._counts(job)
        values["array_indices_submitted"] = job.range_text
        values["array_indices_remaining"] = write_indices(job.indices_left)
        return self._tail(job, values, self._array_end(job))

    def of_task(self, task: Task) -> Attributes:
        """A plain job, or an element."""
        job = task.job
        assert isinstance(job, PbsJob)
        if task.index is not None and (task.run is None or task.index in job.lost):
            return self._of_shadow(job, task)
        state = state_of(task)
        run = task.run
        values = self._head(job, task, state)
        end = run.ended if run is not None else task.ended
        began = run.started if run is not None else None
        values |= self._times(job, began, end if run is not None else None)
        if run is not None:
            if task.phase is not Phase.OVER or run.peak_memory:
                values["session_id"] = run.pid
            values["jobdir"] = self._emulator.home()
        values["substate"] = self._substate(task)
        values["Variable_List"] = self._variables(job)
        comment = self._comment(task)
        if comment:
            values["comment"] = comment
        if run is not None or (state == "Q" or self._was_eligible(job, task)):
            values["etime"] = write_moment(job.submitted)
        if run is not None:
            values["run_count"] = len(task.runs)
        status = exit_status_of(task)
        if status is not None:
            values["Stageout_status"] = 1
            values["Exit_status"] = status
        if task.index is None:
            values["Submit_arguments"] = job.submit_arguments
        else:
            values["array_id"] = self._emulator.job_id(job)
            values["array_index"] = task.index
        return self._tail(job, values, task.ended)

    def _of_shadow(self, job: PbsJob, task: Task) -> Attributes:
        """An element of which the server keeps nothing of its own: mostly the array's values."""
        values: Attributes = {}
        over = task.phase is Phase.OVER
        for name, value in self.of_array(job).items():
            if name in ("Stageout_status", "Exit_status", "obittime") and not over:
                continue
            values[name] = value
            if name == "Submit_arguments":
                break
        values["job_state"] = state_of(task)
        values["substate"] = 91 if over else (70 if job.throttle and not job.began else 10)
        if over:
            values["comment"] = "Subjob finished"
            values.setdefault("Exit_status", 1)
            values["Exit_status"] = 1
        return values

    # Parts

    def _head(self, job: PbsJob, task: Task | None, state: str) -> Attributes:
        run = task.run if task is not None else None
        is_element = task is not None and task.index is not None
        output, error = self._emulator.shown_paths(job)
        values: Attributes = {"Job_Name": job.name, "Job_Owner": f"{job.user}@{SERVER}"}
        if task is not None and run is not None:
            values["resources_used"] = self._used(job, task)
        values |= {"job_state": state, "queue": job.queue, "server": SERVER}
        if not is_element:
            values["Checkpoint"] = "u"
        values["ctime"] = write_moment(job.submitted)
        depend = self._depend(job)
        if depend:
            values["depend"] = depend
        values["Error_Path"] = error
        if run is not None:
            values["exec_host"] = "+".join(f"{node.name}/0" for node in run.nodes)
            values["exec_vnode"] = "+".join(f"({node.name}:{job.vnode})" for node in run.nodes)
        if job.begin and run is None:
            values["Execution_Time"] = write_moment(job.begin)
        if not is_element:
            values["Hold_Types"] = self._holds(job)
        values["Join_Path"] = job.join
        values["Keep_Files"] = job.keep
        values["Mail_Points"] = "a"
        values["mtime"] = write_moment(job.changed)
        values["Output_Path"] = output
        values["Priority"] = job.priority
        values["qtime"] = write_moment(job.submitted)
        values["Rerunable"] = str(job.requeues)
        values["Resource_List"] = job.resources
        return values

    def _depend(self, job: PbsJob) -> str:
        """What it waits for, and what waits for it."""
        parts = [
            one.text(SERVER) for one in job.dependencies if one.kind not in AFTER or not one.met
        ]
        if not job.finished or job.doomed:
            for other in self._emulator.known_jobs():
                parts += [
                    Dependency(
                        one.kind.replace("after", "before"), other.number, other.is_array
                    ).text(SERVER)
                    for one in other.dependencies
                    if one.kind in AFTER and one.number == job.number and not one.met
                ]
        return ",".join(parts)

    def _holds(self, job: PbsJob) -> str:
        waits = job.reason is Wait.DEPENDENCY and bool(job.waiting)
        kinds = sorted({*job.holds, *(["s"] if job.doomed or waits else [])}, reverse=True)
        return "".join(kinds) or "n"

    def _used(self, job: PbsJob, task: Task) -> dict[str, str]:
        run = task.run
        assert run is not None
        memory = run.peak_memory // 1024
        elapsed = (run.ended or self._emulator.engine.now()) - run.started
        return {
            "cpupercent": "0",
            "cput": "00:00:00",
            "mem": f"{memory}kb",
            "ncpus": str(job.cpus * len(run.nodes)),
            "vmem": f"{memory}kb",
            "walltime": write_span(elapsed),
        }

    def _times(self, job: PbsJob, began: float | None, ended: float | None) -> Attributes:
        values: Attributes = {}
        if began is not None:
            values["stime"] = write_moment(began)
            if ended is not None:
                values["obittime"] = write_moment(ended)
        return values

    def _variables(self, job: PbsJob) -> dict[str, str]:
        return {**job.variables, "PBS_O_QUEUE": job.queue, "PBS_O_HOST": SERVER}

    def _tail(self, job: PbsJob, values: Attributes, ended: float | None) -> Attributes:
        if ended is not None:
            values["history_timestamp"] = int(ended)
        values["project"] = "_pbs_project_default"
        values["Submit_Host"] = SERVER
        if job.throttle is not None and "array" in values:
            values["max_run_subjobs"] = job.throttle
        return values

    def _was_eligible(self, job: PbsJob, task: Task) -> bool:
        return task.phase is Phase.OVER and not (job.holds or job.doomed or job.begin)

    # Substates and comments

    def _substate(self, task: Task) -> int:
        job = task.job
        assert isinstance(job, PbsJob)
        if task.phase is Phase.RUNNING or task.phase is Phase.ENDING:
            return 42
        if task.phase is Phase.OVER:
            if job.doomed:
                return 92
            if task.why is Why.CANCELLED:
                return 91
            return 92 if exit_status_of(task) == 0 else 93
        return {"H": 22 if not job.holds else 20, "W": 30}.get(state_of(task), 10)

    def _array_substate(self, job: PbsJob) -> int:
        if not job.finished:
            if job.began is not None:
                return 70
            return {"H": 20 if job.holds else 22, "W": 30}.get(array_state_of(job), 10)
        if job.deleted_by:
            return 91
        return 93 if job.any_failed else 92

    def _array_end(self, job: PbsJob) -> float | None:
        return max((task.ended or 0.0) for task in job.tasks.values()) if job.finished else None

    def _comment(self, task: Task) -> str:
        job, run = task.job, task.run
        assert isinstance(job, PbsJob)
        if job.doomed:
            return ""
        if run is None:
            base = self._waiting_comment(job)
            gone = task.phase is Phase.OVER and base
            return f"{base} and terminated" if gone else base
        places = "+".join(f"({node.name}:{job.vnode})" for node in run.nodes)
        base = f"Job run at {write_comment_moment(run.started)} on {places}"
        if task.phase is not Phase.OVER:
            return base
        if task.why is Why.WALLTIME:
            return f"{base} and exceeded resource walltime"
        if task.why is Why.MEMORY:
            return f"{base} and exceeded resource mem"
        if task.why is Why.CANCELLED:
            return f"{base} and terminated by {job.deleted_by or job.user}@{SERVER}"
        return f"{base} and {'finished' if exit_status_of(task) == 0 else 'failed'}"

    def _waiting_comment(self, job: PbsJob) -> str:
        return job.reason if isinstance(job.reason, str) else ""

    def _array_comment(self, job: PbsJob) -> str:
        if job.doomed:
            return ""
        if job.began is None:
            return self._waiting_comment(job)
        base = f"Job Array Began at {write_comment_moment(job.began)}"
        if not job.finished:
            return base
        if job.deleted_by:
            return f"{base} and terminated"
        return f"{base} and {'failed' if job.any_failed else 'finished'}"

    def _counts(self, job: PbsJob) -> str:
        expired = sum(task.phase is Phase.OVER for task in job.tasks.values())
        if job.finished:
            # Of no use once it is over: what is counted then is not what expired.
            expired = len(job.lost)
        return f"Queued:{len(job.waiting)} Running:{job.active} Exiting:0 Expired:{expired}"
