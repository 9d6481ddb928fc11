"""Which distribution to install for which executor: the only place that names schedulers."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from typing import Any

    # What `from reflow import SlurmExecutor` is to a type checker; the class itself is another
    # distribution's, which may not be there.
    SlurmExecutor: Any
    PBSExecutor: Any
    LSFExecutor: Any
    SGEExecutor: Any
    FluxExecutor: Any


class ExecutorDistribution(NamedTuple):
    """An executor that lives in a distribution of its own."""

    executor: str
    """What people write: `executor="..."`."""
    class_name: str
    """What people import from `reflow`."""
    distribution: str
    """What people install."""


EXECUTOR_DISTRIBUTIONS = (
    ExecutorDistribution("slurm", "SlurmExecutor", "reflow-slurm"),
    ExecutorDistribution("pbs", "PBSExecutor", "reflow-pbs"),
    ExecutorDistribution("lsf", "LSFExecutor", "reflow-lsf"),
    ExecutorDistribution("sge", "SGEExecutor", "reflow-sge"),
    ExecutorDistribution("flux", "FluxExecutor", "reflow-flux"),
)
