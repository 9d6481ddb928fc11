"""LSF's jobs, its site's settings and its words for states."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from reflow.testing.fakes.emulator import BasicSettings, Refusal
from reflow.testing.fakes.model import Job, Phase, Run, Task, Wait

from tests.fakes.lsf.depend import Condition

VERSION = "OpenLava 4.0dev4, Nov 22 2026"
CLEAN_PERIOD = 3600.0
OVERFLOW = "*** buffer overflow detected ***: terminated"
LONGEST_WORD = 512
"""Of LSF; 4096 of later versions of OpenLava."""


@dataclass
class LsfSettings(BasicSettings):
    """What the site can set."""

    node_names: list[str] = field(default_factory=lambda: ["vm"])
    first_number: int = 101
    max_array_size: int = 1000
    clean_period: float = CLEAN_PERIOD
    """Seconds for which bjobs knows a finished job."""
    terminate_interval: float = 1.0
    """Seconds between SIGINT, SIGTERM and SIGKILL of a bkill; 10 on most sites."""
    refuse_root: bool = False
    """Whether root may not submit, as where LSF_ROOT_REX is not set."""
    enforce_memory: bool = False
    """Whether a job over its `-M` is killed (LSB_MEMLIMIT_ENFORCE, LSB_JOB_MEMLIMIT)."""
    queues: dict[str, dict[str, object]] = field(
        default_factory=lambda: {
            "normal": {},
            "small": {"max_minutes": 10, "max_mem_kb": 1048576, "user_slots": 1},
            "closed": {"users": []},
            "stopped": {"started": False},
        }
    )
    """By name, the first is the default. Keys: users, started, max_minutes, max_mem_kb,
    user_slots."""
    readable_events: bool = True
    """Whether bhist can read the log of events here: often only the master's machine can."""
    daemon_down: str = "batch system daemon not responding ... still trying"
    """What commands repeat while the daemons are down."""
    chatter_seconds: float = 5.0
    """How often they do."""


@dataclass(kw_only=True)
class LsfJob(Job):
    """One bsub."""

    project: str
    command: str
    shown: str
    """The command, in one line and cut."""
    script: Path
    environment: dict[str, str] = field(default_factory=dict)
    directory: Path
    home: str = ""
    output: str = ""
    error: str = ""
    stdin: str = "/dev/null"
    umask: int = 0o022
    slots: int = 1
    requirements: str = ""
    requirement_unmet: str = ""
    """Why no host can ever take it, as a pending reason."""
    run_minutes: int | None = None
    memory_kb: int | None = None
    swap_kb: int | None = None
    condition: Condition | None = None
    condition_text: str = ""
    is_named: bool = False
    spec: str = ""
    """The name as given: `arr[1-10]%2`."""
    step: int = 1
    uid: int = 0
    held_at_start: bool = False

    def task_name(self, task: Task) -> str:
        """`arr[3]`, or the plain job's name."""
        return self.name if task.index is None else f"{self.name}[{task.index}]"


def state_of(task: Task) -> str:
    """The word that bjobs shows."""
    job, run = task.job, task.run
    if task.phase is Phase.PENDING:
        return "PSUSP" if job.holds else "PEND"
    if task.phase in (Phase.RUNNING, Phase.ENDING):
        return "USUSP" if run is not None and run.suspended else "RUN"
    return "DONE" if run is not None and run.status == 0 else "EXIT"


def end_text(task: Task) -> str:
    """How it ended, in the words of `bjobs -l`; without the full stop."""
    run = task.run
    if run is None:
        return "Exited"
    return f"{_how(run)} The CPU time used is 0.0 seconds"


def _how(run: Run) -> str:
    if run.status == 0:
        return "Done successfully."
    return f"Exited by signal {run.signal}." if run.signal else f"Exited with exit code {run.code}."


def pending_reason(task: Task) -> str:
    """Why it waits, in the words of `bjobs -p`."""
    job = task.job
    assert isinstance(job, LsfJob)
    if job.holds:
        return "The job was suspended by the user while pending"
    if job.throttle == 0:
        return ""
    reason = task.reason if task.reason is not None else job.reason
    if isinstance(reason, str):
        return reason
    return {
        Wait.BEGIN_TIME: "The job has a specified start time",
        Wait.DEPENDENCY: "Job dependency condition not satisfied",
        Wait.NEVER: "Dependency condition invalid or never satisfied",
        Wait.THROTTLE: "Job array dispatch limit reached",
        Wait.IMPOSSIBLE: "Job's resource requirements not satisfied",
    }.get(reason if isinstance(reason, Wait) else Wait.RESOURCES, "Job slot limit reached")


@dataclass(frozen=True)
class Reference:
    """An id as the user writes it: `205`, `205[3]`, `205[1-3]`."""

    number: int
    indices: tuple[int, ...] = ()
    text: str = ""


def parse_reference(text: str) -> Reference | None:
    """Read an id; None for what is none."""
    match = re.fullmatch(r"(\d+)(?:\[([\d,:-]+)\])?", text)
    if match is None:
        return None
    indices = parse_indices(match[2]) if match[2] else []
    return None if indices is None else Reference(int(match[1]), tuple(indices), text)


def check_references(words: Sequence[str]) -> None:
    """Refuse words that are no ids. The real commands copy each into a line of fixed length."""
    if any(len(word) >= LONGEST_WORD for word in words):
        raise Refusal(OVERFLOW, 134)
    for word in words:
        if parse_reference(word) is None:
            raise Refusal(f"{word}: Illegal job ID.", 255)


def parse_indices(text: str) -> list[int] | None:
    """Read `1,3,5-6,10-20:2`; None for what is bad."""
    found: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"(\d+)(?:-(\d+)(?::(\d+))?)?", part)
        if match is None:
            return None
        first, last = int(match[1]), int(match[2] or match[1])
        step = int(match[3] or 1)
        if first < 1 or last < first or step < 1:
            return None
        found += range(first, last + 1, step)
    return sorted(set(found))


def write_moment(moment: float) -> str:
    """Write a moment as `bjobs -l` does: `Sun Nov 22 06:26:18`."""
    return time.strftime("%a %b %e %H:%M:%S", time.localtime(moment))


def write_full_moment(moment: float) -> str:
    """Write a moment with the year."""
    return time.strftime("%a %b %e %H:%M:%S %Y", time.localtime(moment))


def write_short_moment(moment: float) -> str:
    """Write a moment as the table of bjobs does: `Nov 22 06:26`."""
    return time.strftime("%b %e %H:%M", time.localtime(moment))


def wrap(text: str) -> str:
    """Break a line as `bjobs -l` does: at 79 characters, in the midst of words."""
    lines = [text[:79]]
    rest = text[79:]
    if not rest:
        return text if len(text) < 79 else f"{text}\n{' ' * 21}"
    while rest:
        if rest.startswith(" "):
            rest = rest[1:]
        lines.append(" " * 21 + rest[:58])
        rest = rest[58:]
    return "\n".join(lines)


def cut(text: str, width: int) -> str:
    """Cut a name as the tables do: the end of it, after a star."""
    return text if len(text) <= width else "*" + text[-(width - 1) :]


def states_count(tasks: Sequence[Task], state: str) -> int:
    """How many tasks are in a state."""
    return sum(state_of(task) == state for task in tasks)
