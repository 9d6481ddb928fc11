"""Recorded answers of OpenLava's commands."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

RECORDINGS = Path(__file__).parents[2] / "recordings" / "lsf"

_PARTS = re.compile(
    r"\$ (?P<command>.*?)\n# user=\S+ exit_code=(?P<code>\d+)\n"
    r"--- stdout\n(?P<out>.*?)--- stderr\n(?P<err>.*)",
    re.DOTALL,
)


@dataclass(frozen=True)
class Recording:
    name: str
    command: str
    exit_code: int
    stdout: str
    stderr: str

    @property
    def answer(self) -> tuple[int, str, str]:
        return self.exit_code, self.stdout, self.stderr


def recording(name: str) -> Recording:
    found = _PARTS.fullmatch((RECORDINGS / f"{name}.txt").read_text())
    assert found is not None, name
    return Recording(name, found["command"], int(found["code"]), found["out"], found["err"])


def recordings(command: str) -> Iterator[Recording]:
    """Those of one command alone, by a regular expression."""
    for path in sorted(RECORDINGS.glob("*.txt")):
        found = recording(path.stem)
        if re.fullmatch(command, found.command):
            yield found
