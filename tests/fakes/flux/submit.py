"""The fake `flux submit`, `flux bulksubmit`, `flux run` and `flux batch`."""

from __future__ import annotations

import fnmatch
import json
import re
import shlex
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from reflow.testing.fakes.emulator import Answer, Call, Later, Refusal, Reply
from reflow.testing.fakes.grammar import BadOptionError, Parsed, options
from reflow.testing.fakes.model import Phase, Request, Share

from tests.fakes.flux import arguments, durations, ids, resource_request
from tests.fakes.flux.copies import One, expanded
from tests.fakes.flux.jobs import Dependency, FluxJob, Trouble, result_of, return_code

if TYPE_CHECKING:
    from tests.fakes.flux.emulator import FluxEmulator

_COMMON = """
    B/bank= q/queue= t/time-limit= urgency= job-name= o/setopt= S/setattr= add-file= dependency=
    requires= require= begin-time= env= env-remove= env-file= rlimit= input= output= error=
    u/unbuffered l/label-io cwd= flags= signal= dry-run dry quiet list-plugins debug-emulate help[=]
    N/nodes= x/exclusive
"""
_PER_JOB = """
    taskmap= n/ntasks= c/cores-per-task= g/gpus-per-task= cores= tasks-per-node= tasks-per-core=
    gpus-per-node= v/verbose
"""
_SEVERAL = "cc= bcc= wait-event= wait watch log= log-stderr= progress jps"
SUBMIT_OPTIONS = options(f"{_COMMON} {_PER_JOB} {_SEVERAL}")
BULK_OPTIONS = options(f"{_COMMON} {_PER_JOB} {_SEVERAL} shuffle sep= define=")
BATCH_OPTIONS = options(
    f"{_COMMON} n/nslots= c/cores-per-slot= g/gpus-per-slot= wrap dump[=] broker-opts= conf="
)
_ALIASES = {"dry": "dry-run", "require": "requires"}
SCHEMES = {
    "afterok": "success",
    "afternotok": "failure",
    "afterany": "finish",
    "afterstart": "start",
    "after": "start",
}
_ADDED_BY_THE_COMMAND = {
    "FLUX_CONNECTOR_PATH": "/usr/lib/flux/connectors",
    "FLUX_EXEC_PATH": "/usr/libexec/flux/cmd",
    "FLUX_MODULE_PATH": "/usr/lib/flux/modules",
}
_NO_TEXT = re.compile("[\udc80-\udcff]")
_DEPRECATED = "dependency scheme 'after' is deprecated, use 'afterstart'"


class RejectedError(Exception):
    """What the instance says of a job that it does not take; others by the same command it may."""

    def __init__(self, number: int, text: str) -> None:
        super().__init__(f"[Errno {number}] {text}")
        self.text = text


def refused(number: int, text: str) -> RejectedError:
    """Refuse a job as the instance does."""
    return RejectedError(number, text)


class Submit:
    """`flux submit` and `flux run`."""

    name = "submit"
    usage = "usage: flux submit [OPTIONS...] COMMAND [ARGS...]"

    def __init__(self, emulator: FluxEmulator) -> None:
        self._emulator = emulator

    def __call__(self, call: Call) -> Answer:
        """Submit one job, or one for each of `--cc`."""
        line = self._parse(call.arguments[1:])
        if line.has("help", "list-plugins"):
            return Reply(f"{self.usage}\n")
        if not line.operands:
            raise self._error("job command and arguments are missing")
        wanted = expanded(line, f"flux-{self.name}")
        if line.has("dry-run"):
            # Of the first copy only.
            return Reply(json.dumps({"tasks": [{"command": next(wanted).command}]}) + "\n")
        return self._submit_all(call, line, wanted)

    def _parse(self, given: list[str]) -> Parsed:
        known = BULK_OPTIONS if self.name == "bulksubmit" else SUBMIT_OPTIONS
        if self.name == "batch":
            known = BATCH_OPTIONS
        try:
            line = arguments.parse(given, known, stop_at_operand=True)
        except BadOptionError as error:
            raise Refusal(f"{self.usage}\nflux {self.name}: error: {error}", 2) from None
        named = [(_ALIASES.get(name, name), value) for name, value in line.options]
        return Parsed(named, line.operands)

    def _error(self, text: str) -> Refusal:
        return Refusal(f"flux-{self.name}: ERROR: {text}")

    def _submit_all(self, call: Call, line: Parsed, wanted: Iterator[One]) -> Answer:
        said = warnings = ""
        jobs: list[FluxJob] = []
        code = 0
        plain = ids.is_ascii(call.environment)
        if line.has("log"):
            (call.directory / line.last("log")).touch()
        for one in wanted:
            if self._emulator.cut_after is not None and len(jobs) >= self._emulator.cut_after:
                self._emulator.cut_after = None
                return Reply(said, killed=True)
            try:
                job, warning = self._job(call, one)
            except RejectedError as error:
                # The others go their way.
                warnings += f"{one.label}{error}\n"
                code = 1
                continue
            warnings += warning
            self._emulator.take(job)
            jobs.append(job)
            if not line.has("quiet"):
                said += ids.to_f58(job.number, ascii_only=plain) + "\n"
        first = Reply(said, warnings, code)
        if line.has("wait", "watch"):
            return Later(lambda: self._exit_of(jobs, line), first)
        return first

    def _exit_of(self, jobs: list[FluxJob], line: Parsed) -> Reply | None:
        if any(result_of(job) == "" for job in jobs):
            return None
        output = (
            "".join(self._emulator.kept_output(job) for job in jobs) if line.has("watch") else ""
        )
        return Reply(output, code=max(abs(return_code(job) or 0) for job in jobs))

    # Making a job

    def _job(self, call: Call, one: One) -> tuple[FluxJob, str]:
        line, emulator = one.line, self._emulator
        try:
            request = (
                resource_request.of_batch(line)
                if self.name == "batch"
                else resource_request.of_job(line)
            )
        except resource_request.BadRequestError as error:
            raise self._error(str(error)) from None
        duration = self._duration(line)
        begin, begin_text = self._begin(line)
        environment = self._environment(call, line)
        ncores = request.ntasks * request.cores_per_task
        directory = call.directory / line.last("cwd", ".")
        self._check_text(line, one, environment, directory)
        self._check(call, line, duration, ncores)
        dependencies, trouble, warning = self._dependencies(line)
        number = emulator.next_number()
        queues = list(emulator.settings.queues)
        job = FluxJob(
            number=number,
            name=line.last("job-name", Path(one.command[0]).name),
            user=call.user,
            uid=call.uid,
            submitted=emulator.engine.now(),
            request=Request(share=Share(ncores), walltime=duration or None),
            queue=line.last("queue", queues[0] if queues else ""),
            priority=int(line.last("urgency", "16")),
            urgency=int(line.last("urgency", "16")),
            holds={"urgency"} if line.last("urgency") == "0" else set(),
            begin=begin,
            begin_text=begin_text,
            command=tuple(one.command),
            environment=environment,
            directory=directory,
            output=line.last("output") if line.has("output") else None,
            error=line.last("error") if line.has("error") else None,
            append="output.mode=append" in line.all("setopt"),
            umask=call.umask,
            ntasks=request.ntasks,
            cores_per_task=request.cores_per_task,
            asked_nodes=request.nodes,
            duration=duration,
            dependencies=dependencies,
            trouble=trouble,
            waitable="waitable" in line.all("flags"),
            cc=one.cc,
            is_batch=self.name == "batch",
        )
        if one.cc is not None and not one.is_bcc:
            job.environment["FLUX_JOB_CC"] = str(one.cc)
        emulator.note_impossible(job, request.gpus, line.last("requires"))
        return job, warning

    def _duration(self, line: Parsed) -> float:
        if not line.has("time-limit"):
            return self._emulator.settings.default_duration
        duration = durations.parse(line.last("time-limit"), bare=60.0)
        if duration is None:
            raise self._error("invalid Flux standard duration")
        return duration

    def _begin(self, line: Parsed) -> tuple[float, str]:
        if not line.has("begin-time"):
            return 0.0, ""
        text = line.last("begin-time")
        moment = durations.parse_moment(text, self._emulator.engine.now())
        if moment is None:
            raise self._error(f'Invalid datetime: "{text}"')
        return moment, f"begin@{time.strftime('%H:%M:%S', time.localtime(moment))}"

    def _environment(self, call: Call, line: Parsed) -> dict[str, str]:
        environment = {**_ADDED_BY_THE_COMMAND, **call.environment}
        for rule in line.all("env"):
            if rule.startswith("-"):
                for name in fnmatch.filter(list(environment), rule[1:]):
                    del environment[name]
            elif rule.startswith("^"):
                raise self._error(f"--env: [Errno 2] No such file or directory: '{rule[1:]}'")
            elif "=" in rule:
                name, _, value = rule.partition("=")
                environment[name] = value
            else:
                for name in fnmatch.filter(list(call.environment), rule):
                    environment[name] = call.environment[name]
        return environment

    def _check_text(
        self, line: Parsed, one: One, environment: dict[str, str], directory: Path
    ) -> None:
        """What is no UTF-8 cannot be written in JSON."""
        given = (value for _, value in line.options)
        texts = (*one.command, *environment.values(), *given, str(directory))
        found = _NO_TEXT.search("".join(texts))
        if found is not None:
            raise refused(22, f"jobspec: invalid JSON: invalid Unicode '\\u{ord(found[0]):04X}'")

    def _check(self, call: Call, line: Parsed, duration: float, ncores: int) -> None:
        emulator, queues = self._emulator, self._emulator.settings.queues
        queue = line.last("queue", next(iter(queues), ""))
        if queue not in queues and line.has("queue"):
            if queues:
                raise refused(1, f"Invalid queue '{queue}' specified")
            raise refused(22, f"'{queue}' is not a valid queue")
        if queue in emulator.disabled:
            raise refused(22, f"job submission to {queue} is disabled: {emulator.disabled[queue]}")
        limits = queues.get(queue, {})
        if "ncores" in limits and ncores > limits["ncores"]:
            raise refused(
                22,
                f"requested ncores ({ncores}) exceeds policy limit of {limits['ncores']:g} for "
                f"queue {queue}",
            )
        if "duration" in limits and duration > limits["duration"]:
            most = durations.write(limits["duration"])
            raise refused(
                22,
                f"requested duration ({durations.write(duration)}) exceeds policy limit of "
                f"{most} for queue {queue}",
            )
        most_active = emulator.settings.max_active_jobs
        if most_active is not None and emulator.active_jobs(call.user) >= most_active:
            raise refused(22, "user has max active jobs")
        urgency = line.last("urgency", "16")
        if not urgency.isdigit() or int(urgency) > 31:
            raise refused(22, "urgency range is [0:31]")
        for requirement in line.all("requires"):
            host = requirement.removeprefix("host:")
            if host != requirement and host not in [node.name for node in emulator.engine.nodes]:
                raise refused(
                    1,
                    "invalid jobspec: host constraint contains invalid hosts: "
                    f"host '{host}' not found",
                )

    def _dependencies(self, line: Parsed) -> tuple[list[Dependency], Trouble | None, str]:
        found: list[Dependency] = []
        trouble, warning = None, ""
        for text in line.all("dependency"):
            scheme, _, value = text.partition(":")
            if scheme not in SCHEMES:
                raise refused(22, f'dependency scheme "{scheme}" not supported')
            number = ids.parse(value)
            if number is None:
                raise refused(22, f'dependency: {scheme}: "{value}" is not a valid jobid')
            if scheme == "after":
                trouble = Trouble("dependency", _DEPRECATED, 3)
                warning = f"{_DEPRECATED}\n"
            job = self._emulator.known_job(number)
            if job is None:
                raise refused(22, f"dependency: {scheme}: id {value}: job not found")
            dependency = Dependency(SCHEMES[scheme], number, value)
            self._look(dependency, job, scheme)
            found.append(dependency)
        return found, trouble, warning

    def _look(self, dependency: Dependency, job: FluxJob, scheme: str) -> None:
        """Look at the other job as it is now; refuse what can never be met."""
        result = result_of(job)
        if dependency.kind == "start" and job.task.runs:
            dependency.met = True
        if not result:
            return
        shown, good = dependency.shown, result == "COMPLETED"
        # Only afterany is met by a job that never ran.
        if dependency.kind != "finish" and not job.task.runs:
            raise refused(22, f"dependency: after: {shown} never started")
        if dependency.kind == "success" and not good:
            raise refused(22, f"dependency: {scheme}: job {shown} failed or was canceled")
        if dependency.kind == "failure" and good:
            raise refused(22, f"dependency: {scheme}: job {shown} succeeded")
        dependency.met = True


class Run(Submit):
    """`flux run`: waits, and prints what the job prints."""

    name = "run"
    usage = "usage: flux run [OPTIONS...] COMMAND [ARGS...]"

    def _submit_all(self, call: Call, line: Parsed, wanted: Iterator[One]) -> Answer:
        try:
            job, warning = self._job(call, next(wanted))
        except RejectedError as error:
            raise self._error(error.text) from None
        self._emulator.take(job)
        return Later(lambda: self._attached(job), Reply(stderr=warning))

    def _attached(self, job: FluxJob) -> Reply | None:
        return self._emulator.attached(job) if job.task.phase is Phase.OVER else None


class Bulksubmit(Submit):
    """`flux bulksubmit`: one job per argument after `:::`, or per line of standard input."""

    name = "bulksubmit"
    usage = "usage: flux bulksubmit [OPTIONS...] COMMAND [ARGS...]"

    def __call__(self, call: Call) -> Answer:
        """Submit a job for each argument."""
        line = self._parse(call.arguments[1:])
        if not line.operands:
            raise self._error("job command and arguments are missing")
        if ":::" in line.operands:
            at = line.operands.index(":::")
            template, inputs = line.operands[:at], line.operands[at + 1 :]
        else:
            template, inputs = line.operands, call.stdin.decode().splitlines()
        filled = [_filled(line, template, value) for value in inputs]
        if line.has("dry-run"):
            rows = (f"bulksubmit: submit {shlex.join(one.operands)}\n" for one in filled)
            return Reply("".join(rows))
        program = f"flux-{self.name}"
        wanted = (each for one in filled for each in expanded(one, program))
        return self._submit_all(call, line, wanted)


def _filled(line: Parsed, template: list[str], value: str) -> Parsed:
    def fill(text: str) -> str:
        return text.replace("{}", value).replace("{0}", value)

    return Parsed([(name, fill(text)) for name, text in line.options], [fill(t) for t in template])


class Batch(Submit):
    """`flux batch`: a script; here it runs in the same instance, not in one of its own."""

    name = "batch"
    usage = "usage: flux batch [OPTIONS...] SCRIPT [ARGS...]"

    def __call__(self, call: Call) -> Answer:
        """Submit a script."""
        line = self._parse(call.arguments[1:])
        if line.has("wrap"):
            script = "#!/bin/sh\n" + " ".join(line.operands) + "\n"
            name, arguments = "batch", []
        elif line.operands:
            name, *arguments = line.operands
            try:
                script = (call.directory / name).read_text()
            except OSError as error:
                raise self._error(f"{error.strerror}: '{name}'") from None
        else:
            script, name, arguments = call.stdin.decode(), "batch", []
        if not script.startswith("#!"):
            raise self._error(f"{name} does not appear to start with '#!'")
        directives = self._directives(script)
        merged = Parsed([*directives.options, *line.options], [])
        merged.options.insert(0, ("job-name", Path(name).name))
        merged.options.insert(0, ("output", "flux-{{id}}.out"))
        path = self._emulator.spool(f"batch-{uuid.uuid4().hex}", script)
        return self._submit_all(call, merged, iter([One(merged, [str(path), *arguments])]))

    def _directives(self, script: str) -> Parsed:
        words: list[str] = []
        for line in script.splitlines():
            match = re.match(r"#\s*flux:\s*(.*)", line, re.IGNORECASE)
            if match is not None:
                words += shlex.split(match[1], comments=True)
        return self._parse(words)
