"""Finding out where a workflow of this process is defined, so that others can load it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from reflow.errors import DefinitionError
from reflow.execution.flow_loading import FLOW_MODULE, SCRIPT_MODULE, Workflow
from reflow.execution.frozen import MAIN
from reflow.rundir.flow_reference import FlowRef


def locate(workflow: Workflow) -> FlowRef:
    """Return how another process can import the workflow.

    Raises `DefinitionError` where it cannot: a notebook, a prompt, a function inside a function.
    """
    for spec in workflow.specs():
        _check_importable(workflow.name, spec.name, spec.function)
    script = sys.modules.get("__main__")
    # Some modules of the standard library register the script under a second name.
    found = {
        name: each
        for name, each in list(sys.modules.items())
        if _defines(each, workflow) and (each is not script or name == "__main__")
    }
    if not found:
        raise DefinitionError(
            f"workflow {workflow.name!r} is not a variable of any module, so that other processes "
            "cannot find it: assign it at the top level of a file, or use run_local(max_workers=1)"
        )
    # A script that imports the workflow has it as a variable too, and no need for a main guard.
    name = min(found, key=lambda name: name == "__main__")
    return _reference(name, found[name], workflow.name)


def _check_importable(workflow: str, task: str, function: Any) -> None:
    name = getattr(function, "__qualname__", "")
    if "<lambda>" in name:
        what = "is a lambda"
    elif "<locals>" in name:
        what = "is defined inside another function"
    elif not _has_source_file(getattr(function, "__module__", None)):
        what = "is defined in a notebook or at a prompt"
    else:
        return
    raise DefinitionError(
        f"task {task!r} of workflow {workflow!r} {what}, so that other processes cannot import "
        "it: move the function to the top level of a file, or use run_local(max_workers=1)"
    )


def _has_source_file(module: str | None) -> bool:
    path = getattr(sys.modules.get(module or ""), "__file__", None)
    return path is not None and Path(path).exists()


def _defines(module: ModuleType | None, workflow: Workflow) -> bool:
    path = getattr(module, "__file__", None)
    if path is None or getattr(module, "__name__", "").startswith("reflow."):
        return False
    return any(value is workflow for value in list(vars(module).values()))


def _reference(name: str, module: ModuleType, workflow: str) -> FlowRef:
    sys_path = tuple(os.path.abspath(entry) for entry in sys.path)  # noqa: PTH100 (no symlinks resolved)
    assert module.__file__ is not None
    source = os.path.abspath(module.__file__)  # noqa: PTH100
    spec = getattr(module, "__spec__", None)
    if name not in ("__main__", FLOW_MODULE, SCRIPT_MODULE):
        return FlowRef(workflow=workflow, module=name, source=source, sys_path=sys_path)
    if spec is not None and name == "__main__" and spec.name not in ("__main__", MAIN, None):
        # python -m package.flow
        return FlowRef(workflow=workflow, module=spec.name, source=source, sys_path=sys_path)
    return FlowRef(workflow=workflow, path=source, source=source, sys_path=sys_path)
