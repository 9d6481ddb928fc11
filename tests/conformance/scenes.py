"""Plays recorded scenes on a fake scheduler and compares what its commands print.

The commands of a recording are run as they stand, folders apart. `sleep N` in a job waits for a
gate instead, which the test opens when the story wants the job to end: no test sleeps.
"""

from __future__ import annotations

import difflib
import fcntl
import json
import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reflow.testing.fakes import FakeScheduler

from tests.fakes import fake_of

RECORDINGS = Path(__file__).parents[1] / "recordings"


@dataclass(frozen=True)
class Step:
    """One recorded command and what it said."""

    command: str
    exit_code: int
    stdout: str
    stderr: str
    stdin: str | None = None


Normalise = Callable[[str], str]


@dataclass
class Player:
    """One scene being played."""

    fake: FakeScheduler
    folder: Path
    """Stands for the folder of the recordings."""
    place: Path
    """Where commands are run."""
    steps: list[Step]
    normalise: Normalise
    at: int = 0
    recorded_folder: str = "/scratch"
    """What stands in the recordings for `folder`."""
    gates_on_path: bool = False
    """Whether `sleep` is left as it is and found in the gates' folder."""
    gates: dict[str, int] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)

    def play(self, count: int = 1, *, tidy: Normalise | None = None) -> None:
        """Run the next steps and compare each with its recording.

        `tidy` changes both texts first, where one of them holds what no fake can know.
        """
        __tracebackhide__ = True
        for _ in range(count):
            step = self.steps[self.at]
            self.at += 1
            code, stdout, stderr = self.run(step.command, step.stdin)
            wanted = (step.stdout, step.stderr, step.exit_code)
            self._compare(step.command, wanted, (stdout, stderr, code), tidy or (lambda text: text))

    def through(self, last: int, *, tidy: Normalise | None = None) -> None:
        """Play on up to and with step number `last`, counted from 0."""
        __tracebackhide__ = True
        self.play(last + 1 - self.at, tidy=tidy)

    def skip(self, count: int = 1) -> None:
        """Leave out the next steps."""
        self.at += count

    def do(self) -> str:
        """Run the next step without comparing; its output."""
        step = self.steps[self.at]
        self.at += 1
        return self.run(step.command, step.stdin)[1]

    def run(self, command: str, stdin: str | None = None) -> tuple[int, str, str]:
        """Run a command as the recording did; exit code, output and errors."""
        done = subprocess.run(
            ["bash", "-c", self._localised(command)],
            env={**self.fake.environment, **self.environment},
            cwd=self.place,
            input=None if stdin is None else self._localised(stdin),
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            timeout=60,
        )
        said = [
            text.replace(str(self.folder), self.recorded_folder)
            for text in (done.stdout, done.stderr)
        ]
        return done.returncode, said[0], said[1]

    def open(self, *seconds: int) -> None:
        """Let everything end that sleeps for so many seconds."""
        for number in seconds:
            os.close(self.gates.pop(str(number)))

    def wait_asleep(self, seconds: float, jobs: int = 1) -> None:
        """Wait until so many jobs slept, or sleep, for so many seconds; so their traps are set."""
        reached = self.folder / "gates" / f"{seconds}.reached"
        patience = time.monotonic() + 60
        while not reached.exists() or reached.stat().st_size < jobs:
            assert time.monotonic() < patience, f"not {jobs} jobs sleep for {seconds} s"
            time.sleep(0.005)

    def _localised(self, text: str) -> str:
        text = text.replace(self.recorded_folder, str(self.folder))
        if self.gates_on_path:
            return text
        return re.sub(r"(?<![\w/])(?:/bin/)?sleep (?=[\d$])", f"{self.folder}/gates/sleep ", text)

    def _compare(
        self,
        command: str,
        wanted: tuple[str, str, int],
        found: tuple[str, str, int],
        tidy: Normalise,
    ) -> None:
        __tracebackhide__ = True
        texts = [
            [self.normalise(tidy(text)) for text in said[:2]] + [f"exit code {said[2]}"]
            for said in (wanted, found)
        ]
        if texts[0] != texts[1]:
            one, other = ("\n".join(lines).splitlines() for lines in texts)
            difference = difflib.unified_diff(one, other, "recorded", "fake", lineterm="", n=1)
            raise AssertionError(f"$ {command}\n" + "\n".join(difference))


def load_text(scheduler: str, name: str) -> Step:
    """Read a recording of one command."""
    text = (RECORDINGS / scheduler / f"{name}.txt").read_text(errors="replace")
    match = re.fullmatch(
        r"\$ (.*?)\n# user=\w+ exit_code=(\d+)\n--- stdout\n(.*?)--- stderr\n?(.*)", text, re.DOTALL
    )
    assert match is not None, name
    return Step(match[1], int(match[2]), match[3], match[4])


def load(scheduler: str, name: str) -> list[Step]:
    """Read a recording made of steps."""
    document: dict[str, Any] = json.loads((RECORDINGS / scheduler / f"{name}.json").read_text())
    return [
        Step(one["command"], one["exit_code"], one["stdout"], one["stderr"], one.get("stdin"))
        for one in document["steps"]
    ]


@contextmanager
def gates_for(folder: Path, numbers: set[str]) -> Iterator[dict[str, int]]:
    """Close a gate for each number of seconds that a scene sleeps."""
    place = folder / "gates"
    place.mkdir()
    shim = place / "sleep"
    shim.write_text(
        "#!/bin/sh\n"
        f'echo >> "{place}/$1.reached"\n'
        f'[ -e "{place}/$1" ] || exec /bin/sleep "$1"\n'
        f'exec flock --shared "{place}/$1" /bin/true\n'
    )
    shim.chmod(0o755)
    closed: dict[str, int] = {}
    for number in numbers:
        closed[number] = os.open(place / number, os.O_CREAT | os.O_RDWR)
        fcntl.flock(closed[number], fcntl.LOCK_EX)
    try:
        yield closed
    finally:
        for descriptor in closed.values():
            os.close(descriptor)


@contextmanager
def playing(
    scheduler: str,
    steps: list[Step],
    folder: Path,
    normalise: Normalise,
    *,
    place: str = "jobs",
    sleeps: tuple[int, ...] = (),
    **settings: Any,
) -> Iterator[Player]:
    """Set a scene: the fake with these settings, gates for every `sleep` of the commands."""
    (folder / place).mkdir(exist_ok=True)
    said = " ".join(f"{step.command} {step.stdin or ''}" for step in steps)
    numbers = set(re.findall(r"\bsleep (\d+)", said)) | {str(one) for one in sleeps}
    with (
        gates_for(folder, numbers) as gates,
        fake_of(scheduler, folder, **settings) as fake,
    ):
        yield Player(fake, folder, folder / place, steps, normalise, gates=gates)
