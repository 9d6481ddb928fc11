"""The fake `qsub` of Grid Engine."""

from __future__ import annotations

import re
import shlex
import time
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from reflow.testing.fakes.emulator import Answer, Call, Later, Refusal, Reply
from reflow.testing.fakes.grammar import Layers, Parsed
from reflow.testing.fakes.model import Request, Share

from tests.fakes.sge import grammar
from tests.fakes.sge.jobs import (
    MIB,
    SgeJob,
    parse_memory,
    parse_seconds,
)

if TYPE_CHECKING:
    from tests.fakes.sge.emulator import SgeEmulator

OPTIONS = grammar.table(
    """
    @= a= ac= adds== A= ar= b= binding= c= ckpt= clear clearp= clears= cwd C= dc= dl= e= h hard
    help hold_jid= hold_jid_ad= i= inherit j= js= jsv= l= m= masterq= M= N= noshell notify now=
    o= ot= P= p= par= pe== pty= q= R= r= rsh= S= shell= si= soft sync= t= tc= terse u= v= verbose
    verify V w= wd= xd= xdv= xd_run_as_image_user=
    """
)
_TIMES = ("h_rt", "s_rt", "h_cpu", "s_cpu")
_SIZES = (
    "h_vmem", "s_vmem", "mem_free", "mf", "virtual_free", "vf", "h_data", "h_stack", "h_core",
    "h_fsize", "h_rss", "s_rss", "mem_total", "mt",
)  # fmt: skip
_WORDS = ("hostname", "h", "qname", "q", "arch", "a", "num_proc", "p", "load_avg", "slots", "s")
_BAD_CHARACTERS = {
    ":": "Colon (':')",
    "@": "At ('@')",
    "*": "Asterisk ('*')",
    "\\": "Backslash ('\\')",
}


def rejected(why: str, code: int = 1) -> Refusal:
    """Refuse as qmaster does."""
    return Refusal(f"Unable to run job: {why}\nExiting.", code)


@dataclass
class GivenOptions(Layers):
    """The options in force: the command line's over the script's."""

    script: bytes | None
    script_name: str
    arguments: list[str] = field(default_factory=list)

    def yes(self, name: str) -> bool:
        """The value of an option that is `y` or `n`."""
        return self.last(name).lower() in ("y", "yes")


class Qsub:
    """The command."""

    def __init__(self, emulator: SgeEmulator) -> None:
        self._emulator = emulator

    def __call__(self, call: Call) -> Answer:
        """Submit a script."""
        line = grammar.parse("qsub", call.arguments, OPTIONS, stop_at_operand=True)
        if line.has("help"):
            return Reply("SGE 8.1.9\nusage: qsub [options]\n")
        given = self._given(call, line)
        self._check_words(given)
        array = self._tasks(given)
        # From here on it is qmaster that looks at the job; what it refuses has cost a number.
        number = self._emulator.next_number()
        job = self._job(call, given, number, array)
        if given.last("w") in ("e", "v", "p", "w"):
            answer = self._verify(given, job)
            if answer is not None:
                return answer
        self._emulator.engine.submit(job)
        return self._said(given, job)

    def _said(self, given: GivenOptions, job: SgeJob) -> Answer:
        numbers = f"{job.number}.{job.task_text}" if job.is_array else str(job.number)
        kind = "job-array" if job.is_array else "job"
        said = f'Your {kind} {numbers} ("{job.name}") has been submitted\n'
        if given.has("terse"):
            said = f"{numbers}\n"
        if given.yes("sync"):
            return Later(lambda: self._exit_of(job), Reply(said))
        return Reply(said)

    def _exit_of(self, job: SgeJob) -> Reply | None:
        if not job.is_over:
            return None
        lines, first = "", 0
        for task in job.present:
            code = task.run.code if task.run is not None else 1
            if code:
                lines += f"Job {self._emulator.native_id(task)} exited with exit code {code}.\n"
                first = first or code
        return Reply(stderr=lines, code=first)

    # Reading the options

    def _given(self, call: Call, line: Parsed) -> GivenOptions:
        if grammar.yes(line, "b"):
            if not line.operands:
                raise Refusal("qsub: command required for a binary job", 1)
            return GivenOptions([line], None, Path(line.operands[0]).name, line.operands)
        name = "STDIN"
        if line.operands and line.operands[0] != "-":
            path = call.directory / line.operands[0]
            try:
                script = path.read_bytes()
            except OSError as error:
                raise Refusal(
                    "Unable to read script file because of error: error opening "
                    f"{line.operands[0]}: {error.strerror}",
                    14,
                ) from None
            name = path.name
        else:
            script = call.stdin
        if not script:
            raise rejected("No command or script was specified.")
        prefix = line.last("C", "#$")
        return GivenOptions(
            [line, self._directives(script, prefix)], script, name, line.operands[1:]
        )

    def _directives(self, script: bytes, prefix: str) -> Parsed:
        """Read the `#$` lines, wherever they stand."""
        words: list[str] = []
        for line in script.decode("utf-8", "surrogateescape").splitlines():
            if prefix and line.startswith(prefix):
                words += shlex.split(line[len(prefix) :], comments=True)
        return grammar.parse("qsub", words, OPTIONS)

    def _check_words(self, given: GivenOptions) -> None:
        """What qsub itself refuses."""
        if given.has("p"):
            text = given.last("p")
            if not re.fullmatch(r"-?\d+", text) or not -1023 <= int(text) <= 1024:
                raise Refusal(
                    f'qsub: invalid priority "{text}".  Must be an integer from -1023 to 1024',
                    grammar.BAD_VALUE,
                )
        if given.has("ar"):
            raise rejected(f"the advance reservation id {given.last('ar')} is invalid")
        if "/" in given.last("N"):
            raise Refusal("qsub: argument to -N option must not contain / ", grammar.BAD_OPTION)
        for option in ("b", "j", "now", "r", "R", "sync", "shell"):
            if given.has(option) and given.last(option).lower() not in ("y", "yes", "n", "no"):
                raise Refusal(
                    f'qsub: Unknown option argument "{given.last(option)}" for option -{option}',
                    grammar.BAD_VALUE,
                )

    def _tasks(self, given: GivenOptions) -> tuple[list[int], int, str] | None:
        """The numbers of `-t`, their step, and how qsub writes them."""
        if not given.has("t"):
            return None
        text = given.last("t")
        if text.startswith("-"):
            raise Refusal(
                f'qsub: Range specifier "{text}" has unknown trailer "{text[1:]}"',
                grammar.BAD_VALUE,
            )
        if not text[:1].isdigit():
            raise Refusal(
                "qsub: Numerical value invalid!\n"
                f'The initial portion of string "{text}" contains no decimal number',
                grammar.BAD_VALUE,
            )
        numbers = self._comma_list(text) if "," in text else self._range(text)
        step = numbers[1] - numbers[0] if len(numbers) > 1 else 1
        return numbers, step, f"{numbers[0]}-{numbers[-1]}:{step}"

    def _range(self, text: str) -> list[int]:
        match = re.fullmatch(r"(\d+)(?:-(\d+)(?::(\d+))?)?", text)
        if match is None:
            trailer = re.sub(r"^\d+(-\d+)?", "", text)
            raise Refusal(
                f'qsub: Range specifier "{text}" has unknown trailer "{trailer}"',
                grammar.BAD_VALUE,
            )
        first = int(match[1])
        last = int(match[2]) if match[2] else first
        first, last = min(first, last), max(first, last)
        return list(range(first, last + 1, int(match[3] or 1)))

    def _comma_list(self, text: str) -> list[int]:
        """`1,3` becomes 1-3:2; what cannot be written so is refused."""
        numbers = [int(part) for part in text.split(",") if part.isdigit()]
        steps = {later - earlier for earlier, later in pairwise(numbers)}
        if len(numbers) != text.count(",") + 1 or len(steps) > 1 or min(steps) < 1:
            raise Refusal(
                f'qsub: Range specifier "{text}" has unknown trailer "{text.partition(",")[2]}"',
                grammar.BAD_VALUE,
            )
        return numbers

    # What qmaster does

    def _job(
        self, call: Call, given: GivenOptions, number: int, array: tuple[list[int], int, str] | None
    ) -> SgeJob:
        emulator, settings = self._emulator, self._emulator.settings
        self._check_array(given, array)
        name = self._name(given)
        queue = self._queue(given)
        parallel, slots = self._parallel(given)
        resources = self._resources(given)
        if given.has("P") and given.last("P") not in settings.projects:
            raise rejected(
                f'job rejected: the requested project "{given.last("P")}" does not exist'
            )
        if settings.max_u_jobs:
            count = emulator.jobs_of(call.user)
            if count >= settings.max_u_jobs:
                raise rejected(
                    f"job rejected: only {settings.max_u_jobs} jobs are allowed per user "
                    f"(current job count: {count})",
                    25,
                )
        limit = parse_seconds(resources["h_rt"]) if "h_rt" in resources else None
        soft = parse_seconds(resources["s_rt"]) if "s_rt" in resources else None
        memory = parse_memory(resources["h_vmem"]) if "h_vmem" in resources else None
        cpu = parse_seconds(resources["h_cpu"]) if "h_cpu" in resources else None
        wanted_host = resources.get("hostname", resources.get("h", ""))
        hosts, without = self._hosts(wanted_host)
        directory = Path(given.last("wd")) if given.has("wd") else Path(emulator.home())
        if given.has("cwd"):
            directory = call.directory
        job = SgeJob(
            number=number,
            name=name,
            user=call.user,
            uid=call.uid,
            submitted=emulator.engine.now(),
            request=Request(
                share=Share(slots, (memory or 100 * MIB) * slots),
                walltime=limit,
                on_nodes=hosts,
                not_on_nodes=without,
            ),
            queue=queue or next(iter(settings.queues)),
            hard_queue=queue,
            indices=tuple(array[0]) if array else (None,),
            step=array[1] if array else 1,
            task_text=array[2] if array else "",
            throttle=int(given.last("tc")) or None if given.has("tc") else None,
            holds={"user"} if given.has("h") else set(),
            begin=self._begin(given),
            script=None if given.script is None else emulator.spool(f"{number}", given.script),
            script_name=given.script_name,
            command=tuple(given.arguments) if given.script is None else (),
            arguments=tuple(given.arguments) if given.script is not None else (),
            environment=self._environment(call, given),
            directory=directory,
            is_cwd=given.has("cwd"),
            submit_directory=call.directory,
            stdout=_local(given.last("o")),
            stderr=_local(given.last("e")),
            merge=given.yes("j"),
            shell=_local(given.last("S")) or settings.shell,
            umask=call.umask,
            slots=slots,
            parallel=parallel,
            resources=resources,
            soft_walltime=soft,
            address_space=memory * slots if memory else None,
            cpu_seconds=int(cpu) if cpu else None,
            notify=given.has("notify"),
            rerunnable=given.yes("r"),
            account=given.last("A", "sge"),
            project=given.last("P"),
            predecessors=self._predecessors(given.last("hold_jid"), call.user),
            asked_predecessors=given.last("hold_jid"),
            element_predecessors=self._predecessors(given.last("hold_jid_ad"), call.user),
        )
        self._check_element_predecessors(job)
        return job

    def _check_array(self, given: GivenOptions, array: tuple[list[int], int, str] | None) -> None:
        largest = self._emulator.settings.max_aj_tasks
        if array is not None and array[0][0] == 0:
            raise rejected("job rejected: 0 is an invalid task id")
        if array is not None and len(array[0]) > largest:
            raise rejected(
                f"job rejected: you tried to submit a job with more than {largest} tasks"
            )
        if given.has("tc") and (array is None or not given.last("tc").isdigit()):
            raise rejected('invalid "task concurrency" value in job request')

    def _name(self, given: GivenOptions) -> str:
        name = given.last("N", given.script_name)
        if not given.has("N"):
            return name
        if len(name) > 512:
            raise rejected("job name too long, maximum allowed length is 512 characters")
        if name.lower() in ("none", "all", "template"):
            raise rejected(f'Keyword ("{name.upper()}") not allowed as objectname')
        for character, called in _BAD_CHARACTERS.items():
            if character in name:
                raise rejected(f"{called} not allowed in objectname")
        if not name.isascii() or any(one.isspace() for one in name):
            raise rejected("Error reading answer list from qmaster")
        if name[0].isdigit():
            raise rejected(
                f'denied: "{name}" is not a valid object name (cannot start with a digit)'
            )
        return name

    def _queue(self, given: GivenOptions) -> str:
        name = given.last("q").partition("@")[0]
        if name and name not in self._emulator.settings.queues:
            raise rejected(f'Job was rejected because job requests unknown queue "{name}"')
        return name

    def _parallel(self, given: GivenOptions) -> tuple[str, int]:
        if not given.has("pe"):
            return "", 1
        name, _, text = given.last("pe").partition(" ")
        if name not in self._emulator.settings.parallel_environments:
            raise rejected(
                f'job rejected: the requested parallel environment "{name}" does not exist'
            )
        match = re.fullmatch(r"(\d+)(?:-(\d+)?)?|-(\d+)", text)
        if match is None:
            raise Refusal(f'qsub: Unknown range "{text}"', grammar.BAD_VALUE)
        slots = int(match[1] or 1)
        if slots < 1:
            raise rejected('"job" rejected: pe range must be greater than zero')
        return name, slots

    def _resources(self, given: GivenOptions) -> dict[str, str]:
        resources: dict[str, str] = {}
        for text in given.all("l"):
            for part in text.split(","):
                name, equals, value = part.partition("=")
                self._check_resource(name, value, given=bool(equals))
                resources[name] = _plain_seconds(value) if name in _TIMES else value
        return resources

    def _check_resource(self, name: str, value: str, *, given: bool) -> None:
        known = {*_TIMES, *_SIZES, *_WORDS, *self._emulator.settings.consumables}
        if name not in known:
            raise rejected(f'unknown resource "{name}"')
        if name in _TIMES and (not given or parse_seconds(value) is None):
            raise rejected(f'attribute "{name}" is not a time value')
        if name in _SIZES and (not given or parse_memory(value) is None):
            raise rejected(f'attribute "{name}" is not a memory value')

    def _hosts(self, text: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The hosts that `-l hostname=` wants, and those that `!` rules out."""
        names = [node.name for node in self._emulator.engine.nodes]
        if not text:
            return (), ()
        ruled_out = text.startswith("!")
        chosen = tuple(re.split(r"[|&]", text.strip("!()")))
        for name in chosen:
            if name not in names:
                raise rejected(f'can\'t resolve hostname "{name}"')
        return ((), chosen) if ruled_out else (chosen, ())

    def _begin(self, given: GivenOptions) -> float:
        if not given.has("a"):
            return 0.0
        match = re.fullmatch(r"(\d{4}|\d\d)?(\d{8})(?:\.(\d\d))?", given.last("a"))
        if match is None:
            raise Refusal(f'qsub: Wrong date/time format "{given.last("a")}"', grammar.BAD_VALUE)
        year = match[1] or time.strftime("%Y", time.localtime(self._emulator.engine.now()))
        year = f"20{year}" if len(year) == 2 else year
        try:
            moment = time.strptime(f"{year}{match[2]}{match[3] or '00'}", "%Y%m%d%H%M%S")
        except ValueError:
            raise Refusal(
                f'qsub: Wrong date/time format "{given.last("a")}"', grammar.BAD_VALUE
            ) from None
        return time.mktime(moment)

    def _environment(self, call: Call, given: GivenOptions) -> dict[str, str]:
        environment = self._emulator.login_environment()
        for text in given.all("v"):
            for part in text.split(","):
                name, equals, value = part.partition("=")
                environment[name] = value if equals else call.environment.get(name, "")
        if given.has("V"):
            environment |= call.environment
        return environment

    def _predecessors(self, text: str, user: str) -> set[int]:
        """The jobs an id list means now; unknown ids and names are ignored."""
        found: set[int] = set()
        for word in filter(None, text.split(",")):
            found |= {job.number for job in self._emulator.jobs_called(word, user)}
        return found

    def _check_element_predecessors(self, job: SgeJob) -> None:
        for number in job.element_predecessors:
            other = self._emulator.engine.jobs[number]
            if list(other.tasks) != list(job.tasks):
                raise rejected(
                    "This array job must have the same range of sub-tasks as the dependent array "
                    "job specified with -hold_jid_ad"
                )

    def _verify(self, given: GivenOptions, job: SgeJob) -> Answer | None:
        fits = self._emulator.could_ever_run(job)
        if given.last("w") == "e":
            if not fits:
                raise rejected("error: no suitable queues")
            return None
        if given.last("w") == "w":
            return None
        if fits:
            return Reply("verification: found suitable queue(s)\n")
        why = ""
        if "h_vmem" in job.resources:
            offered = self._emulator.settings.memory_per_node / 2**30
            why = (
                f"Job {job.number} (-l h_vmem={job.resources['h_vmem']}) cannot run at host "
                f'"node01" because it offers only hc:h_vmem={offered:.3f}G\n'
            )
        raise rejected(f"{why}verification: no suitable queues")


def _local(path: str) -> str:
    """The path of `[host]:path`."""
    return path.rpartition(":")[2]


def _plain_seconds(text: str) -> str:
    return f"{parse_seconds(text):g}"
