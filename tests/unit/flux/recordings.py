"""Recorded answers of Flux's commands."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

RECORDINGS = Path(__file__).parents[2] / "recordings" / "flux"


@dataclass(frozen=True)
class Step:
    scene: str
    number: int
    command: str
    exit_code: int
    stdout: str
    stderr: str

    @property
    def answer(self) -> tuple[int, str, str]:
        return self.exit_code, self.stdout, self.stderr


def steps(scene: str) -> list[Step]:
    text = (RECORDINGS / f"{scene}.json").read_text(encoding="utf-8")
    return [
        Step(
            scene, number, step["command"], step["exit_code"], step["stdout"] or "", step["stderr"]
        )
        for number, step in enumerate(json.loads(text)["steps"])
    ]


def all_steps() -> Iterator[Step]:
    for path in sorted(RECORDINGS.glob("*.json")):
        yield from steps(path.stem)


def step(scene: str, beginning: str) -> Step:
    """The first step of a scene whose command begins so."""
    return next(item for item in steps(scene) if item.command.startswith(beginning))
