"""Tiers 2 and 3, job by job."""

from __future__ import annotations

from reflow.testing.executors.ends import EndScenarios
from reflow.testing.executors.follow_ups import FollowUpScenarios
from reflow.testing.executors.life import LifeScenarios
from reflow.testing.executors.outages import OutageScenarios


class RunningConformance(LifeScenarios, EndScenarios, FollowUpScenarios, OutageScenarios):
    """What an executor must do with jobs that really run, on a fake scheduler or a real one."""
