"""What reflow-slurm offers to reflow."""

from __future__ import annotations

from collections.abc import Iterable

from reflow.plugin_api import API_VERSION, ExecutorPlugin, hookimpl


@hookimpl
def reflow_executors() -> Iterable[ExecutorPlugin]:
    """Offer the executor for Slurm."""
    return [
        ExecutorPlugin(
            name="slurm",
            target="reflow_slurm.executor:SlurmExecutor",
            commands=("sbatch", "squeue", "scancel"),
            api_version=API_VERSION,
        )
    ]
