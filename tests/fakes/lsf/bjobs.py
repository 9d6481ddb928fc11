"""The fake `bjobs`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reflow.testing.fakes.emulator import Answer, Call, Reply
from reflow.testing.fakes.grammar import Parsed
from reflow.testing.fakes.model import Phase, Task

from tests.fakes.lsf import grammar
from tests.fakes.lsf.jobs import (
    VERSION,
    LsfJob,
    check_references,
    cut,
    end_text,
    pending_reason,
    state_of,
    states_count,
    wrap,
    write_moment,
    write_short_moment,
)

if TYPE_CHECKING:
    from tests.fakes.lsf.emulator import LsfEmulator

USAGE = """\
Usage: bjobs [-h] [-V] [-w |-l] [-W] [-a] [-d] [-p] [-s] [-r] [-g job_group]
             [-A] [-m host_name] [-q queue_name] [-u user_name | -u all]
             [-P project_name] [-N host_spec] [-J name_spec] [-UF] [-WL|-WP|-WF] [-noheader]
             [jobId | "jobId[idxList]" ...]"""
_HEADER = "JOBID   USER    STAT  QUEUE      FROM_HOST   EXEC_HOST   JOB_NAME   SUBMIT_TIME\n"
_ARRAY_HEADER = "JOBID    ARRAY_SPEC  OWNER   NJOBS PEND DONE  RUN EXIT SSUSP USUSP PSUSP\n"
_PARAMETERS = (
    "\n SCHEDULING PARAMETERS:\n"
    "           r15s   r1m  r15m   ut      pg    io   ls    it    tmp    swp    mem\n"
    " loadSched   -     -     -     -       -     -    -     -     -      -      -  \n"
    " loadStop    -     -     -     -       -     -    -     -     -      -      -  \n"
)


class Bjobs:
    """The command."""

    def __init__(self, emulator: LsfEmulator) -> None:
        self._emulator = emulator

    def __call__(self, call: Call) -> Answer:
        """List jobs."""
        long_flags = ("noheader", "UF", "WL", "WP", "WF")
        line = grammar.parse(
            "bjobs", call.arguments, "hVwlWadpsrA", "gmquPNJ", USAGE, long_flags=long_flags
        )
        if line.has("V"):
            return Reply(stderr=f"{VERSION}\n")
        if line.has("h"):
            return Reply(stderr=f"{USAGE}\n")
        tasks, errors = self._find(line, call)
        if not tasks:
            nothing = "No job found\n" if line.has("a") else "No unfinished job found\n"
            return Reply(stderr=errors or nothing, code=255)
        code = 255 if errors else 0
        return Reply(self._print(line, tasks), errors, code)

    def _find(self, line: Parsed, call: Call) -> tuple[list[Task], str]:
        errors = ""
        tasks: list[Task] = []
        words = [word for word in line.operands if word != "0"]
        check_references(words)
        for word in words:
            found = self._emulator.known_tasks(word)
            if not found:
                errors += f"Job <{word}> is not found\n"
            tasks += [task for task in found if task not in tasks]
        if not words:
            tasks = self._all(line, call)
            if not tasks and line.has("J"):
                errors = f"Job <{line.last('J')}> is not found\n"
        return sorted(tasks, key=_rank), errors

    def _all(self, line: Parsed, call: Call) -> list[Task]:
        user = line.last("u", call.user)
        tasks: list[Task] = []
        for job in self._emulator.known_jobs():
            if user not in ("all", job.user):
                continue
            if line.has("J") and line.last("J") not in (job.name, job.spec):
                continue
            if line.has("q") and job.queue != line.last("q"):
                continue
            tasks += [task for task in job.present if task.known]
        return [task for task in tasks if self._is_wanted(line, state_of(task))]

    def _is_wanted(self, line: Parsed, state: str) -> bool:
        if line.has("a"):
            return True
        groups = {
            "r": ("RUN",),
            "p": ("PEND", "PSUSP"),
            "s": ("USUSP", "SSUSP", "PSUSP"),
            "d": ("DONE", "EXIT"),
        }
        chosen = [states for letter, states in groups.items() if line.has(letter)]
        if chosen:
            return any(state in states for states in chosen)
        return state not in ("DONE", "EXIT")

    # Printing

    def _print(self, line: Parsed, tasks: list[Task]) -> str:
        if line.has("A"):
            return self._arrays(tasks)
        if line.has("l", "UF"):
            unbroken = line.has("UF")
            rule = "-" * 78 + "\n"
            return rule.join(self._long(task, unbroken=unbroken) for task in tasks) + "\n"
        wide = line.has("w")
        text = "" if line.has("noheader") else _HEADER
        for task in tasks:
            text += self._row(task, wide=wide)
            if line.has("p"):
                text += f" {pending_reason(task)}: 1 host;\n"
        return text

    def _row(self, task: Task, *, wide: bool) -> str:
        job = task.job
        assert isinstance(job, LsfJob)
        host = task.run.nodes[0].name if task.run is not None else ("   -" if wide else "")
        name = job.task_name(task)
        user, queue, here = job.user, job.queue, self._emulator.host
        if not wide:
            name, user, queue = cut(name, 10), user[:7], queue[:10]
        end = "" if wide else "  "
        return (
            f"{job.number:<7} {user:<7} {state_of(task):<5} {queue:<10} {here:<11} {host:<11} "
            f"{name:<10} {write_short_moment(job.submitted)}{end}\n"
        )

    def _arrays(self, tasks: list[Task]) -> str:
        text = _ARRAY_HEADER
        numbers = dict.fromkeys(task.job.number for task in tasks if task.index is not None)
        for number in numbers:
            job = self._emulator.jobs[number]
            every = job.present
            counts = [states_count(every, state) for state in ("PEND", "DONE", "RUN", "EXIT")]
            stopped = [states_count(every, state) for state in ("SSUSP", "USUSP", "PSUSP")]
            text += (
                f"{number:<8} {job.spec[:8]:<8}  {job.user[:8]:<8} {len(every):6d}"
                + "".join(f" {count:4d}" for count in counts)
                + "".join(f" {count:5d}" for count in stopped)
                + "\n"
            )
        return text

    def _long(self, task: Task, *, unbroken: bool) -> str:
        job = task.job
        assert isinstance(job, LsfJob)
        broken = (lambda text: text) if unbroken else wrap
        lines = ["", broken(self._first_line(job, task, unbroken=unbroken))]
        lines.append(broken(self._submitted_line(job)))
        lines += self._limits(job)
        if task.phase is Phase.PENDING:
            lines += [" PENDING REASONS:", f" {pending_reason(task)}: 1 host;"]
        run = task.run
        if run is not None:
            started = "Started" if task.index is None else f"[{task.index}] started"
            lines.append(
                broken(
                    f"{write_moment(run.started)}: {started} on <{run.nodes[0].name}>, "
                    f"Execution Home <{job.home}>, Execution CWD <{job.directory}>;"
                )
            )
        if task.phase is Phase.OVER:
            end = end_text(task)
            stop = "." if run is not None else ""
            lines.append(broken(f"{write_moment(task.ended or 0.0)}: {end}{stop}"))
        return "\n".join(lines) + "\n" + _PARAMETERS

    def _first_line(self, job: LsfJob, task: Task, *, unbroken: bool) -> str:
        number = str(job.number) + (f"[{task.index}]" if task.index is not None else "")
        name = f"Job Name <{job.task_name(task)}>, " if job.is_named or job.is_array else ""
        word = "Job" if unbroken else "Job Id"
        return (
            f"{word} <{number}>, {name}User <{job.user}>, Project <{job.project}>, "
            f"Status <{state_of(task)}>, Queue <{job.queue}>, Command <{job.shown}>"
        )

    def _submitted_line(self, job: LsfJob) -> str:
        parts = [f"{write_moment(job.submitted)}: Submitted from host <{self._emulator.host}>"]
        if job.held_at_start:
            parts[0] += " on hold"
        if job.begin:
            parts.append(f"Specified Start Time <{write_moment(job.begin)}>")
        parts.append(f"CWD <{self._emulator.shown_directory(job)}>")
        if job.output:
            parts.append(f"Output File <{job.output}>")
        if job.error:
            parts.append(f"Error File <{job.error}>")
        if job.slots > 1:
            parts.append(f"{job.slots} Processors Requested")
        if job.requirements:
            parts.append(f"Requested Resources <{job.requirements}>")
        if job.condition_text:
            parts.append(f"Dependency Condition <{job.condition_text}>")
        return ", ".join(parts) + ";"

    def _limits(self, job: LsfJob) -> list[str]:
        lines: list[str] = []
        if job.run_minutes is not None:
            value = f"{job.run_minutes:.1f} min of {self._emulator.host}"
            lines += ["", f" {'RUNLIMIT':<24}", f" {value:<24}"]
        if job.memory_kb is not None:
            lines += ["", " MEMLIMIT", f" {job.memory_kb} K"]
        if job.swap_kb is not None:
            lines += ["", " SWAPLIMIT", f" {job.swap_kb} K "]
        return lines


def _rank(task: Task) -> tuple[int, float]:
    """What runs first, then what waits, then what is over, in the order in which it ended."""
    if task.phase in (Phase.RUNNING, Phase.ENDING):
        return 0, 0.0
    return (1, 0.0) if task.phase is Phase.PENDING else (2, task.ended or 0.0)
