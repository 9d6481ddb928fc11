"""Which distribution to install for which executor: the only place that names schedulers."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from typing import Any

    # The type of `from reflow import SlurmExecutor` for type checkers; the class itself is in
    # another distribution, which may not be installed.
    SlurmExecutor: Any
    PBSExecutor: Any
    LSFExecutor: Any
    SGEExecutor: Any
    FluxExecutor: Any


class ExecutorDistribution(NamedTuple):
    """An executor that lives in a distribution of its own."""

    executor: str
    """What users write: `executor="..."`."""
    class_name: str
    """What users import from `reflow`."""
    distribution: str
    """What users install."""


EXECUTOR_DISTRIBUTIONS = (
    ExecutorDistribution("slurm", "SlurmExecutor", "reflow-slurm"),
    ExecutorDistribution("pbs", "PBSExecutor", "reflow-pbs"),
    ExecutorDistribution("lsf", "LSFExecutor", "reflow-lsf"),
    ExecutorDistribution("sge", "SGEExecutor", "reflow-sge"),
    ExecutorDistribution("flux", "FluxExecutor", "reflow-flux"),
)
