"""Files and folders on a real Slurm."""

from __future__ import annotations

from tests.live.scenes.files import *  # noqa: F403 - tests
