"""The fake `qsub` of Torque."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reflow.testing.fakes.face import Answer, Call, Refusal, Reply
from reflow.testing.fakes.grammar import BadOptionError, Parsed, getopt_long, options
from reflow.testing.fakes.model import Request, Share
from reflow.testing.fakes.pbs.directives import directives
from reflow.testing.fakes.pbs.jobs import SERVER, parse_size, parse_span, write_span
from reflow.testing.fakes.pbs.submitter import Submitter, Wish
from reflow.testing.fakes.torque import depend
from reflow.testing.fakes.torque.jobs import (
    BAD_ARRAY,
    BAD_VALUE,
    EXCEEDS_QUEUE,
    NO_ATTRIBUTE,
    QUEUE_DISABLED,
    TOO_MANY_OF_USER,
    UNKNOWN_QUEUE,
    UNKNOWN_RESOURCE,
    VERSION,
    TorqueJob,
    refused,
)

if TYPE_CHECKING:
    from reflow.testing.fakes.torque.face import TorqueFace

USAGE = """\
usage: qsub [-a date_time] [-A account_string] [-b secs]
    [-c [ none | { enabled | periodic | shutdown |
    depth=<int> | dir=<path> | interval=<minutes>}... ]
    [-C directive_prefix] [-d path] [-D path]
    [-e path] [-h] [-I] [-j oe|eo|n] [-k {oe}] [-l resource_list] [-m n|{abe}]
    [-M user_list] [-N jobname] [-o path] [-p priority] [-P proxy_user [-J <jobid]]
    [-q queue] [-r y|n] [-S path] [-t number_to_submit] [-T type]  [-u user_list]
    [-w] path
      [-W additional_attributes] [-v variable_list] [-V ] [-x] [-X] [-z] [script]
"""
OPTIONS = options(
    """
    a/a= A/A= b/b= c/c= C/C= d/d= D/D= e/e= E/E f/f F/F= h/h I/I j/j= J/J= k/k= l/l= m/m= M/M= n/n
    N/N= o/o= p/p= P/P= q/q= r/r= S/S= t/t= T/T= u/u= v/v= V/V w/w= W/W= X/X x/x z/z version
    """
)
_KNOWN_ATTRIBUTES = ("depend", "umask", "stagein", "stageout", "group_list", "job_radix", "x")
_LARGEST_INDEX = 99999
_TRYING_AGAIN = "Connection to server timed out. Trying again"
_NO_NODES = (
    "cannot locate feasible nodes (nodes file is empty, all systems are busy, or no nodes have the "
    "requested feature)"
)


def usage_error(text: str) -> Refusal:
    """Refuse what qsub itself cannot read."""
    return Refusal(f"[{text}]\n\n{USAGE}", 2)


@dataclass(frozen=True)
class Need:
    """What a job asks for, worked out of `-l`."""

    resources: dict[str, str]
    nodes: int
    cpus: int
    memory: int
    """On each node, in bytes."""
    walltime: float | None


class Qsub(Submitter):
    """The command."""

    spans = ("walltime", "cput", "pcput")
    sizes = ("mem", "vmem", "pmem", "pvmem", "file", "ddisk")
    numbers = ("ncpus", "nodect", "nice", "procs", "gpus", "mics")
    words = (
        "nodes",
        "arch",
        "host",
        "opsys",
        "software",
        "feature",
        "naccesspolicy",
        "qos",
        "epilogue",
    )

    def __init__(self, face: TorqueFace) -> None:
        super().__init__(face)
        self._face = face

    def illegal(self, option: str) -> Refusal:
        """Refuse a value that qsub itself cannot read."""
        return usage_error(f"qsub: illegal -{option} value")

    def unknown_resource(self, name: str) -> Refusal:
        """Refuse a resource that the server does not have."""
        return refused(f"Unknown resource type  Resource_List.{name}", UNKNOWN_RESOURCE)

    def bad_resource(self, name: str) -> Refusal:
        """Refuse a value that is none of that resource's."""
        text = f"Illegal attribute or resource value for  Resource_List.{name}"
        return refused(text, BAD_VALUE)

    def __call__(self, call: Call) -> Answer:
        """Submit a script."""
        if "--version" in call.arguments:
            return Reply(stderr=f"Version: {VERSION}\nCommit: \n")
        wish = self._wish(call)
        if self._face.settings.refuse_root and call.uid == 0:
            return Reply("qsub can not be run as root\n", code=1)
        said = ""
        if self._face.submit_again:
            self._face.submit_again = False
            self._face.take(self._job(call, wish))
            said = _TRYING_AGAIN
        job = self._job(call, wish)
        self._face.take(job)
        return Reply("" if wish.has("z") else f"{said}{self._face.job_id(job)}\n")

    # Reading the wish

    def _wish(self, call: Call) -> Wish:
        line = self._parse(call.arguments)
        name = "STDIN"
        if line.operands and line.operands[0] != "-":
            text = line.operands[0]
            path = call.directory / text
            try:
                script = path.read_bytes()
            except OSError as error:
                reason = error.strerror
                raise Refusal(
                    f"qsub: script file '{text}' cannot be loaded - {reason}", 1
                ) from None
            name = path.name
        else:
            script = call.stdin
        if len(line.operands) > 1:
            raise usage_error("index issues")
        inside = self._parse(directives(script, line.last("C", "#PBS")))
        arguments = shlex.split(line.last("F") or inside.last("F"))
        return Wish([line, inside], script, name, arguments)

    def _parse(self, words: list[str]) -> Parsed:
        try:
            line = getopt_long(words, OPTIONS)
        except BadOptionError as error:
            said = usage_error("exiting").reply.stderr
            raise Refusal(f"qsub: {error}\n{said}", 2) from None
        if line.has("J") and not line.has("P"):
            raise usage_error("The -J option can only be used in conjunction with -P")
        if line.last("j", "n") not in ("oe", "eo", "n"):
            raise self.illegal("j")
        if line.last("r", "y") not in ("y", "n"):
            raise usage_error("qsub: illegal -r value (y/n)")
        return line

    # Making the job

    def _job(self, call: Call, wish: Wish) -> TorqueJob:
        face = self._face
        name = wish.last("N", wish.script_name)
        if wish.has("N") and (not name or re.search(r"[\s/]", name)):
            raise self.illegal("N")
        attributes = self._attributes(wish)
        waits_for = self.dependencies(attributes, depend.parse)
        common = self.common(call, wish, self._variables(call, wish))
        need = self._need(wish)
        array = self._array(wish)
        size = len(array[0]) if array else 1
        queue = self._queue(call, wish, need, size)
        number = face.next_number()
        return TorqueJob(
            **common,
            number=number,
            name=name,
            request=Request(
                nodes=need.nodes,
                share=Share(need.cpus, need.memory),
                walltime=need.walltime,
                memory_limit=need.memory * need.nodes or None,
            ),
            queue=queue,
            indices=tuple(array[0]) if array else (None,),
            range_text=wish.last("t").partition("%")[0],
            throttle=array[1] if array else None,
            script=face.spool(f"{number}.SC", wish.script or b""),
            umask=self._umask(attributes),
            resources=need.resources,
            cpus=need.cpus,
            waits_for=waits_for,
            nodes_text=need.resources.get("nodes", "1"),
        )

    def _attributes(self, wish: Wish) -> dict[str, str]:
        """Every `-W`: one attribute each."""
        found: dict[str, str] = {}
        for text in wish.all("W"):
            name, equals, value = (part.strip() for part in text.partition("="))
            if not equals:
                name, value = "x", text
            if not value:
                raise self.illegal("W")
            if name not in _KNOWN_ATTRIBUTES:
                raise refused(f"Undefined attribute  {name}", NO_ATTRIBUTE)
            found[name] = value
        return found

    def _umask(self, attributes: dict[str, str]) -> int:
        """Octal with a leading zero, else decimal."""
        text = attributes.get("umask", "077")
        return int(text, 8 if text.startswith("0") else 10)

    def _array(self, wish: Wish) -> tuple[list[int], int | None] | None:
        """The indices of `-t`, and the limit after `%`."""
        if not wish.has("t"):
            return None
        settings = self._face.settings
        text, percent, limit = wish.last("t").partition("%")
        indices: list[int] = []
        for part in text.split(","):
            match = re.fullmatch(r"(\d+)(?:-(\d+))?", part)
            first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
            if last < first or last > _LARGEST_INDEX:
                raise refused("Bad Job Array Request", BAD_ARRAY)
            indices += range(first, last + 1)
        if len(set(indices)) < len(indices):
            raise refused("Bad Job Array Request", BAD_ARRAY)
        if len(indices) > settings.max_array_size:
            most = settings.max_array_size
            raise refused(
                f"Bad Job Array Request MSG=Requested array size too large, limit is {most}",
                BAD_ARRAY,
            )
        slots = int(re.match(r"\d*", limit)[0] or 0) if percent else 0  # type: ignore[index]
        if settings.max_slot_limit is not None and slots > settings.max_slot_limit:
            most = settings.max_slot_limit
            raise refused(
                f"Bad Job Array Request MSG=Requested slot limit too large, limit is {most}",
                BAD_ARRAY,
            )
        return sorted(indices), slots or settings.max_slot_limit

    def _variables(self, call: Call, wish: Wish) -> dict[str, str]:
        """`Variable_List`: what qsub adds, what `-v` names, with `-V` everything."""
        environment = call.environment
        taken = {
            "PBS_O_HOME": environment.get("HOME", "/"),
            "PBS_O_LOGNAME": call.user,
            "PBS_O_PATH": environment.get("PATH", ""),
            "PBS_O_SHELL": environment.get("SHELL", "/bin/bash"),
            "PBS_O_LANG": environment.get("LANG", ""),
            "PBS_O_WORKDIR": str(call.directory),
        }
        variables = {name: value for name, value in taken.items() if value}
        if wish.has("V"):
            variables |= environment
        for text in wish.all("v"):
            for part in filter(None, text.split(",")):
                name, equals, value = part.partition("=")
                variables[name] = value if equals else environment.get(name, "")
        if wish.has("d"):
            variables["PBS_O_INITDIR"] = str(call.directory / wish.last("d"))
        return variables

    # Resources

    def _need(self, wish: Wish) -> Need:
        asked: dict[str, str] = {}
        for text in wish.all("l"):
            for part in filter(None, text.split(",")):
                name, equals, value = part.partition("=")
                if not equals or not value:
                    raise self.illegal("l")
                self.check_resource(name, value)
                asked[name] = value
        nodes, cpus = self._nodes(asked)
        memory = parse_size(asked.get("pmem", "0")) or 0
        whole = parse_size(asked.get("mem", "0")) or 0
        memory = max(memory * cpus, -(-whole // nodes))
        walltime = parse_span(asked["walltime"]) if "walltime" in asked else None
        if walltime is not None:
            asked["walltime"] = write_span(walltime)
        if "nodes" in asked:
            asked["nodect"] = str(nodes)
        return Need(dict(sorted(asked.items())), nodes, cpus, memory, walltime)

    def _nodes(self, asked: dict[str, str]) -> tuple[int, int]:
        """Nodes, and cpus on each."""
        text = asked.get("nodes")
        if text is None:
            return 1, int(asked.get("procs", asked.get("ncpus", "1")))
        nodes = cpus = 0
        names = [node.name for node in self._face.engine.nodes]
        for chunk in text.split("+"):
            first, *rest = chunk.split(":")
            wishes = dict(part.partition("=")[::2] for part in rest)
            count = int(first) if first.isdigit() else int(first in names)
            features = set(wishes) - {"ppn"} - {name for name in wishes if "gpus" not in name}
            if not count or features or not wishes.get("ppn", "1").isdigit():
                raise refused(f"Job exceeds queue resource limits MSG={_NO_NODES}", EXCEEDS_QUEUE)
            nodes += count
            cpus = max(cpus, int(wishes.get("ppn", "1")))
        most = max(node.cpus for node in self._face.engine.nodes)
        if nodes > len(names) or cpus > most:
            raise refused(f"Job exceeds queue resource limits MSG={_NO_NODES}", EXCEEDS_QUEUE)
        return nodes, cpus

    # Queues

    def _queue(self, call: Call, wish: Wish, need: Need, size: int) -> str:
        settings = self._face.settings
        name = wish.last("q").partition("@")[0] or next(iter(settings.queues))
        if name not in settings.queues:
            raise refused("Unknown queue MSG=cannot locate queue", UNKNOWN_QUEUE)
        queue = settings.queues[name]
        who = f"user {call.user}@{SERVER}, queue {name}"
        if not queue.get("enabled", True):
            raise refused(f"Queue is not enabled MSG=queue is disabled: {who}", QUEUE_DISABLED)
        wanted = {"mem": need.memory * need.nodes, "walltime": need.walltime or 0}
        for limit, value in wanted.items():
            most = queue.get(f"max_{limit}")
            if isinstance(most, int) and value > most:
                raise refused(
                    "Job exceeds queue resource limits MSG=cannot satisfy queue max "
                    f"{limit} requirement",
                    EXCEEDS_QUEUE,
                )
        most = queue.get("max_user_queuable")
        limits = ((most, name, "queue"), (settings.max_user_queuable, "", "server"))
        for most, where, whose in limits:
            there = len(self._face.unfinished(call.user, where))
            if isinstance(most, int) and there + size > most:
                raise refused(
                    "Maximum number of jobs already in queue for user MSG=total number of "
                    f"current user's jobs exceeds the {whose} limit: {who}",
                    TOO_MANY_OF_USER,
                )
        return name
