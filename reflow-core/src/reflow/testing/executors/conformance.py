"""All three tiers in one class."""

from __future__ import annotations

from reflow.testing.executors.pure import PureConformance
from reflow.testing.executors.running import RunningConformance
from reflow.testing.executors.workflows import WorkflowConformance


class ExecutorConformance(PureConformance, RunningConformance, WorkflowConformance):
    """Everything that an executor derived from `BatchExecutor` must do."""
