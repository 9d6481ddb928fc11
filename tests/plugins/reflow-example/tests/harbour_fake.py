"""A Harbour to test against: hsub, hjobs and hkill, which really run what is submitted.

    with FakeScheduler("harbour_fake:HarbourEmulator", tmp_path) as harbour:
        subprocess.run(["hsub", "job.sh"], env=harbour.environment)

There is no real Harbour, so this is its manual too. A job is one script, or one script for each
of its elements. Directives (`#HARBOUR --cpus=2`) stand before the script's first command and are
written like options of hsub, which win.
"""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from reflow.plugin_api import parse_indices
from reflow.testing.fakes.emulator import BasicSettings, Call, Command, Emulator, Refusal, Reply
from reflow.testing.fakes.engine import Engine
from reflow.testing.fakes.grammar import BadOptionError, Option, Parsed, getopt_long, options
from reflow.testing.fakes.model import Job, Launch, Phase, Request, Run, Share, Task, Wait, Why

HSUB = options(
    """
    name= output= cpus= ships= memory= seconds= gpus= pier= account= elements= after= delay=
    environment tide=
    """
)
HJOBS = options("name= mine")
NOT_ALL, NO_ANSWER, FULL = 3, 4, 5

WAITS: Mapping[object, str] = {
    Wait.DEPENDENCY: "after another job",
    Wait.BEGIN_TIME: "not yet",
    Wait.THROTTLE: "enough of its elements sail",
    Wait.RESOURCES: "no ship is free",
}
ENDS = {
    Why.CANCELLED: "R",
    Why.WALLTIME: "L",
    Why.MEMORY: "O",
    Why.NODE: "D",
}


@dataclass
class HarbourSettings(BasicSettings):
    """What the site can set."""

    piers: list[str] = field(default_factory=lambda: ["north", "south"])
    """By the names of queues; jobs that name none lie at the first."""
    most_jobs: int = 0
    """Jobs in the queue at once, each element counted; 0 for no limit."""
    most_elements: int = 5000
    gpus: int = 0
    """On each ship."""


@dataclass(kw_only=True)
class HarbourJob(Job):
    """One hsub."""

    script: Path
    output: Path
    after: int | None
    environment: Mapping[str, str]


class HarbourEmulator(Emulator):
    """Harbour, with two ships of eight cores."""

    settings_class: ClassVar[type[HarbourSettings]] = HarbourSettings
    settings: HarbourSettings

    def __init__(self, engine: Engine, place: Path, settings: HarbourSettings) -> None:
        super().__init__(engine, place, settings)

    @property
    def commands(self) -> Mapping[str, Command]:
        """Every command by its name."""
        return {"hsub": self._hsub, "hjobs": self._hjobs, "hkill": self._hkill}

    # hsub

    def _hsub(self, call: Call) -> Reply:
        line = _parsed(call.arguments, HSUB, "hsub")
        if len(line.operands) != 1:
            raise Refusal("hsub: give one script", 2)
        script = call.directory / line.operands[0]
        try:
            text = script.read_bytes().decode("utf-8", "surrogateescape")
        except OSError as error:
            raise Refusal(f"hsub: {script}: {error.strerror}", 2) from error
        given = Parsed([*_parsed(_directives(text), HSUB, "hsub").options, *line.options], [])
        job = self._job(call, given, text)
        self.engine.submit(job)
        return Reply(f"job {job.number} waits\n")

    def _job(self, call: Call, given: Parsed, text: str) -> HarbourJob:
        indices, throttle = self._elements(given.last("elements"))
        self._check_places(given.last("pier"), len(indices))
        seconds = _number(given, "seconds")
        number = self.next_number()
        own = {"HARBOUR_JOB": str(number)}
        passed = call.environment if given.has("environment") else self.login_environment()
        return HarbourJob(
            number=number,
            name=given.last("name", "unnamed"),
            user=call.user,
            submitted=self.engine.now(),
            request=self._request(given, seconds or None),
            throttle=throttle,
            begin=self.engine.now() + _number(given, "delay"),
            indices=indices,
            script=self.spool(f"{number}.sh", text),
            output=call.directory / given.last("output", f"harbour-{number}.log"),
            after=_number(given, "after") if given.has("after") else None,
            environment={**passed, **own},
        )

    def _request(self, given: Parsed, seconds: float | None) -> Request:
        memory = _number(given, "memory") * 2**20
        ships, cpus = _number(given, "ships", 1), _number(given, "cpus", 1)
        largest = self.settings
        if (
            ships > largest.nodes
            or cpus > largest.cpus_per_node
            or memory > largest.memory_per_node
            or _number(given, "gpus") > largest.gpus
        ):
            raise Refusal("hsub: no ship here is that large", 2)
        return Request(
            nodes=ships,
            share=Share(cpus, memory),
            walltime=seconds,
            memory_limit=memory or None,
        )

    def _elements(self, text: str) -> tuple[tuple[int | None, ...], int | None]:
        if not text:
            return (None,), None
        found = re.fullmatch(r"1-(\d+)(?:%(\d+))?", text)
        if found is None or not 2 <= int(found[1]) <= self.settings.most_elements:
            raise Refusal(f"hsub: elements are 1-N, N at most {self.settings.most_elements}", 2)
        return tuple(range(1, int(found[1]) + 1)), int(found[2]) if found[2] else None

    def _check_places(self, pier: str, size: int) -> None:
        if pier and pier not in self.settings.piers:
            raise Refusal(f"hsub: there is no pier {pier!r}", 2)
        most = self.settings.most_jobs
        if most and size + sum(not _over(task) for task in self._all_tasks()) > most:
            raise Refusal(f"hsub: the harbour takes {most} jobs; try again later", FULL)

    # hjobs and hkill

    def _hjobs(self, call: Call) -> Reply:
        line = _parsed(call.arguments, HJOBS, "hjobs")
        if line.has("mine"):
            tasks = [task for task in self._all_tasks() if not _over(task)]
            return Reply("".join(map(self._line, tasks)))
        if line.has("name"):
            named = [task for task in self._all_tasks() if task.job.name == line.last("name")]
            return Reply("".join(map(self._line, named)))
        known = {word: self._known(word) for word in line.operands}
        missing = "".join(f"hjobs: no job {word}\n" for word, found in known.items() if not found)
        shown = "".join(self._line(task) for found in known.values() for task in found)
        return Reply(shown, missing, NOT_ALL if missing else 0)

    def _hkill(self, call: Call) -> Reply:
        complaints = ""
        for word in call.arguments:
            tasks = self._known(word)
            if not tasks:
                complaints += f"hkill: no job {word}\n"
            elif all(_over(task) for task in tasks):
                complaints += f"hkill: job {word} is over\n"
            for task in tasks:
                self.engine.cancel(task, call.user)
        return Reply(stderr=complaints, code=NOT_ALL if complaints else 0)

    def _line(self, task: Task) -> str:
        run = task.run
        ended = run if run is not None and _over(task) and task.why is Why.EXITED else None
        shown = {
            "id": str(task.job.number),
            "element": task.index,
            "state": _state(task),
            "exit": ended.code if ended and not ended.signal else None,
            "signal": ended.signal or None if ended else None,
            "ship": run.nodes[0].name if run else "",
            "why": self._why(task),
        }
        return json.dumps(shown) + "\n"

    def _why(self, task: Task) -> str:
        if task.phase is Phase.PENDING:
            return WAITS.get(task.reason or task.job.reason, "")
        if task.why is Why.LAUNCH:
            return "its log cannot be written"
        return f"recalled by {task.by}" if task.why is Why.CANCELLED else ""

    def _all_tasks(self) -> Iterator[Task]:
        for job in list(self.engine.jobs.values()):
            yield from (task for task in job.present if task.known)

    def _known(self, word: str) -> list[Task]:
        return [task for task in self.tasks_of(word) if task.known]

    # What every emulator defines

    def login_environment(self) -> dict[str, str]:
        """The login has the Python packages of this machine."""
        found = {name: os.environ[name] for name in ("PYTHONPATH",) if name in os.environ}
        return {**super().login_environment(), **found}

    def tasks_of(self, reference: str) -> list[Task]:
        """The tasks that `7`, `7.3` or `7.3-5` means."""
        number, _, elements = reference.partition(".")
        job = self.engine.jobs.get(int(number)) if number.isdigit() else None
        if job is None or not elements:
            return job.present if job else []
        wanted = {index for run in parse_indices(elements) for index in run}
        return [task for task in job.present if task.index in wanted]

    def native_id(self, task: Task) -> str:
        """`7` or `7.3`."""
        number = task.job.number
        return str(number) if task.index is None else f"{number}.{task.index}"

    def answer_when_down(self, call: Call) -> Reply:
        """Every command prints the same error."""
        return Reply(stderr=f"{call.name}: the harbour master does not answer\n", code=NO_ANSWER)

    def lost_answer(self, call: Call) -> Reply:
        """A lost answer looks the same."""
        return self.answer_when_down(call)

    def job_obstacle(self, job: Job) -> object | None:
        """A job waits for the job that it comes after, if Harbour still knows that job."""
        assert isinstance(job, HarbourJob)
        before = self.engine.jobs.get(job.after) if job.after is not None else None
        return Wait.DEPENDENCY if before and before.is_known and not before.is_over else None

    def launch(self, task: Task, run: Run) -> Launch:
        """Start the script by the interpreter in its first line."""
        job = task.job
        assert isinstance(job, HarbourJob)
        element = {} if task.index is None else {"HARBOUR_ELEMENT": str(task.index)}
        return Launch(
            argv=(str(job.script),),
            environment={**job.environment, **element, "HARBOUR_VOYAGE": str(run.number)},
            directory=Path("/"),
            stdout=job.output,
            append=True,
        )

    def launch_failed(self, task: Task, run: Run, error: OSError) -> None:
        """The task is over: its log cannot be written, or its interpreter is missing."""
        run.status = 1 << 8
        run.ended = self.engine.now()
        self.engine.settle(task, Why.LAUNCH)

    def run_ended(self, task: Task, run: Run) -> None:
        """The task is over, or goes back into the queue."""
        if run.why in (Why.REQUEUED, Why.PREEMPTED):
            self.engine.requeue(task, 0.2)
        else:
            self.engine.settle(task, run.why)


def _parsed(words: list[str], known: list[Option], command: str) -> Parsed:
    try:
        return getopt_long(words, known)
    except BadOptionError as error:
        raise Refusal(f"{command}: {error}", 2) from error


def _directives(script: str) -> list[str]:
    words: list[str] = []
    for line in script.split("\n"):
        if line.startswith("#HARBOUR "):
            words += shlex.split(line.removeprefix("#HARBOUR "))
        elif line and not line.startswith("#"):
            break
    return words


def _number(given: Parsed, name: str, default: int = 0) -> int:
    text = given.last(name, str(default))
    if not text.isdigit():
        raise Refusal(f"hsub: --{name} takes a whole number, not {text!r}", 2)
    return int(text)


def _over(task: Task) -> bool:
    return task.phase is Phase.OVER


def _state(task: Task) -> str:
    if task.phase is Phase.PENDING:
        return "H" if task.job.holds else "W"
    if task.phase is not Phase.OVER:
        return "P" if task.run and task.run.suspended else "S"
    assert task.why is not None
    return "A" if task.succeeded else ENDS.get(task.why, "F")
