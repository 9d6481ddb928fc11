"""What reflow-sge offers to reflow."""

from __future__ import annotations

from collections.abc import Iterable

from reflow.plugin_api import API_VERSION, ExecutorPlugin, hookimpl


@hookimpl
def reflow_executors() -> Iterable[ExecutorPlugin]:
    """Offer the executor for Grid Engine."""
    return [
        ExecutorPlugin(
            name="sge",
            target="reflow_sge.executor:SGEExecutor",
            # PBS has a qsub, a qstat and a qdel too; only Grid Engine has these two.
            commands=("qsub", "qacct", "qconf"),
            api_version=API_VERSION,
        )
    ]
