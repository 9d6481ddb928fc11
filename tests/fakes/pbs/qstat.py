"""The fake `qstat` and `qselect` of OpenPBS."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from reflow.testing.fakes.emulator import Answer, Call, Refusal, Reply
from reflow.testing.fakes.grammar import BadOptionError, Parsed, getopt_long, options
from reflow.testing.fakes.model import Task

from tests.fakes.pbs import writers
from tests.fakes.pbs.attributes import Attributes, Writer
from tests.fakes.pbs.jobs import (
    HISTORY_JOB,
    UNKNOWN_JOB,
    UNKNOWN_QUEUE,
    VERSION,
    PbsJob,
    array_state_of,
    parse_reference,
    state_of,
    write_span,
)

if TYPE_CHECKING:
    from tests.fakes.pbs.emulator import PbsEmulator

QSTAT_OPTIONS = options(
    """
    1/1 a/a B/B D/D= E/E f/f F/F= G/G H/H i/i J/J M/M n/n p/p q/q Q/Q r/r s/s t/t T/T u/u= w/w x/x
    version
    """
)
QSELECT_OPTIONS = options(
    "a/a= A/A= c/c= h/h= H/H J/J l/l= N/N= p/p= P/P= q/q= r/r= s/s= t/t= T/T u/u= x/x version"
)
QSTAT_USAGE = """\
usage:
qstat [-f] [-J] [-p] [-t] [-x] [-E] [-F format] [-D delim] [ job_identifier... | destination... ]
qstat [-a|-i|-r|-H|-T] [-J] [-t] [-u user] [-n] [-s] [-G|-M] [-1] [-w]
	[ job_identifier... | destination... ]
qstat -Q [-f] [-F format] [-D delim] [ destination... ]
qstat -q [-G|-M] [ destination... ]
qstat -B [-f] [-F format] [-D delim] [ server_name... ]
qstat --version
"""
QSELECT_USAGE = """\
usage: qselect [-a [op]date_time] [-A account_string] [-c [op]interval]
	[-h hold_list] [-H] [-J] [-l resource_list] [-N name] [-p [op]priority]
	[-q destination] [-r y|n] [-s states] [-t subopt[op]date_time] [-T] [-P project_name]
	[-x] [-u user_name]
       qselect --version
"""
_STATES = "EHQRTWSUBXFM"
_HEADER = (
    "Job id            Name             User              Time Use S Queue\n"
    "----------------  ---------------- ----------------  -------- - -----\n"
)


@dataclass
class Found:
    """What a query has found: ids with a job or an element each, and what went wrong."""

    entries: dict[str, PbsJob | Task] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    code: int = 0

    def fail(self, text: str, code: int) -> None:
        """Note an error; the last one's code counts."""
        self.errors.append(f"qstat: {text}\n")
        self.code = code


class Qstat:
    """The command."""

    def __init__(self, emulator: PbsEmulator) -> None:
        self._emulator = emulator
        self._writer = Writer(emulator)

    def __call__(self, call: Call) -> Answer:
        """Show jobs."""
        try:
            line = getopt_long(call.arguments, QSTAT_OPTIONS)
        except BadOptionError as error:
            raise Refusal(f"qstat: {error}\n{QSTAT_USAGE}", 2) from None
        if line.has("version"):
            return Reply(f"pbs_version = {VERSION}\n")
        if line.has("B"):
            return Reply(self._server(line))
        if line.has("Q", "q"):
            return self._queues(line)
        if line.has("F") and line.last("F") not in ("json", "dsv"):
            raise Refusal(f"qstat: illegal -F value\n{QSTAT_USAGE}", 2)
        found = self._find(line, call)
        return Reply(self._print(line, found), "".join(found.errors), found.code)

    def _find(self, line: Parsed, call: Call) -> Found:
        found = Found()
        words = line.operands or [""]
        history = line.has("x", "H")
        for word in words:
            reference = parse_reference(word)
            if not word:
                self._everything(found, history=history, expand=line.has("t"))
            elif reference is None and word in self._emulator.settings.queues:
                self._everything(found, history=history, expand=line.has("t"), queue=word)
            elif reference is None:
                found.fail(f"Unknown queue destination {word}", UNKNOWN_QUEUE)
            elif history and not self._emulator.settings.job_history:
                found.errors.append(
                    f"qstat: PBS is not configured to maintain job history {reference.full}\n"
                )
            else:
                self._one(found, word, history=history, expand=line.has("t"))
        if line.has("u"):
            users = line.last("u").split(",")
            found.entries = {
                name: one for name, one in found.entries.items() if self._job(one).user in users
            }
        return found

    def _one(self, found: Found, word: str, *, history: bool, expand: bool) -> None:
        reference = parse_reference(word)
        assert reference is not None
        job = self._emulator.known_job(reference.number)
        wanted = list(reference.indices)
        wrong = job is None or job.is_array != reference.is_array
        if wrong or (job is not None and any(index not in job.tasks for index in wanted)):
            found.fail(f"Unknown Job Id {reference.full}", UNKNOWN_JOB)
            return
        assert job is not None
        if job.finished and not history:
            found.fail(
                f"{reference.full} Job has finished, use -x or -H to obtain historical job "
                "information",
                HISTORY_JOB,
            )
            return
        if wanted:
            for index in wanted:
                task = job.tasks[index]
                found.entries[self._emulator.native_id(task)] = task
        else:
            self._add(found, job, expand=expand)

    def _everything(self, found: Found, *, history: bool, expand: bool, queue: str = "") -> None:
        for job in self._emulator.known_jobs():
            if (history or not job.finished) and queue in ("", job.queue):
                self._add(found, job, expand=expand)

    def _add(self, found: Found, job: PbsJob, *, expand: bool) -> None:
        if not job.is_array:
            found.entries[self._emulator.job_id(job)] = job.tasks[None]
            return
        found.entries[self._emulator.job_id(job)] = job
        if expand:
            for task in job.tasks.values():
                found.entries[self._emulator.native_id(task)] = task

    def _job(self, one: PbsJob | Task) -> PbsJob:
        job = one.job if isinstance(one, Task) else one
        assert isinstance(job, PbsJob)
        return job

    # Printing

    def _print(self, line: Parsed, found: Found) -> str:
        if not line.has("f"):
            if line.has("a", "n", "s", "i", "r", "H"):
                return self._alternative(line, found)
            rows = "".join(self._row(name, one) for name, one in found.entries.items())
            return _HEADER + rows if rows else ""
        jobs = {name: self._attributes(one) for name, one in found.entries.items()}
        kind = line.last("F")
        if kind == "dsv":
            return writers.dsv(jobs)
        if kind != "json":
            return writers.text(jobs, wide=line.has("w"))
        now = self._emulator.engine.now()
        if self._emulator.settings.json_writer == "release":
            return writers.release_json(jobs, now)
        return writers.master_json(self._not_lost(line, found, jobs), now)

    def _not_lost(
        self, line: Parsed, found: Found, jobs: dict[str, Attributes]
    ) -> dict[str, Attributes]:
        """A defect of this version: of several ids only the first that is found is printed."""
        if len(line.operands) < 2 or not jobs:
            return jobs
        first = self._job(next(iter(found.entries.values())))
        return {name: jobs[name] for name, one in found.entries.items() if self._job(one) is first}

    def _attributes(self, one: PbsJob | Task) -> Attributes:
        return self._writer.of_task(one) if isinstance(one, Task) else self._writer.of_array(one)

    def _row(self, name: str, one: PbsJob | Task) -> str:
        job = self._job(one)
        state = state_of(one) if isinstance(one, Task) else array_state_of(one)
        used = isinstance(one, Task) and one.run is not None and state != "Q"
        cpu = "00:00:00" if used else "0"
        return (
            f"{_cut(name, 16):<16}  {_cut(job.name, 16):<16} {_cut(job.user, 16):<16}  "
            f"{cpu:>8} {state} {job.queue:<16}\n"
        )

    def _alternative(self, line: Parsed, found: Found) -> str:
        text = (
            "\nnode01: \n" + " " * 99 + "Req'd  Req'd   Elap\n"
            "Job ID                         Username        Queue           Jobname         "
            "SessID   NDS  TSK   Memory Time  S Time\n"
            "------------------------------ --------------- --------------- --------------- "
            "-------- ---- ----- ------ ----- - -----\n"
        )
        for name, one in found.entries.items():
            job = self._job(one)
            run = one.run if isinstance(one, Task) else None
            state = state_of(one) if isinstance(one, Task) else array_state_of(one)
            now = self._emulator.engine.now()
            elapsed = write_span((run.ended or now) - run.started)[:5] if run else "  -- "
            session = str(run.pid) if run else "   -- "
            memory = job.resources.get("mem", "   -- ")
            wall = job.resources.get("walltime", "  -- ")[:5]
            text += (
                f"{name:<30} {job.user:<15} {job.queue:<15} {job.name[:15]:<15} {session:>8} "
                f"{job.request.nodes:4d} {job.cpus:5d} {memory:>6} {wall:>5} {state} {elapsed}"
            )
            text += f" {run.nodes[0].name}/0\n" if run and line.has("n") else "  -- \n"
            if line.has("s"):
                attributes = self._attributes(one)
                text += f"   {attributes.get('comment', ' -- ')}\n"
        return text if found.entries else ""

    def _server(self, line: Parsed) -> str:
        settings = self._emulator.settings
        if not line.has("f"):
            return (
                "Server             Max   Tot   Que   Run   Hld   Wat   Trn   Ext Status\n"
                "---------------- ----- ----- ----- ----- ----- ----- ----- ----- -----------\n"
                "node01               0     0     0     0     0     0     0     0 Active\n"
            )
        shown: dict[str, object] = {
            "server_state": "Active",
            "server_host": "node01",
            "scheduling": True,
            "default_queue": next(iter(settings.queues)),
            **_limits(settings.max_queued, settings.max_queued_res),
            "max_array_size": settings.max_array_size,
            "job_history_enable": settings.job_history,
            "pbs_version": VERSION,
        }
        return _full("Server: node01", shown)

    def _queues(self, line: Parsed) -> Reply:
        queues = self._emulator.settings.queues
        for name in line.operands:
            if name not in queues:
                return Reply(stderr=f"qstat: Unknown queue {name}\n", code=UNKNOWN_QUEUE)
        chosen = {name: queues[name] for name in line.operands or queues}
        if line.has("f"):
            return Reply("".join(_full_queue(name, queue) for name, queue in chosen.items()))
        text = (
            "Queue              Max   Tot Ena Str   Que   Run   Hld   Wat   Trn   Ext Type\n"
            "---------------- ----- ----- --- --- ----- ----- ----- ----- ----- ----- ----\n"
        )
        for name, queue in chosen.items():
            enabled = "yes" if queue.get("enabled", True) else "no"
            started = "yes" if queue.get("started", True) else "no"
            text += (
                f"{name:<16} {0:5d} {0:5d} {enabled:>3} {started:>3}" + f" {0:5d}" * 6 + " Exec\n"
            )
        return Reply(text)


def _full_queue(name: str, queue: Mapping[str, object]) -> str:
    known = {"mem": "max_mem", "ncpus": "max_ncpus", "walltime": "max_walltime"}
    most = {f"resources_max.{name}": queue[key] for name, key in known.items() if queue.get(key)}
    size = {"max_array_size": queue["max_array_size"]} if "max_array_size" in queue else {}
    return _full(
        f"Queue: {name}",
        {
            "queue_type": "Execution",
            **_limits(queue.get("max_queued"), queue.get("max_queued_res")),
            **size,
            **most,
            "enabled": queue.get("enabled", True),
            "started": queue.get("started", True),
        },
    )


def _limits(jobs: object, resources: object) -> dict[str, object]:
    """Limits of each user, as they are written."""
    shown: dict[str, object] = {}
    if jobs is not None:
        shown["max_queued"] = f"[u:PBS_GENERIC={jobs}]"
    if isinstance(resources, dict):
        for name, most in resources.items():
            shown[f"max_queued_res.{name}"] = f"[u:PBS_GENERIC={most}]"
    return shown


def _full(head: str, shown: Mapping[str, object]) -> str:
    return head + "\n" + "".join(f"    {name} = {one}\n" for name, one in shown.items()) + "\n"


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "*"


class Qselect:
    """The command: the ids of jobs that meet conditions."""

    def __init__(self, emulator: PbsEmulator) -> None:
        self._emulator = emulator

    def __call__(self, call: Call) -> Answer:
        """List ids."""
        try:
            line = getopt_long(call.arguments, QSELECT_OPTIONS)
        except BadOptionError as error:
            raise Refusal(f"qselect: {error}\n{QSELECT_USAGE}", 2) from None
        if line.has("version"):
            return Reply(f"pbs_version = {VERSION}\n")
        if line.operands:
            raise Refusal(QSELECT_USAGE, 2)
        if set(line.last("s")) - set(_STATES):
            raise Refusal(f"qselect: illegal -s value\n{QSELECT_USAGE}", 2)
        history = line.has("x", "H")
        if history and not self._emulator.settings.job_history:
            return Reply(stderr="qselect: PBS is not configured to maintain job history\n")
        names: list[str] = []
        for job in self._emulator.known_jobs():
            if job.finished and not history:
                continue
            if line.has("N") and job.name != line.last("N"):
                continue
            if line.has("q") and job.queue != line.last("q"):
                continue
            if line.has("u") and job.user not in line.last("u").split(","):
                continue
            names += self._ids(line, job)
        return Reply("".join(f"{name}\n" for name in names))

    def _ids(self, line: Parsed, job: PbsJob) -> list[str]:
        states = line.last("s")

        def fits(state: str) -> bool:
            return not states or state in states

        if not job.is_array:
            task = job.tasks[None]
            wanted = fits(state_of(task)) and not line.has("J")
            return [self._emulator.native_id(task)] if wanted else []
        if line.has("T"):
            return [
                self._emulator.native_id(task)
                for task in job.tasks.values()
                if fits(state_of(task))
            ]
        return [self._emulator.job_id(job)] if fits(array_state_of(job)) else []
