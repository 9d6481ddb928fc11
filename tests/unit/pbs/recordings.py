"""What a real OpenPBS has printed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

RECORDINGS = Path(__file__).parents[2] / "recordings" / "pbs"
_FORM = re.compile(
    r"\$ (?P<command>.*?)\n# user=\S+ exit_code=(?P<code>-?\d+)\n"
    r"--- stdout\n(?P<out>.*?)--- stderr\n(?P<err>.*)",
    re.DOTALL,
)


@dataclass(frozen=True)
class Step:
    """One recorded command."""

    scene: str
    command: str
    exit_code: int
    stdout: str
    stderr: str


def steps() -> Iterator[Step]:
    """Every recorded command."""
    for path in sorted(RECORDINGS.glob("*.txt")):
        found = _FORM.fullmatch(path.read_text(errors="replace"))
        if found is not None:
            yield Step(path.stem, found["command"], int(found["code"]), found["out"], found["err"])


def recorded(scene: str) -> Step:
    """One of them."""
    return next(step for step in steps() if step.scene == scene)
