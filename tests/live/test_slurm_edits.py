"""Flows that are edited under way, on a real Slurm."""

from __future__ import annotations

from tests.live.scenes.edits import *  # noqa: F403 - tests
