"""The workflow of a notebook as other processes load it."""

from __future__ import annotations

import ast
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from reflow.errors import DefinitionError, FlowImportError
from reflow.execution.flow_loading import (
    Workflow,
    pick_workflow,
    while_importing,
)
from reflow.fingerprint.code.unsaved import keep
from reflow.model.graph import Graph
from reflow.model.scripts import FLOW_MODULE
from reflow.notebook.module import Written, is_flow, kind_of, older_definition, written
from reflow.notebook.sameness import Comparison
from reflow.notebook.session import Cell, Session, is_of_cells
from reflow.rundir.flow_reference import FlowRef
from reflow.rundir.graph_data import graph_as_data


def load_cells(session: Session, workflow: Workflow, path: str) -> Workflow:
    """Write a module of what a workflow needs, load it, and return the workflow that it makes.

    The module has that path, but is on no disk. Raises `DefinitionError` for what cannot be sent
    to other processes, and where the module does not make what the notebook has.
    """
    made = written(session, workflow)
    try:
        module = _loaded(made.text, path)
    except FlowImportError as error:
        cause = error.__cause__
        raise DefinitionError(
            f"what workflow {workflow.name!r} uses cannot be made again by its cells: "
            f"{type(cause).__name__}: {cause}. Run the cells that define it again, or restart and "
            "run all"
        ) from cause
    found = vars(module)[made.variable]
    assert found is not workflow
    _compare(session, workflow, made, module)
    if _tasks_of(found.graph()) != _tasks_of(workflow.graph()):
        raise DefinitionError(
            f"workflow {workflow.name!r} is not what the cells of its tasks make when they are run "
            "one after the other: run the cells that define it again, or restart and run all"
        )
    return found  # type: ignore[no-any-return]


def graph_of_cells(flow: FlowRef | None) -> Graph | None:
    """Return the graph of a workflow that was last loaded from cells; None for any other.

    Other processes count by its functions, not by those of the notebook.
    """
    module = sys.modules.get(FLOW_MODULE)
    if flow is None or module is None or not is_of_cells(flow.path):
        return None
    if getattr(module, "__file__", None) != flow.path:
        return None
    return pick_workflow(module, flow.workflow, str(flow.path)).graph()


def workflow_of(session: Session, graph: Graph) -> Workflow | None:
    """Return the workflow of a session that a graph was made from."""
    functions = {name: spec.function for name, spec in graph.tasks.items()}
    for value in list(session.names.values()):
        is_candidate = is_flow(value) and hasattr(type(value), "graph") and value.name == graph.name
        if is_candidate and {each.name: each.function for each in value.specs()} == functions:
            return value  # type: ignore[no-any-return]
    return None


def _loaded(text: str, path: str) -> ModuleType:
    module = ModuleType(FLOW_MODULE)
    module.__file__ = path
    # A new one each time: by it, earlier modules of the same path are told apart.
    module.__spec__ = ModuleSpec(FLOW_MODULE, None, origin=path)
    keep(path, text)
    sys.modules[FLOW_MODULE] = module
    with while_importing(path):
        exec(compile(text, path, "exec", dont_inherit=True), vars(module))  # noqa: S102
    return module


def _tasks_of(graph: Graph) -> dict[str, Any]:
    """Return what there is to a graph, whatever the order in which its tasks were defined."""
    data = graph_as_data(graph)
    return {**data, "tasks": {each["name"]: each for each in data["tasks"]}}


def _compare(session: Session, workflow: Workflow, made: Written, module: ModuleType) -> None:
    comparison = Comparison(session, Cell(0, made.text, ast.parse(made.text)))
    for name in made.names:
        live, loaded = session.names[name], vars(module).get(name)
        if not is_flow(live) and not comparison.same(live, loaded):
            raise _other(session, workflow, name, comparison, made)
    tasks = {spec.name: spec for spec in vars(module)[made.variable].specs()}
    for spec in workflow.specs():
        if spec.name not in tasks or not comparison.same(spec.function, tasks[spec.name].function):
            raise _other(session, workflow, spec.name, comparison, made)


def _other(
    session: Session, workflow: Workflow, name: str, comparison: Comparison, made: Written
) -> DefinitionError:
    """Return what to tell of a name that the module makes in another way than the notebook has."""
    what, live = f"{name!r} of workflow {workflow.name!r}", session.names.get(name)
    older = older_definition(session.names, live)
    if older is not None and older != name:
        return DefinitionError(
            f"{what} is an older definition of {older!r}, which was defined again since, and other "
            "processes are given the one in force: define each under a name of its own"
        )
    if comparison.uncopied is not None:
        return DefinitionError(
            f"{what} holds {kind_of(comparison.uncopied)}, so that nobody can tell whether other "
            "processes have the same: make it in a function that the task calls"
        )
    if name in made.filled:
        return DefinitionError(
            f"{what} holds something else than what decorators have put there, in this order: run "
            "the cells that use them again in order, or fill it in a function that the task calls"
        )
    if name in made.data:
        return DefinitionError(
            f"{what} cannot be written so that other processes have the same: return it from a "
            "task, or make it in a function that the task calls"
        )
    return DefinitionError(
        f"{what} is not what its cell makes now: it, or something that it was made with, has "
        "changed since. Run the cell that defines it again"
    )
