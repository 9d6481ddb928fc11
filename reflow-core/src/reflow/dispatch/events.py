"""Telling plugins what happens in a run."""

from __future__ import annotations

from collections.abc import Callable

from reflow.dispatch.tracked_run import Changes
from reflow.model.states import RunState, TaskState
from reflow.plugins.hookspecs import InstanceEvent, RunEvent
from reflow.plugins.registry import registry
from reflow.rundir.run_settings import RunSettings


def observer(settings: RunSettings) -> Callable[[Changes], None]:
    """Return the function that a dispatcher calls after each commit."""

    def tell(changes: Changes) -> None:
        if not registry().observed:
            return
        moved: dict[tuple[str, TaskState], list[int]] = {}
        for task, index, state in changes.moved:
            moved.setdefault((task, state), []).append(index)
        for (task, state), indices in moved.items():
            registry().emit(
                InstanceEvent(
                    run_id=settings.run_id, task=task, state=state, indices=tuple(sorted(indices))
                )
            )
        if changes.run_state is not None:
            emit(settings, changes.run_state)

    return tell


def emit(settings: RunSettings, state: RunState) -> None:
    """Tell plugins that a run started or ended."""
    registry().emit(
        RunEvent(
            run_id=settings.run_id,
            workflow=settings.workflow,
            run_dir=str(settings.run_dir),
            state=state,
        )
    )
