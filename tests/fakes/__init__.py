"""Fakes of the schedulers that reflow has an executor for, over the engine of `reflow.testing`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from reflow.testing.fakes import FakeScheduler

NAMES = ("flux", "lsf", "pbs", "sge", "slurm")
"""The fakes there are; each is a package beside this file."""


def target(name: str) -> str:
    """Return what `FakeScheduler` is given for one of `NAMES`."""
    assert name in NAMES, name
    return f"tests.fakes.{name}:{name.capitalize()}Emulator"


def fake_of(name: str, folder: Path | None = None, **settings: Any) -> FakeScheduler:
    """Make the fake of one of `NAMES`; keywords are settings of its site."""
    return FakeScheduler(target(name), folder, **settings)
