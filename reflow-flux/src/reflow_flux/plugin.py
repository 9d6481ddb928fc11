"""What reflow-flux offers to reflow."""

from __future__ import annotations

from collections.abc import Iterable

from reflow.plugin_api import API_VERSION, ExecutorPlugin, hookimpl


@hookimpl
def reflow_executors() -> Iterable[ExecutorPlugin]:
    """Offer the executor for Flux."""
    return [
        ExecutorPlugin(
            name="flux",
            target="reflow_flux.executor:FluxExecutor",
            commands=("flux",),
            api_version=API_VERSION,
        )
    ]
