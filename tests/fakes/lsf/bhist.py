"""The fake `bhist`, which reads the events and never forgets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reflow.testing.fakes.emulator import Answer, Call, Refusal, Reply
from reflow.testing.fakes.grammar import Parsed
from reflow.testing.fakes.model import Phase, Task

from tests.fakes.lsf import grammar
from tests.fakes.lsf.jobs import (
    VERSION,
    LsfJob,
    check_references,
    cut,
    end_text,
    state_of,
    wrap,
    write_moment,
)

if TYPE_CHECKING:
    from tests.fakes.lsf.emulator import LsfEmulator

USAGE = "Usage: bhist [-h] [-V] [-l] [-b] [-w] [-a] [-d] [-e] [-p] [-s] [-r] [jobId ...]"
_HEADER = (
    "Summary of time in seconds spent in various states:\n"
    "JOBID   USER    JOB_NAME  PEND    PSUSP   RUN     USUSP   SSUSP   UNKWN   TOTAL\n"
)


class Bhist:
    """The command."""

    def __init__(self, emulator: LsfEmulator) -> None:
        self._emulator = emulator

    def __call__(self, call: Call) -> Answer:
        """Show what became of jobs."""
        line = grammar.parse("bhist", call.arguments, "hVlbwadepsrt", "CDSfJmnNPqTu", USAGE)
        if line.has("V"):
            return Reply(stderr=f"{VERSION}\n")
        if not self._emulator.settings.readable_events:
            log = self._emulator.place / "work" / "logdir" / "lsb.events"
            raise Refusal(f"{log}: Permission denied", 255)
        tasks = self._find(line, call)
        if not tasks:
            return Reply("No matching job found\n", code=255)
        if line.has("l"):
            rule = "-" * 78 + "\n"
            return Reply(rule.join(self._long(task) for task in tasks) + "\n")
        rows = "".join(self._row(task) for task in tasks)
        return Reply(_HEADER + rows + ("\n" if line.operands else ""))

    def _find(self, line: Parsed, call: Call) -> list[Task]:
        check_references(line.operands)
        tasks: list[Task] = []
        for word in line.operands:
            tasks += [task for task in self._emulator.tasks_of(word) if task.accounted]
        if line.operands:
            return tasks
        user = line.last("u", call.user)
        for job in self._emulator.jobs.values():
            named = not line.has("J") or line.last("J") in (job.name, job.spec)
            if named and user in ("all", job.user):
                tasks += [task for task in job.present if task.accounted]
        if line.has("a"):
            return tasks
        wanted_over = line.has("d", "e")
        return [task for task in tasks if (task.phase is Phase.OVER) == wanted_over]

    def _times(self, task: Task) -> tuple[int, int, int]:
        """Seconds it waited, was held, and ran."""
        now = self._emulator.engine.now()
        run = task.run
        began = run.started if run is not None else (task.ended or now)
        ran = ((run.ended or now) - run.started) if run is not None else 0.0
        return int(began - task.job.submitted), 0, int(ran)

    def _row(self, task: Task) -> str:
        job = task.job
        assert isinstance(job, LsfJob)
        number = str(job.number) + (f"[{task.index}]" if task.index is not None else "")
        waited, held, ran = self._times(task)
        values = (waited, held, ran, 0, 0, 0)
        return (
            f"{number:<7} {job.user[:7]:<7} {cut(job.task_name(task), 8):<9} "
            + "".join(f"{value:<8}" for value in values)
            + f"{waited + held + ran:<10}\n"
        )

    def _long(self, task: Task) -> str:
        job = task.job
        assert isinstance(job, LsfJob)
        number = str(job.number) + (f"[{task.index}]" if task.index is not None else "")
        name = f"Job Name <{job.task_name(task)}>, " if job.is_named or job.is_array else ""
        lines = [
            "",
            wrap(
                f"Job Id <{number}>, {name}User <{job.user}>, Project <{job.project}>, "
                f"Command <{job.shown}>"
            ),
            wrap(self._submitted_line(job)),
        ]
        if job.run_minutes is not None:
            value = f"{job.run_minutes:.1f} min of {self._emulator.host}"
            lines += ["", f" {'RUNLIMIT':<24}", f" {value:<24}"]
        lines += self._events(job, task)
        waited, held, ran = self._times(task)
        until = write_moment(task.ended or self._emulator.engine.now())
        values = (waited, held, ran, 0, 0, 0)
        lines += [
            "",
            f"Summary of time in seconds spent in various states by  {until}",
            "  PEND     PSUSP    RUN      USUSP    SSUSP    UNKWN    TOTAL",
            "  " + "".join(f"{value:<9}" for value in values) + f"{waited + held + ran:<12}",
        ]
        return "\n".join(lines) + "\n"

    def _submitted_line(self, job: LsfJob) -> str:
        parts = [
            f"{write_moment(job.submitted)}: Submitted from host <{self._emulator.host}> "
            f"to Queue <{job.queue}>"
        ]
        if job.begin:
            parts.append(f"Specified Start Time <{write_moment(job.begin)}>")
        parts.append(f"CWD <{self._emulator.shown_directory(job)}>")
        if job.output:
            parts.append(f"Output File <{job.output}>")
        if job.error:
            parts.append(f"Error File <{job.error}>")
        if job.condition_text:
            parts.append(f"Dependency Condition <{job.condition_text}>")
        return ", ".join(parts) + ";"

    def _events(self, job: LsfJob, task: Task) -> list[str]:
        lines: list[str] = []
        for run in task.runs:
            start = write_moment(run.started)
            lines += [
                f"{start}: Dispatched to <{run.nodes[0].name}>;",
                f"{start}: Starting (Pid {run.pid});",
                wrap(
                    f"{start}: Running with execution home <{job.home}>, "
                    f"Execution CWD <{job.directory}>, Execution Pid <{run.pid}>;"
                ),
            ]
        ended = write_moment(task.ended or 0.0)
        if task.by:
            lines.append(
                wrap(f"{ended}: Signal <KILL> requested by user or administrator <{task.by}>;")
            )
        if task.phase is Phase.OVER:
            lines.append(wrap(f"{ended}: {end_text(task)};"))
            if state_of(task) == "DONE":
                lines.append(f"{ended}: Post job process done successfully;")
        return lines
