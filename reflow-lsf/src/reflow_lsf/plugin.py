"""What reflow-lsf offers to reflow."""

from __future__ import annotations

from collections.abc import Iterable

from reflow.plugin_api import API_VERSION, ExecutorPlugin, hookimpl


@hookimpl
def reflow_executors() -> Iterable[ExecutorPlugin]:
    """Offer the executor for LSF."""
    return [
        ExecutorPlugin(
            name="lsf",
            target="reflow_lsf.executor:LSFExecutor",
            commands=("bsub", "bjobs", "bkill"),
            api_version=API_VERSION,
        )
    ]
