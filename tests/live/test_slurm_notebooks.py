"""Flows of notebooks, on a real Slurm."""

from __future__ import annotations

from tests.live.scenes.notebooks import *  # noqa: F403 - tests
