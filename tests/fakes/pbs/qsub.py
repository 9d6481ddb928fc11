"""The fake `qsub` of OpenPBS."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from reflow.testing.fakes.emulator import Answer, Call, Later, Refusal, Reply
from reflow.testing.fakes.grammar import BadOptionError, Parsed, getopt_long, options
from reflow.testing.fakes.model import Request, Share, Task

from tests.fakes.pbs import depend
from tests.fakes.pbs.directives import directives
from tests.fakes.pbs.jobs import (
    UNKNOWN_QUEUE,
    VERSION,
    PbsJob,
    exit_status_of,
    parse_size,
    parse_span,
    refused,
    write_span,
)
from tests.fakes.pbs.submitter import GivenOptions, Submitter

USAGE = """\
usage: qsub [-a date_time] [-A account_string] [-c interval]
	[-C directive_prefix] [-e path] [-f ] [-h ] [-I [-X]] [-j oe|eo] [-J X-Y[:Z]]
	[-k keep] [-l resource_list] [-m mail_options] [-M user_list]
	[-N jobname] [-o path] [-p priority] [-P project] [-q queue] [-r y|n]
	[-R o|e|oe] [-S path] [-u user_list] [-W otherattributes=value...]
	[-v variable_list] [-V ] [-z] [script | -- command [arg1 ...]]
       qsub --version
"""
OPTIONS = options(
    """
    a/a= A/A= c/c= C/C= e/e= f/f h/h I/I j/j= J/J= k/k= l/l= m/m= M/M= N/N= o/o= p/p= P/P= q/q=
    r/r= R/R= S/S= u/u= v/v= V/V W/W= X/X z/z version
    """
)
_JOB_WIDE = ("mem", "vmem", "ncpus", "nodes", "pmem", "pvmem", "mpiprocs", "ompthreads")
_ATTRIBUTES = (
    "block", "create_resv_from_job", "depend", "group_list", "max_run_subjobs", "pwd",
    "release_nodes_on_stageout", "run_count", "sandbox", "stagein", "stageout",
    "tolerate_node_failures", "umask",
)  # fmt: skip
MAX_NAME = 230
LIMITS = "Job violates queue and/or server resource limits"


@dataclass(frozen=True)
class Need:
    """What a job asks for, worked out of `-l`."""

    resources: dict[str, str]
    """`Resource_List`."""
    nodes: int
    cpus: int
    """On each node."""
    memory: int | None
    """On each node, in bytes."""
    walltime: float | None
    vnode: str


class Qsub(Submitter):
    """The command."""

    spans = ("walltime", "cput", "pcput", "soft_walltime", "min_walltime", "max_walltime")
    sizes = ("mem", "vmem", "pmem", "pvmem", "file")
    numbers = ("ncpus", "mpiprocs", "ompthreads", "nodect", "nice")
    words = ("host", "vnode", "arch", "place", "select", "nodes", "software")

    def illegal(self, option: str) -> Refusal:
        """Refuse a value that qsub itself cannot read."""
        return Refusal(f"qsub: illegal -{option} value\n{USAGE}", 2)

    def unknown_resource(self, name: str) -> Refusal:
        """Refuse a resource that the server does not have."""
        return refused(f"Unknown resource Resource_List.{name}", 187)

    def bad_resource(self, name: str) -> Refusal:
        """Refuse a value that is none of that resource's."""
        return refused(f"Illegal attribute or resource value Resource_List.{name}", 166)

    def __call__(self, call: Call) -> Answer:
        """Submit a script or a command."""
        given = self._given(call)
        if given.has("version"):
            return Reply(f"pbs_version = {VERSION}\n")
        job = self._job(call, given)
        self.emulator.take(job)
        said = Reply(self.emulator.job_id(job) + "\n")
        attributes = self._attributes(given)
        if attributes.get("block") == "true":
            return Later(lambda: self._exit_of(job), said)
        return said

    def _exit_of(self, job: PbsJob) -> Reply | None:
        if not job.is_over:
            return None
        if job.is_array:
            return Reply(code=0)
        return Reply(code=(exit_status_of(job.tasks[None]) or 0) % 256)

    # Reading the options

    def _given(self, call: Call) -> GivenOptions:
        words, command = list(call.arguments), []
        if "--" in words:
            at = words.index("--")
            words, command = words[:at], words[at + 1 :]
        line = self._parse(words)
        if line.has("version"):
            return GivenOptions([line], None, "", [])
        if command:
            return GivenOptions([line], None, Path(command[0]).name, command)
        name = "STDIN"
        if line.operands:
            path = call.directory / line.operands[0]
            try:
                script = path.read_bytes()
            except OSError as error:
                raise Refusal(f"qsub: script file:: {error.strerror}") from None
            name = path.name
        else:
            script = call.stdin
        if len(line.operands) > 1:
            raise Refusal(USAGE, 2)
        inside = self._directives(script, line.last("C", "#PBS"))
        return GivenOptions([line, inside], script, name, [])

    def _parse(self, words: list[str]) -> Parsed:
        # A word after an option that takes a value may begin with a dash.
        try:
            return getopt_long(words, OPTIONS, stop_at_operand=True)
        except BadOptionError as error:
            raise Refusal(f"qsub: {error}\n{USAGE}", 2) from None

    def _directives(self, script: bytes, prefix: str) -> Parsed:
        """Read the `#PBS` lines before the first command."""
        words = directives(script, prefix)
        parsed = self._parse(words)
        if parsed.operands:
            raise Refusal(f"qsub: directive error: {' '.join(words)} \n", 1)
        return parsed

    # Making the job

    def _job(self, call: Call, given: GivenOptions) -> PbsJob:
        emulator = self.emulator
        name = self._name(given)
        array = self._array(given)
        attributes = self._attributes(given)
        dependencies = self.dependencies(attributes, depend.parse)
        common = self.common(call, given, self._variables(call, given))
        if given.last("j", "n") not in ("oe", "eo", "n"):
            raise self.illegal("j")
        need = self._need(given)
        if emulator.settings.refuse_root and call.uid == 0:
            raise refused("Bad UID for job execution", 175)
        indices = array[0] if array else None
        queue = self._queue(call, given, need, len(indices) if indices else 1)
        limit = attributes.get("max_run_subjobs", array[2] if array else "")
        number = emulator.next_number()
        job = PbsJob(
            **common,
            number=number,
            name=name,
            request=Request(
                nodes=need.nodes,
                share=Share(need.cpus, need.memory or 0),
                walltime=need.walltime,
                memory_limit=None if need.memory is None else need.memory * need.nodes,
            ),
            queue=queue,
            indices=tuple(indices) if indices else (None,),
            step=array[1] if array else 1,
            range_text=given.last("J").partition("%")[0],
            throttle=int(limit) if limit else None,
            script=None if given.script is None else emulator.spool(f"{number}.SC", given.script),
            umask=int(attributes["umask"], 8) if "umask" in attributes else 0o077,
            resources=need.resources,
            vnode=need.vnode,
            cpus=need.cpus,
            dependencies=dependencies,
        )
        for task in job.tasks.values():
            task.error = ""
        return job

    def _name(self, given: GivenOptions) -> str:
        name = given.last("N", given.script_name)
        if len(name) > MAX_NAME:
            raise Refusal("qsub: Job name is too long ", 2)
        if given.has("N") and not re.fullmatch(r"[A-Za-z0-9._+-]+", name):
            raise self.illegal("N")
        return name

    def _array(self, given: GivenOptions) -> tuple[list[int], int, str] | None:
        """The indices of `-J`, their step, and the limit after `%`."""
        if not given.has("J"):
            return None
        match = re.fullmatch(r"(\d+)-(\d+)(?::(\d+))?(?:%(\d+))?", given.last("J"))
        if match is None:
            raise self.illegal("J")
        first, last, step = int(match[1]), int(match[2]), int(match[3] or 1)
        if last <= first or step < 1:
            raise self.illegal("J")
        indices = list(range(first, last + 1, step))
        self._check_array(self.emulator.settings.max_array_size, len(indices))
        return indices, step, match[4] or ""

    def _attributes(self, given: GivenOptions) -> dict[str, str]:
        """Read every `-W`: `depend=afterok:1,afterany:2,block=true`."""
        found: dict[str, str] = {}
        for text in given.all("W"):
            name = ""
            for part in text.split(","):
                head, equals, value = part.partition("=")
                if equals:
                    name = head.strip()
                    if name not in _ATTRIBUTES or not value:
                        raise self.illegal("W")
                    found[name] = value
                elif name:
                    found[name] += f",{part}"
                else:
                    raise self.illegal("W")
        return found

    def _variables(self, call: Call, given: GivenOptions) -> dict[str, str]:
        """`Variable_List`: what qsub adds, what `-v` names, with `-V` everything."""
        environment = call.environment
        variables = {
            "PBS_O_HOME": environment.get("HOME", ""),
            "PBS_O_LANG": environment.get("LANG", "C.UTF-8"),
            "PBS_O_LOGNAME": call.user,
            "PBS_O_PATH": environment.get("PATH", ""),
            "PBS_O_MAIL": f"/var/mail/{call.user}",
            "PBS_O_SHELL": "/bin/bash",
            "PBS_O_INTERACTIVE_AUTH_METHOD": "resvport",
            "PBS_O_INTERACTIVE_ENCRYPT_METHOD": "",
            "PBS_O_WORKDIR": str(call.directory),
            "PBS_O_SYSTEM": "Linux",
        }
        if given.has("V"):
            variables |= environment
        for text in given.all("v"):
            for part in _split_variables(text):
                name, equals, value = part.partition("=")
                if not equals and name not in environment:
                    raise Refusal("qsub: cannot send environment with the job")
                value = _unquoted(value) if equals else environment[name]
                if value.count("'") % 2:
                    raise Refusal("qsub: cannot send environment with the job")
                variables[name] = value
        return variables

    # Resources

    def _need(self, given: GivenOptions) -> Need:
        asked: dict[str, str] = {}
        for text in given.all("l"):
            for part in _split_resources(text):
                name, _, value = part.partition("=")
                self.check_resource(name, value)
                asked[name] = value
        for name in _JOB_WIDE:
            if name in asked and ("select" in asked or "place" in asked):
                raise refused(
                    f'"-lresource=" cannot be used with "select" or "place", resource is: {name}', 5
                )
        if "select" in asked:
            select, place = asked["select"], asked.get("place", "free")
        elif "nodes" in asked:
            select, place = self._old_style(asked), "scatter"
        else:
            chunk = {name: asked[name] for name in ("mem", "ncpus") if name in asked}
            chunk.setdefault("ncpus", "1")
            select = "1:" + ":".join(f"{name}={value}" for name, value in chunk.items())
            place = asked.get("place", "pack")
        return self._worked_out(asked, select, place)

    def _old_style(self, asked: dict[str, str]) -> str:
        """`nodes=1:ppn=2,mem=100mb` in the words of `select`."""
        match = re.fullmatch(r"(\d+)(?::ppn=(\d+))?", asked["nodes"])
        if match is None:
            raise refused("Illegal attribute or resource value Resource_List.nodes", 166)
        cpus = match[2] or "1"
        memory = f":mem={asked['mem']}" if "mem" in asked else ""
        return f"{match[1]}:ncpus={cpus}:mpiprocs={cpus}{memory}"

    def _worked_out(self, asked: dict[str, str], select: str, place: str) -> Need:
        nodes = cpus = 0
        memory: int | None = None
        for chunk in select.split("+"):
            count, values = self._chunk(chunk)
            nodes += count
            cpus = max(cpus, int(values.get("ncpus", "1")))
            size = parse_size(values["mem"]) if "mem" in values else None
            memory = size if memory is None else max(memory, size or 0)
        resources = {
            name: value for name, value in asked.items() if name not in ("select", "place")
        }
        resources["ncpus"] = str(cpus * nodes)
        if memory is not None:
            resources["mem"] = resources.get("mem") or _written_memory(select)
        resources |= {"nodect": str(nodes), "place": place, "select": select}
        walltime = parse_span(asked["walltime"]) if "walltime" in asked else None
        if walltime is not None:
            resources["walltime"] = write_span(walltime)
        vnode = f"ncpus={cpus}" + (f":mem={memory // 1024}kb" if memory is not None else "")
        return Need(dict(sorted(resources.items())), nodes, cpus, memory, walltime, vnode)

    def _chunk(self, text: str) -> tuple[int, dict[str, str]]:
        first, *rest = text.split(":")
        count = 1
        if first.isdigit():
            count = int(first)
        else:
            rest = [first, *rest]
        values: dict[str, str] = {}
        for part in rest:
            name, _, value = part.partition("=")
            known = (*self.sizes, *self.numbers, *self.words, *self.emulator.settings.resources)
            if name not in known:
                raise refused(f"Unknown resource: {name}", 187)
            if self.is_bad(name, value):
                raise refused(f"Illegal attribute or resource value select.{name}", 166)
            values[name] = value
        return count, values

    # Queues

    def _queue(self, call: Call, given: GivenOptions, need: Need, size: int) -> str:
        settings = self.emulator.settings
        name = given.last("q", next(iter(settings.queues))).partition("@")[0]
        if name not in settings.queues:
            raise refused("Unknown queue", UNKNOWN_QUEUE)
        queue = settings.queues[name]
        if not queue.get("enabled", True):
            raise refused("Queue is not enabled", 173)
        wanted = {
            "max_mem": need.memory or 0,
            "max_ncpus": need.cpus * need.nodes,
            "max_walltime": need.walltime or 0,
        }
        for limit, value in wanted.items():
            most = queue.get(limit)
            if isinstance(most, int) and value > most:
                raise refused(LIMITS, 188)
        self._check_array(queue.get("max_array_size"), size)
        asked = {"ncpus": need.cpus * need.nodes, "mem": (need.memory or 0) * need.nodes}
        self._check_places(call.user, name, queue, asked, size)
        server = {"max_queued": settings.max_queued, "max_queued_res": settings.max_queued_res}
        self._check_places(call.user, "", server, asked, size)
        return name

    def _check_array(self, most: object, size: int) -> None:
        if isinstance(most, int) and size > most:
            raise refused("Array job exceeds server or queue size limit", 3)

    def _check_places(
        self,
        user: str,
        queue: str,
        limits: Mapping[str, object],
        asked: Mapping[str, int],
        size: int,
    ) -> None:
        """What a user has there already counts, whether it waits or runs."""
        there = self.emulator.unfinished(user, queue)
        most = limits.get("max_queued")
        if isinstance(most, int) and len(there) + size > most:
            raise refused(
                f"would exceed {'queue generic' if queue else 'complex'}'s per-user limit", 38
            )
        resources = limits.get("max_queued_res")
        for name, most in resources.items() if isinstance(resources, dict) else ():
            if sum(_asked(task)[name] for task in there) + asked[name] * size > most:
                where = f"queue {queue}" if queue else "complex"
                raise refused(f"would exceed per-user limit on resource {name} in {where}", 38)


def _asked(task: Task) -> dict[str, int]:
    request = task.job.request
    share = request.share
    return {"ncpus": share.cpus * request.nodes, "mem": share.memory * request.nodes}


def _split_resources(text: str) -> list[str]:
    """Take `select=1:ncpus=2,walltime=1:00` apart."""
    return [part for part in text.split(",") if part]


def _split_variables(text: str) -> list[str]:
    """Take a variable list apart; quotes and backslashes protect commas."""
    parts: list[str] = [""]
    quote = ""
    escaped = False
    for character in text:
        if escaped:
            parts[-1] += character
            escaped = False
        elif character == "\\":
            escaped = True
        elif quote or character in "\"'":
            quote = "" if character == quote else (quote or character)
            parts[-1] += character
        elif character == ",":
            parts.append("")
        else:
            parts[-1] += character
    return [part for part in parts if part]


def _unquoted(value: str) -> str:
    if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
        return value[1:-1]
    return value


def _written_memory(select: str) -> str:
    match = re.search(r"(?:^|:)mem=(\w+)", select)
    return match[1] if match else "0kb"
