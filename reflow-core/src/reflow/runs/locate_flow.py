"""Finding out where a workflow of this process is defined, so that others can load it."""

from __future__ import annotations

import ast
import inspect
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from reflow.errors import DefinitionError
from reflow.execution.flow_loading import Workflow
from reflow.execution.frozen import MAIN
from reflow.model.scripts import SCRIPTS
from reflow.model.tasks import TaskSpec
from reflow.notebook.loading import load_cells
from reflow.notebook.session import current_session
from reflow.rundir.flow_reference import FlowRef


def locate(workflow: Workflow) -> FlowRef:
    """Return how another process can import the workflow.

    A worker loads the flow's file, and finds each task by its name: so every task will do that
    loading the file makes again, in whatever way. Of a notebook, a module is written that stands
    for a file. Raises `DefinitionError` for other tasks, by name: of a prompt without IPython, made
    only after the file was loaded or where it is run as a script.
    """
    specs = workflow.specs()
    session = current_session()
    at_a_prompt = [spec.name for spec in specs if _is_at_a_prompt(spec)]
    if session is not None and (at_a_prompt or not any(_modules_with(workflow))):
        load_cells(session, workflow, str(session.path))
        source = str(session.path)
        return FlowRef(workflow=workflow.name, path=source, source=source, sys_path=_sys_path())
    if at_a_prompt:
        raise DefinitionError(
            f"task {at_a_prompt[0]!r} of workflow {workflow.name!r} is defined at a prompt, so "
            "that other processes cannot load it: use IPython or a notebook, or put the flow into "
            "a file and import that, or use run_local(max_workers=1)"
        )
    found = dict(_modules_with(workflow))
    if not found:
        raise DefinitionError(
            f"workflow {workflow.name!r} is not a variable of any module, so that other processes "
            "cannot find it: assign it at the top level of a file, or use run_local(max_workers=1)"
        )
    # A script that imports the workflow has it as a variable too, and no need for a main guard.
    name = min(found, key=lambda name: name == "__main__")
    for spec in specs:
        _check_made_again(workflow.name, spec, name, str(found[name].__file__))
    return _reference(name, found[name], workflow.name)


def _modules_with(workflow: Workflow) -> Iterator[tuple[str, ModuleType]]:
    """Yield the modules, by name, that have a workflow as a variable."""
    script = sys.modules.get("__main__")
    for name, module in list(sys.modules.items()):
        # Some modules of the standard library register the script under a second name.
        if _defines(module, workflow) and (module is not script or name == "__main__"):
            yield name, module


def _is_at_a_prompt(spec: TaskSpec) -> bool:
    """Tell whether a function is of a notebook or a prompt, and no file makes it when loaded."""
    code = getattr(inspect.unwrap(spec.function), "__code__", None)
    if code is None or Path(code.co_filename).exists():
        return False
    # A notebook's kernel is a script, too, but not the main module of what it runs.
    is_main = spec.made_by is not None and spec.made_by[0] == "__main__"
    return spec.made_by is None or (
        is_main and getattr(sys.modules.get("__main__"), "__file__", None) is None
    )


def _check_made_again(workflow: str, spec: TaskSpec, module: str, file: str) -> None:
    """Refuse a task that is not made again when the module of the workflow is loaded."""
    if spec.made_by is None:
        raise _refused(workflow, spec.name, "was made after its file was loaded", file)
    by, its_file, line = spec.made_by
    place = f"{Path(its_file).name}:{line}"
    if by != "__main__":
        return
    if module != "__main__":
        raise _refused(workflow, spec.name, f"is made by {place}", file)
    if line in _lines_under_guard(its_file):
        guard = f"is made under `if __name__ == '__main__'`, at {place}"
        raise _refused(workflow, spec.name, guard, file)


def _refused(workflow: str, task: str, what: str, file: str) -> DefinitionError:
    return DefinitionError(
        f"task {task!r} of workflow {workflow!r} {what}, so that other processes, which load "
        f"{Path(file).name}, do not have it: let loading the file make it, at its top level or in "
        "functions called there, or use run_local(max_workers=1)"
    )


def _lines_under_guard(file: str) -> frozenset[int]:
    """Return the lines of a file that run only where it is run as a script."""
    try:
        tree = ast.parse(Path(file).read_bytes())
    except (OSError, SyntaxError, ValueError):
        return frozenset()
    guarded = [node for node in tree.body if isinstance(node, ast.If) and _is_guard(node.test)]
    return frozenset(
        line
        for node in guarded
        for each in node.body
        for line in range(each.lineno, (each.end_lineno or each.lineno) + 1)
    )


def _is_guard(test: ast.expr) -> bool:
    return any(isinstance(node, ast.Name) and node.id == "__name__" for node in ast.walk(test))


def _defines(module: ModuleType | None, workflow: Workflow) -> bool:
    path = getattr(module, "__file__", None)
    if path is None or getattr(module, "__name__", "").startswith("reflow."):
        return False
    return any(value is workflow for value in list(vars(module).values()))


def _sys_path() -> tuple[str, ...]:
    return tuple(os.path.abspath(entry) for entry in sys.path)  # noqa: PTH100 (no symlinks resolved)


def _reference(name: str, module: ModuleType, workflow: str) -> FlowRef:
    sys_path = _sys_path()
    assert module.__file__ is not None
    source = os.path.abspath(module.__file__)  # noqa: PTH100
    spec = getattr(module, "__spec__", None)
    if name not in SCRIPTS:
        return FlowRef(workflow=workflow, module=name, source=source, sys_path=sys_path)
    if spec is not None and name == "__main__" and spec.name not in ("__main__", MAIN, None):
        # python -m package.flow
        return FlowRef(workflow=workflow, module=spec.name, source=source, sys_path=sys_path)
    return FlowRef(workflow=workflow, path=source, source=source, sys_path=sys_path)
