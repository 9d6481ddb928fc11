"""What a real Grid Engine has printed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

RECORDINGS = Path(__file__).parents[2] / "recordings" / "sge"


@dataclass(frozen=True)
class Step:
    """One recorded command."""

    scene: str
    command: str
    exit_code: int
    stdout: str
    stderr: str


def steps(scene: str = "*") -> Iterator[Step]:
    """The steps of a scene, or of all."""
    for path in sorted(RECORDINGS.glob(f"{scene}.json")):
        for step in json.loads(path.read_text())["steps"]:
            yield Step(
                path.stem, step["command"], step["exit_code"], step["stdout"], step["stderr"]
            )


def answer(scene: str, part: str, number: int = 0) -> Step:
    """One step of a scene: the so-and-so-many-th whose command has that part."""
    return [step for step in steps(scene) if part in step.command][number]
