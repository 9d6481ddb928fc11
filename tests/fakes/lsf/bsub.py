"""The fake `bsub`."""

from __future__ import annotations

import os
import re
import time
from typing import TYPE_CHECKING

from reflow.testing.fakes.emulator import Answer, Call, Later, Refusal, Reply
from reflow.testing.fakes.grammar import Parsed
from reflow.testing.fakes.model import Request, Share

from tests.fakes.lsf import depend, scripts
from tests.fakes.lsf.depend import Condition
from tests.fakes.lsf.jobs import (
    OVERFLOW,
    VERSION,
    LsfJob,
    parse_indices,
    write_full_moment,
)

if TYPE_CHECKING:
    from tests.fakes.lsf.emulator import LsfEmulator

OPTIONS = (
    *("E:", "T:", "a:", "w:", "f:", "k:", "R:", "m:", "Jd:", "J:", "L:", "u:", "is:", "i:", "o:"),
    *("e:", "Zs", "n:", "q:", "b:", "t:", "sp:", "s:", "c:", "v:", "p:", "W:", "F:", "D:", "S:"),
    *("C:", "M:", "O:", "g:", "G:", "P:", "Ip", "Is", "I", "r", "H", "x", "N", "B", "h", "V"),
    *("X:", "K"),
)
"""In the order in which they are compared; those with a colon have a value."""
USAGE = "Usage: bsub [-h] [-V] [-x] [-H] [-K] [-J job_name] [-o out_file] [options] [command]"
_INDICES_OF_LOAD = (
    "mem", "swp", "tmp", "r15s", "r1m", "r15m", "ut", "pg", "io", "ls", "it", "maxmem", "maxswp",
    "ncpus", "ndisks", "cpuf", "type", "model", "status", "hname", "duration", "decay",
)  # fmt: skip
MAX_NAME = 255
LONGEST_DIRECTORY = 256
"""The real one copies it there, whatever its length."""


def refused(text: str) -> Refusal:
    """Refuse a job."""
    return Refusal(f"{text}. Job not submitted.", 255)


class Bsub:
    """The command."""

    def __init__(self, emulator: LsfEmulator) -> None:
        self._emulator = emulator

    def __call__(self, call: Call) -> Answer:
        """Submit a command, or a script from standard input."""
        line = self._parse(call.arguments)
        if line.has("V"):
            return Reply(stderr=f"{VERSION}\n")
        if line.has("h"):
            return Reply(stderr=f"{USAGE}\n")
        script = ""
        command = " ".join(line.operands)
        if not command:
            text = call.stdin.decode("utf-8", "surrogateescape").strip("\n")
            script = command = scripts.joined(text)
            line = Parsed(self._directives(script, call) + line.options, [])
        if not command.strip():
            raise refused("No command is specified")
        if len(os.fsencode(call.directory)) >= LONGEST_DIRECTORY:
            raise Refusal(OVERFLOW, 134)
        # What is refused from here on has cost a number.
        number = self._emulator.next_number()
        job = self._job(call, line, number, command, is_script=bool(script))
        self._emulator.engine.submit(job)
        return self._said(call, line, job)

    def reads_stdin(self, call: Call) -> bool:
        """Whether this call takes its script from standard input."""
        return not self._parse(call.arguments).operands

    def _parse(self, words: list[str]) -> Parsed:
        parsed = Parsed([], [])
        rest = list(words)
        while rest and rest[0].startswith("-"):
            word = rest.pop(0).removeprefix("-")
            if word.startswith("-"):
                break
            parsed.options.append(self._option(word, rest))
        parsed.operands = rest
        return parsed

    def _option(self, word: str, rest: list[str]) -> tuple[str, str]:
        """One option: the first that the word is, or begins with."""
        for option in OPTIONS:
            name, takes, _ = option.partition(":")
            if not word.startswith(name):
                continue
            if not takes and word != name:
                raise refused(f"bsub: option cannot have an argument -- {name}\n")
            if not takes:
                return name, ""
            if word == name and not rest:
                raise refused(f"bsub: option requires an argument -- {name}\n")
            return name, rest.pop(0) if word == name else word.removeprefix(name)
        raise refused(f"bsub: illegal option -- {word}\n")

    def _directives(self, script: str, call: Call) -> list[tuple[str, str]]:
        """Options of a script; a project of the environment counts more than theirs."""
        options = self._parse(scripts.directive_words(script)).options
        named = "LSB_DEFAULTPROJECT" in call.environment
        return [option for option in options if not (named and option[0] == "P")]

    def _said(self, call: Call, line: Parsed, job: LsfJob) -> Answer:
        queue = "queue" if line.has("q") else "default queue"
        text = f"Job <{job.number}> is submitted to {queue} <{job.queue}>.\n"
        if "BSUB_QUIET" in call.environment:
            text = ""
        note = ""
        if job.begin:
            note = f"Job will be scheduled after {write_full_moment(job.begin)}\n"
        if not line.has("K"):
            return Reply(text, note)
        first = Reply(text, f"{note}<<Waiting for dispatch ...>>\n")
        return Later(lambda: self._exit_of(job), first)

    def _exit_of(self, job: LsfJob) -> Reply | None:
        if not job.is_over:
            return None
        run = job.present[0].run
        return Reply(stderr="<<Job is finished>>\n", code=255 if run is None else run.code)

    # Making the job

    def _job(
        self, call: Call, line: Parsed, number: int, command: str, *, is_script: bool
    ) -> LsfJob:
        emulator, settings = self._emulator, self._emulator.settings
        if settings.refuse_root and call.uid == 0:
            raise refused("User permission denied")
        queue = self._queue(call, line)
        name, indices, throttle = self._name(line)
        memory = _positive(line, "M", "MEMLIMT value should be a positive integer")
        swap = _positive(line, "v", "SWAPLIMIT value should be a positive integer")
        minutes = self._minutes(line)
        self._check_limits(queue, minutes, memory)
        slots = self._slots(line, queue)
        if len(line.all("R")) > 1:
            raise refused("Invalid syntax; the -R option was used more than once.\n")
        unmet = self._requirements_unmet(line.last("R"), slots)
        condition = self._condition(line, len(indices) if indices else None)
        begin = self._begin(line)
        room = scripts.SCRIPT_SHOWN if is_script else scripts.COMMAND_SHOWN
        shown = scripts.shown(command, room)
        return LsfJob(
            number=number,
            name=name or ("" if indices else shown),
            is_named=bool(name),
            spec=line.last("J"),
            user=call.user,
            uid=call.uid,
            submitted=emulator.engine.now(),
            request=Request(
                share=Share(slots),
                walltime=minutes * 60.0 if minutes is not None else None,
                on_nodes=tuple(line.last("m").split()),
            ),
            queue=queue,
            indices=tuple(indices) if indices else (None,),
            step=indices[1] - indices[0] if indices and len(indices) > 1 else 1,
            throttle=throttle,
            holds={"user"} if line.has("H") else set(),
            held_at_start=line.has("H"),
            begin=begin,
            requeues=line.has("r"),
            project=line.last("P", call.environment.get("LSB_DEFAULTPROJECT", "default")),
            command=command,
            shown=shown,
            script=emulator.spool(f"{number}.job", _job_file(command, is_script=is_script)),
            environment=dict(call.environment),
            directory=call.directory,
            home=call.environment.get("HOME", emulator.home()),
            output=line.last("o"),
            error=line.last("e"),
            stdin=line.last("i", "/dev/null"),
            umask=call.umask,
            slots=slots,
            requirements=line.last("R"),
            requirement_unmet=unmet,
            run_minutes=minutes,
            memory_kb=memory,
            swap_kb=swap,
            condition=condition,
            condition_text=line.last("w"),
        )

    def _queue(self, call: Call, line: Parsed) -> str:
        queues = self._emulator.settings.queues
        default = call.environment.get("LSB_DEFAULTQUEUE", next(iter(queues)))
        name = line.last("q", default)
        if name not in queues:
            raise refused(f"{name}: No such queue")
        users = queues[name].get("users")
        if isinstance(users, list) and call.user not in users:
            raise refused(f"{name}: User cannot use the queue")
        return name

    def _name(self, line: Parsed) -> tuple[str, list[int] | None, int | None]:
        """Take `arr[1-10]%2` apart."""
        spec = line.last("J")
        if len(spec) > MAX_NAME:
            raise refused("Bad job name")
        match = re.fullmatch(r"([^\[]*)(?:\[([^\]]*)\](?:%(\d+))?)?", spec)
        if match is None:
            raise refused("Bad job name")
        if match[2] is None:
            return spec, None, None
        indices = parse_indices(match[2])
        if not indices:
            raise refused("Bad job name")
        if indices[-1] > self._emulator.settings.max_array_size:
            raise refused("Job array index too large")
        return match[1], indices, None if match[3] is None else int(match[3])

    def _minutes(self, line: Parsed) -> int | None:
        if not line.has("W"):
            return None
        text = line.last("W").partition("/")[0]
        match = re.fullmatch(r"(?:(\d+):)?(\d+)", text)
        if match is None:
            raise refused(f"{line.last('W')}: Bad RUNLIMIT specification")
        return int(match[1] or 0) * 60 + int(match[2])

    def _check_limits(self, queue: str, minutes: int | None, memory: int | None) -> None:
        limits = self._emulator.settings.queues[queue]
        most_minutes, most_memory = limits.get("max_minutes"), limits.get("max_mem_kb")
        if isinstance(most_minutes, int) and (minutes or 0) > most_minutes:
            raise refused("RUNLIMIT: Cannot exceed queue's hard limit(s)")
        if isinstance(most_memory, int) and (memory or 0) > most_memory:
            raise refused("MEMLIMIT: Cannot exceed queue's hard limit(s)")

    def _slots(self, line: Parsed, queue: str) -> int:
        if not line.has("n"):
            return 1
        least = line.last("n").partition(",")[0]
        if not least.isdigit() or int(least) < 1:
            raise refused(f"{line.last('n')}: Bad argument for option -n")
        user_slots = self._emulator.settings.queues[queue].get("user_slots")
        if isinstance(user_slots, int) and int(least) > user_slots:
            raise refused("Queue does not have enough per-user job slots")
        if int(least) > sum(node.cpus for node in self._emulator.engine.nodes):
            raise refused("Too many processors requested")
        return int(least)

    def _requirements_unmet(self, text: str, slots: int) -> str:
        """Check a resource requirement as loosely as the real one; why it can never be met."""
        reserved = 0
        for match in re.finditer(r"rusage\[([^\]]*)\]", text):
            for part in re.split(r"[,:]", match[1]):
                name, _, value = part.partition("=")
                if name.strip() not in _INDICES_OF_LOAD:
                    raise refused("Bad resource requirement syntax")
                if name.strip() == "mem" and value.strip().isdigit():
                    reserved = int(value)
        wanted = re.search(r"(?:^|\[|\W)mem\s*>=?\s*(\d+)", re.sub(r"rusage\[[^\]]*\]", "", text))
        nodes = self._emulator.engine.nodes
        most = max(node.memory for node in nodes) // 2**20
        if wanted is not None and int(wanted[1]) >= most:
            return "Job's resource requirements not satisfied"
        if reserved > most:
            return "Job requirements for reserving resource (mem) not satisfied"
        if "span[hosts=1]" in text and slots > max(node.cpus for node in nodes):
            return "Not enough processors to meet the job's spanning requirement"
        return ""

    def _condition(self, line: Parsed, size: int | None) -> Condition | None:
        if not line.has("w"):
            return None
        text = line.last("w")
        try:
            return depend.parse(text, self._emulator.job_called, size)
        except depend.SyntaxProblem:
            raise refused(f"{text}: Dependency condition syntax error") from None
        except depend.NoSuchJob as error:
            raise refused(f"{error}: No matching job found") from None
        except depend.SizesDiffer:
            raise refused("Dependent arrays do not have the same size") from None

    def _begin(self, line: Parsed) -> float:
        if not line.has("b"):
            return 0.0
        parts = line.last("b").split(":")
        if not 2 <= len(parts) <= 4 or not all(part.isdigit() for part in parts):
            raise refused(f"{line.last('b')}: Bad time specification")
        now = time.localtime(self._emulator.engine.now())
        numbers = [int(part) for part in parts]
        month = numbers[-4] if len(numbers) == 4 else now.tm_mon
        day = numbers[-3] if len(numbers) >= 3 else now.tm_mday
        moment = time.mktime((now.tm_year, month, day, numbers[-2], numbers[-1], 0, 0, 0, -1))
        this_minute = self._emulator.engine.now() // 60 * 60
        if moment < this_minute and len(numbers) > 2:
            # A month or a day that is over is the next one of that name.
            year, month = now.tm_year, month + 1
            if len(numbers) == 4:
                year, month = year + 1, numbers[-4]
            return time.mktime((year, month, day, numbers[-2], numbers[-1], 0, 0, 0, -1))
        return moment if moment > this_minute else moment + 86400


def _positive(line: Parsed, letter: str, problem: str) -> int | None:
    if not line.has(letter):
        return None
    text = line.last(letter)
    if not text.isdigit() or int(text) < 1:
        raise refused(f"{text}: {problem}")
    return int(text)


def _job_file(command: str, *, is_script: bool) -> str:
    """What the job's shell runs.

    It leaves a file behind when it ends, so that one that was killed can be told from one that
    exited: LSF reports the former DONE.
    """
    first = "#!/bin/sh"
    body = command
    if is_script and command.startswith("#!"):
        first, _, body = command.partition("\n")
    # The shell outlives these signals; what it runs does not.
    return (
        f"{first}\ntrap ': > \"$LSB_EXIT_FILE\"' 0\ntrap : 15 10 12 2 1\n"
        f"# LSBATCH: User input\n{body}\n"
        "ExitStat=$?\nwait\nexit $ExitStat\n"
    )
