"""What reflow-pbs offers to reflow."""

from __future__ import annotations

from collections.abc import Iterable

from reflow.plugin_api import API_VERSION, ExecutorPlugin, hookimpl


@hookimpl
def reflow_executors() -> Iterable[ExecutorPlugin]:
    """Offer the executor for OpenPBS and PBS Professional."""
    return [
        ExecutorPlugin(
            name="pbs",
            target="reflow_pbs.executor:PBSExecutor",
            # Grid Engine has a qsub, a qstat and a qdel too; only PBS has this command.
            commands=("qsub", "qstat", "pbsnodes"),
            api_version=API_VERSION,
        )
    ]
