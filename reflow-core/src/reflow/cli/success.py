"""What is shown of a run in the foreground that has succeeded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reflow.errors import NotFoundError, ReflowError
from reflow.report.status import Step, typed

if TYPE_CHECKING:
    from reflow.model.graph import Graph
    from reflow.run import Run


def last_results(run: Run, graph: Graph) -> dict[str, Any]:
    """Return the results of the last tasks of the graph, without those that returned None.

    Array tasks are left out: their results may be many.
    """
    results = {}
    for name, task in graph.tasks.items():
        if task.array or graph.downstream(name):
            continue
        try:
            value = run.result(name)
        except ReflowError:
            # The table above tells how the task ended.
            continue
        if value is not None:
            results[name] = value
    return results


def steps_after_success(run: Run, graph: Graph, command: str) -> list[Step]:
    """Return the commands to type next after a run that succeeded."""
    steps: list[Step] = [(typed(command, "status", run.run_id), "see this again")]
    if name := _last_with_a_log(run, graph):
        steps.append((typed(command, "logs", run.run_id, name), f"what {name} printed"))
    return [*steps, (typed(command, "runs"), "all runs")]


def _last_with_a_log(run: Run, graph: Graph) -> str | None:
    """Return the last plain task that printed something in this run."""
    for name, task in reversed(list(graph.tasks.items())):
        if not task.array:
            try:
                run.log_path(name)
            except NotFoundError:
                continue
            return name
    return None
