"""What an emulator is: the commands, the texts and the rules of one scheduler over the engine."""

from __future__ import annotations

import dataclasses
import os
import pwd
import signal
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol

from reflow.testing.fakes import processes
from reflow.testing.fakes.engine import Engine
from reflow.testing.fakes.model import Job, Launch, Node, Run, Task


class NeedStdin(Exception):  # noqa: N818 (a request, not an error)
    """Raised by a command that needs its standard input before it goes on."""


@dataclass
class Call:
    """One call of a command."""

    name: str
    arguments: list[str]
    directory: Path
    environment: dict[str, str]
    umask: int = 0o022
    uid: int = field(default_factory=os.getuid)
    given_stdin: bytes | None = None
    """None until it was read."""

    @property
    def stdin(self) -> bytes:
        """The call's standard input. Raises `NeedStdin` when it was not read yet."""
        if self.given_stdin is None:
            raise NeedStdin
        return self.given_stdin

    @property
    def user(self) -> str:
        """The name of the calling user."""
        return user_name(self.uid)


@dataclass(frozen=True)
class Reply:
    """What a command prints and its exit code."""

    stdout: str = ""
    stderr: str = ""
    code: int = 0
    killed: bool = False
    """Whether the command dies of SIGKILL after it has printed this."""


@dataclass(frozen=True)
class Later:
    """An answer that has to wait."""

    poll: Callable[[], Reply | None]
    """Called after every event; it returns None while there is no answer yet."""
    first: Reply = field(default_factory=Reply)
    """What is printed at once; its exit code does not count."""
    chatter: str = ""
    """What is printed on standard error every `every` seconds meanwhile."""
    every: float = 5.0


Answer = Reply | Later
Command = Callable[[Call], Answer]


class Refusal(Exception):  # noqa: N818 (an answer, not a failure of ours)
    """Raised by a command's code to print a message on standard error and exit."""

    def __init__(self, stderr: str, code: int = 1) -> None:
        super().__init__(stderr)
        self.reply = Reply(stderr=stderr if stderr.endswith("\n") else stderr + "\n", code=code)


class Settings(Protocol):
    """A dataclass with what a site can set; emulators derive their own from `BasicSettings`."""

    nodes: int
    cpus_per_node: int
    memory_per_node: int


@dataclass
class BasicSettings:
    """The settings of every fake."""

    nodes: int = 2
    node_names: list[str] = field(default_factory=list)
    """Names of the machines; by default node01 and on."""
    cpus_per_node: int = 8
    memory_per_node: int = 8000 * 2**20
    """In bytes."""
    first_number: int = 1
    """The number of the first job."""
    kill_wait: float = 3.0
    """Seconds between the first signal of a cancellation and SIGKILL."""


class Emulator(ABC):
    """One scheduler: a table of commands, and the engine's `Policy`."""

    settings_class: ClassVar[type[BasicSettings]] = BasicSettings

    def __init__(self, engine: Engine, place: Path, settings: BasicSettings) -> None:
        self.engine = engine
        self.place = place
        """The fake's own folder."""
        self.settings = settings
        self.last_number = settings.first_number - 1
        """The number of the newest job; set it where numbers do not go up by one."""
        engine.bind(self)

    @property
    @abstractmethod
    def commands(self) -> Mapping[str, Command]:
        """Every command of this scheduler by its name."""

    @abstractmethod
    def tasks_of(self, reference: str) -> list[Task]:
        """Return the tasks that a native id means; none where there are none."""

    @abstractmethod
    def native_id(self, task: Task) -> str:
        """Write a task's id as the scheduler does."""

    @abstractmethod
    def answer_when_down(self, call: Call) -> Answer | None:
        """Answer a command while the daemon is down; None for what it does otherwise."""

    @abstractmethod
    def lost_answer(self, call: Call) -> Reply:
        """Answer a submission whose answer is lost although the job was accepted."""

    def variables(self) -> dict[str, str]:
        """Return what must be in the environment for the commands to work."""
        return {}

    def login_environment(self) -> dict[str, str]:
        """Return the environment of a job that gets none of the submitter's: its user's own."""
        user = pwd.getpwuid(os.getuid())
        return {
            "HOME": os.environ.get("HOME", user.pw_dir),
            "LANG": "C.UTF-8",
            "LOGNAME": user.pw_name,
            "PATH": f"{self.place / 'bin'}:/usr/local/bin:/usr/bin:/bin",
            "SHELL": "/bin/bash",
            "USER": user.pw_name,
            **self.variables(),
        }

    def next_number(self) -> int:
        """Return a number that no job has had yet."""
        self.last_number += 1
        return self.last_number

    def spool(self, name: str, text: str | bytes) -> Path:
        """Keep a script in the fake's folder."""
        path = self.place / "spool" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text)
        path.chmod(0o700)
        return path

    @property
    def is_down(self) -> bool:
        """Whether commands find no daemon."""
        return self.engine.down

    def go_down(self) -> None:
        """Stop the daemon."""
        self.engine.go_down()

    def come_up(self) -> None:
        """Start the daemon again."""
        self.engine.come_up()

    # The engine's policy, with what most schedulers do.

    @property
    def kill_wait(self) -> float:
        """Seconds between the first signal of a cancellation and SIGKILL."""
        return self.settings.kill_wait

    def job_obstacle(self, job: Job) -> object | None:
        """Return None: only what the engine knows keeps a job from starting."""
        return None

    def task_obstacle(self, task: Task) -> object | None:
        """Return None: nothing keeps one task from starting where its job may."""
        return None

    @abstractmethod
    def launch(self, task: Task, run: Run) -> Launch:
        """Return how the run's process is to be started."""

    @abstractmethod
    def launch_failed(self, task: Task, run: Run, error: OSError) -> None:
        """Settle a task whose process could not be started."""

    def run_ended(self, task: Task, run: Run) -> None:
        """End a task whose process has ended."""
        self.engine.settle(task, run.why)

    def task_over(self, task: Task) -> None:  # noqa: B027 (most have nothing to do)
        """React to a task that is over, in whichever way."""

    def first_signal(self, task: Task, run: Run) -> None:
        """Send SIGTERM, and SIGCONT to wake stopped processes."""
        processes.signal_group(run.pid, signal.SIGTERM)
        processes.signal_group(run.pid, signal.SIGCONT)


def user_name(uid: int) -> str:
    """Return a user's name, or the number where there is none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def make_nodes(settings: BasicSettings) -> list[Node]:
    """Make the pretended machines."""
    names = settings.node_names or [f"node{number:02d}" for number in range(1, settings.nodes + 1)]
    return [Node(name, settings.cpus_per_node, settings.memory_per_node) for name in names]


def change_settings(settings: BasicSettings, changes: Mapping[str, Any]) -> None:
    """Set fields by name. Raises `TypeError` for an unknown name."""
    names = {one.name for one in dataclasses.fields(settings)}
    for name, value in changes.items():
        if name not in names:
            raise TypeError(f"no setting {name!r}; there are {', '.join(sorted(names))}")
        setattr(settings, name, value)
