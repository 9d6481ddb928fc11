"""The fake `flux job` with its subcommands."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING

from reflow.testing.fakes import processes
from reflow.testing.fakes.emulator import Answer, Call, Later, Refusal, Reply
from reflow.testing.fakes.grammar import BadOptionError, Parsed, getopt_long, options
from reflow.testing.fakes.model import Phase

from tests.fakes.flux import ids
from tests.fakes.flux.fields import record
from tests.fakes.flux.jobs import FluxJob, return_code, wait_status

if TYPE_CHECKING:
    from tests.fakes.flux.emulator import FluxEmulator

_LISTED = (
    "id", "userid", "urgency", "priority", "t_submit", "t_depend", "t_priority", "t_sched",
    "t_run", "t_cleanup", "t_inactive", "state", "name", "queue", "cwd", "ntasks", "ncores",
    "duration", "nnodes", "ranks", "nodelist", "success", "result", "waitstatus", "expiration",
    "annotations",
)  # fmt: skip
_STATES = {"DEPEND": 2, "SCHED": 8, "RUN": 16, "CLEANUP": 32, "INACTIVE": 64}
_RESULTS = {"COMPLETED": 1, "FAILED": 2, "CANCELED": 4, "TIMEOUT": 8}
Event = tuple[float, str, dict[str, object]]


def error(text: str, code: int = 1) -> Refusal:
    """Fail as `flux job` does."""
    return Refusal(f"flux-job: {text}", code)


class JobCommand:
    """The command."""

    def __init__(self, emulator: FluxEmulator) -> None:
        self._emulator = emulator
        self._verbs: dict[str, tuple[str, Callable[[Call, Parsed], Answer]]] = {
            "attach": ("l/label-io E/show-events w/wait-event=", self._attach),
            "eventlog": ("f/format= T/time-format= p/path= F/follow", self._eventlog),
            "id": ("t/to=", self._id),
            "info": ("o/original b/base", self._info),
            "kill": ("s/signal=", self._kill),
            "last": ("", self._last),
            "list-ids": ("W/wait-state=", self._list_ids),
            "purge": ("f/force age-limit= num-limit=", self._purge),
            "raise": ("s/severity= t/type= m/message=", self._raise),
            "status": ("v/verbose j/json e/exception-exit-code=", self._status),
            "urgency": ("v/verbose", self._urgency),
            "wait": ("a/all v/verbose", self._wait),
            "wait-event": (
                "f/format= T/time-format= t/timeout= q/quiet v/verbose p/path= m/match-context= "
                "c/count=",
                self._wait_event,
            ),
        }

    def __call__(self, call: Call) -> Answer:
        """Do one thing with jobs."""
        words = call.arguments[1:]
        if not words or words[0] not in self._verbs:
            raise Refusal("Usage: flux-job [OPTIONS] COMMAND ARGS\n", 1)
        table, action = self._verbs[words[0]]
        try:
            line = getopt_long(words[1:], options(table))
        except BadOptionError as problem:
            raise Refusal(f"flux-job: {problem}", 1) from None
        return action(call, line)

    def _job(self, line: Parsed, problem: str) -> FluxJob:
        """The job of the first operand; `{id}` in `problem` is what was typed."""
        if not line.operands:
            raise error("missing jobid")
        number = ids.parse(line.operands[0])
        if number is None:
            raise error(f'error parsing jobid: "{line.operands[0]}"')
        job = self._emulator.known_job(number)
        if job is None:
            raise error(problem.format(id=line.operands[0]))
        return job

    # Looking

    def _id(self, call: Call, line: Parsed) -> Answer:
        plain = ids.is_ascii(call.environment)
        said = ""
        for text in line.operands or call.stdin.decode().split():
            number = ids.parse(text)
            form = line.last("to", "dec")
            shown = None if number is None else ids.convert(number, form, ascii_only=plain)
            if shown is None:
                raise error(f'error parsing jobid: "{text}"')
            said += shown + "\n"
        return Reply(said)

    def _status(self, call: Call, line: Parsed) -> Answer:
        job = self._job(line, "{id}: No such job")
        text = line.operands[0]

        def poll() -> Reply | None:
            if job.task.phase is not Phase.OVER:
                return None
            code = abs(return_code(job) or 0)
            said = (
                f"flux-job: {text}: exited with exit code {code}\n" if line.has("verbose") else ""
            )
            return Reply(stderr=said, code=min(code, 255))

        return poll() or Later(poll)

    def _attach(self, call: Call, line: Parsed) -> Answer:
        job = self._job(line, "Failed to attach to {id}: No such job")

        def poll() -> Reply | None:
            return self._emulator.attached(job) if job.task.phase is Phase.OVER else None

        return poll() or Later(poll)

    def events(self, job: FluxJob) -> list[Event]:
        """What happened to a job, in the order of the event log."""
        task, run, trouble = job.task, job.task.run, job.trouble
        found: list[Event] = [
            (
                job.submitted,
                "submit",
                {"userid": job.uid, "urgency": job.urgency, "flags": 0, "version": 1},
            )
        ]
        for one in job.dependencies:
            found.append((job.submitted, "dependency-add", {"description": one.text}))  # noqa: PERF401
        found.append((job.submitted + 0.001, "validate", {}))
        if run is not None or not job.left:
            found.append((job.submitted + 0.002, "depend", {}))
            found.append((job.submitted + 0.002, "priority", {"priority": job.urgency}))
        if run is not None:
            summary = {"sched": {"resource_summary": "rank0/core0"}}
            found.append((run.started, "alloc", {"annotations": summary}))
            found.append((run.started, "start", {}))
        if trouble is not None and trouble.severity == 0:
            context: dict[str, object] = {"type": trouble.type, "severity": 0}
            rest: list[tuple[str, object]] = [("note", trouble.note), ("userid", job.uid)]
            context |= dict(reversed(rest) if trouble.type == "timeout" else rest)
            found.append((trouble.at, "exception", context))
        if task.phase is Phase.OVER:
            end = task.ended or 0.0
            if run is not None:
                found.append((run.ended or end, "finish", {"status": wait_status(job)}))
                found.append((end, "release", {"ranks": "all", "final": True}))
                found.append((end, "free", {}))
            found.append((end, "clean", {}))
        return found

    def _eventlog(self, call: Call, line: Parsed) -> Answer:
        job = self._job(line, "job {id} not found")
        return Reply("".join(_event_line(one, line) for one in self.events(job)))

    def _wait_event(self, call: Call, line: Parsed) -> Answer:
        job = self._job(line, "job {id} not found")
        wanted = line.operands[1] if len(line.operands) > 1 else ""

        def poll() -> Reply | None:
            events = self.events(job)
            names = [name for _, name, _ in events]
            if wanted in names:
                at = names.index(wanted)
                shown = events[: at + 1] if line.has("verbose") else [events[at]]
                text = "" if line.has("quiet") else "".join(_event_line(e, line) for e in shown)
                return Reply(text)
            if job.task.phase is Phase.OVER:
                return Reply(stderr=f"flux-job: event '{wanted}' never received\n", code=1)
            return None

        return poll() or Later(poll)

    def _info(self, call: Call, line: Parsed) -> Answer:
        job = self._job(line, "invalid job id")
        key = line.operands[1] if len(line.operands) > 1 else ""
        if key == "R" and job.task.run is not None:
            nodes = [node.name for node in job.task.run.nodes]
            lite = [{"rank": "0", "children": {"core": "0"}}]
            return Reply(
                json.dumps({"version": 1, "execution": {"R_lite": lite, "nodelist": nodes}}) + "\n"
            )
        if key == "jobspec":
            spec = {"tasks": [{"command": list(job.command), "slot": "task"}], "version": 1}
            return Reply(json.dumps(spec) + "\n")
        if key == "eventlog":
            return Reply("".join(_json_event(one) + "\n" for one in self.events(job)))
        raise error("No such file or directory")

    def _list_ids(self, call: Call, line: Parsed) -> Answer:
        job = self._job(line, "flux job-list.list-d: No such file or directory")
        values = record(self._emulator, job)
        values["state"] = _STATES[values["state"]]
        if "result" in values:
            values["result"] = _RESULTS[values["result"]]
        listed = {key: values[key] for key in _LISTED if key in values}
        return Reply(json.dumps(listed) + "\n")

    def _last(self, call: Call, line: Parsed) -> Answer:
        jobs = sorted(self._emulator.known_jobs(), key=lambda job: job.number, reverse=True)
        count = 1
        if line.operands:
            inside = line.operands[0].strip("[]").partition(":")[2]
            count = int(inside) if inside.isdigit() else 1
        plain = ids.is_ascii(call.environment)
        return Reply(
            "".join(ids.to_f58(job.number, ascii_only=plain) + "\n" for job in jobs[:count])
        )

    # Changing

    def _kill(self, call: Call, line: Parsed) -> Answer:
        job = self._job(line, "kill {id}: unknown job id")
        if job.task.phase is Phase.OVER:
            raise error(f"kill {line.operands[0]}: job is inactive")
        if job.task.run is None:
            raise error(f"kill {line.operands[0]}: job is not running")
        name = line.last("signal", "TERM").upper().removeprefix("SIG")
        number = int(name) if name.isdigit() else int(signal.Signals[f"SIG{name}"])
        processes.signal_group(job.task.run.pid, number)
        return Reply()

    def _raise(self, call: Call, line: Parsed) -> Answer:
        job = self._job(line, "raise {id}: unknown job id")
        if job.task.phase is Phase.OVER:
            raise error(f"raise {line.operands[0]}: job is inactive")
        if line.last("severity", "0") == "0":
            self._emulator.cancel(job, line.last("message"), kind=line.last("type", "cancel"))
        return Reply()

    def _urgency(self, call: Call, line: Parsed) -> Answer:
        job = self._job(line, "{id}: unknown job")
        text = line.operands[0]
        if job.task.phase is Phase.OVER:
            raise error(f"{text}: job is inactive")
        if job.task.run is not None:
            raise error(f"{text}: urgency cannot be changed once resources are allocated")
        value = line.operands[1] if len(line.operands) > 1 else ""
        words = {"hold": 0, "expedite": 31, "default": 16}
        if value not in words and not value.isdigit():
            raise error(f"invalid urgency: {value}")
        job.urgency = job.priority = words.get(value, int(value) if value.isdigit() else 16)
        if job.urgency == 0:
            self._emulator.engine.hold(job, "urgency")
        else:
            self._emulator.engine.release(job, "urgency")
        return Reply()

    def _wait(self, call: Call, line: Parsed) -> Answer:
        if line.has("all") or not line.operands:
            return Reply()
        number = ids.parse(line.operands[0])
        job = self._emulator.known_job(number) if number is not None else None
        if job is None or not job.waitable or job.waited:
            raise error("invalid job id, or job may be inactive and not waitable", 2)

        def poll() -> Reply | None:
            if job.task.phase is not Phase.OVER:
                return None
            job.waited = True
            code = return_code(job) or 0
            if not code:
                return Reply()
            return Reply(stderr=f"flux-job: task(s) exited with exit code {code}\n", code=1)

        return poll() or Later(poll)

    def _purge(self, call: Call, line: Parsed) -> Answer:
        over = [job for job in self._emulator.known_jobs() if job.task.phase is Phase.OVER]
        over.sort(key=lambda job: job.task.ended or 0.0)
        keep = int(line.last("num-limit", str(len(over))))
        gone = over[: max(len(over) - keep, 0)]
        if not line.has("force"):
            return Reply(f"use --force to purge {len(gone)} of {len(over)} inactive jobs\n")
        for job in gone:
            self._emulator.engine.forget(job.task)
        return Reply(f"purged {len(gone)} inactive jobs, {len(over) - len(gone)} remaining\n")


def _json_event(event: Event) -> str:
    moment, name, context = event
    document: dict[str, object] = {"timestamp": moment, "name": name}
    if context:
        document["context"] = context
    return json.dumps(document, separators=(",", ":"))


def _event_line(event: Event, line: Parsed) -> str:
    if line.last("format") == "json":
        return _json_event(event) + "\n"
    moment, name, context = event
    words = [f"{moment:.6f}", name]
    for key, value in context.items():
        shown = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
        words.append(f"{key}={shown}")
    return " ".join(words) + "\n"
