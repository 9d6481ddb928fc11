"""The workflow that a command line names: by a flow file, or by a module as for `python -m`."""

from __future__ import annotations

import ast
import importlib
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from reflow.errors import FlowImportError
from reflow.execution.flow_loading import (
    Workflow,
    load_file,
    pick_workflow,
    while_importing,
)
from reflow.model.scripts import FLOW_MODULE


def load_named(text: str) -> Workflow:
    """Load what `FLOW.py`, `package.module`, or either with `:WORKFLOW` names.

    Raises `FlowImportError` where there is no such flow, or it cannot be loaded.
    """
    place, colon, name = text.rpartition(":")
    if Path(text).exists() or not (colon and place and name):
        place, name = text, ""
    if _is_module_name(place) and not Path(place).is_file():
        return load_module(place, name or None)
    return load_workflow(place, name or None)


def load_workflow(path: str | Path, name: str | None = None) -> Workflow:
    """Load a flow file and return its workflow, the one called `name` where it has several.

    `name` is the variable or the workflow's own name. A file that imports from the package in
    which it lies is loaded as a part of it. Raises `FlowImportError` where the file cannot be
    loaded or has no such workflow.
    """
    path = Path(path).expanduser().absolute()
    if not path.is_file():
        raise FlowImportError(f"there is no flow file {path}: check the path")
    inside = _place_in_package(path)
    if inside is None:
        return pick_workflow(load_file(path, FLOW_MODULE), name, str(path))
    folder, module = inside
    return load_module(module, name, folder)


def load_module(module: str, name: str | None = None, folder: Path | None = None) -> Workflow:
    """Import a module, looked for in `folder` first, and return its workflow, as `load_workflow`.

    The folder is the current one unless told otherwise, as it is for `python -m`.
    """
    place = str(folder or Path.cwd())
    if place not in sys.path[:1]:
        sys.path.insert(0, place)
    where = f"module {module}"
    try:
        with while_importing(where):
            loaded = importlib.import_module(module)
    except FlowImportError as error:
        if isinstance(error.__cause__, ModuleNotFoundError) and _names(error.__cause__, module):
            raise FlowImportError(
                f"there is neither a flow file {module} nor a module of that name: check the path, "
                "or write FLOW.py"
            ) from None
        raise
    return pick_workflow(loaded, name, where)


def _is_module_name(text: str) -> bool:
    return not text.endswith(".py") and all(part.isidentifier() for part in text.split("."))


def _names(error: ModuleNotFoundError, module: str) -> bool:
    """Tell whether the missing module is the named one, or a package that it is in."""
    return f"{module}.".startswith(f"{error.name}.")


def _place_in_package(path: Path) -> tuple[Path, str] | None:
    """Return the folder a flow file's package is imported from, and the module's full name.

    None for a file that stands for itself: one that imports nothing from a package around it.
    """
    depth = 0
    while (path.parents[depth] / "__init__.py").is_file():
        depth += 1
    package = path.parents[depth - 1].name if depth else None
    imports = list(_imports_of(path))
    levels = max((level for level, _ in imports), default=0)
    if not levels and package not in [name.partition(".")[0] for _, name in imports]:
        return None
    folder = path.parents[max(depth, levels)] if levels < len(path.parents) else path.parent
    parts = path.relative_to(folder).with_suffix("").parts
    is_importable = path.suffix == ".py" and len(parts) > 1 and all(map(str.isidentifier, parts))
    return (folder, ".".join(parts)) if is_importable else None


def _imports_of(path: Path) -> Iterator[tuple[int, str]]:
    """Yield leading dots and name of a file's imports; none of a file that is not Python."""
    with suppress(OSError, SyntaxError, ValueError, RecursionError):
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.ImportFrom):
                yield node.level, node.module or ""
            elif isinstance(node, ast.Import):
                yield from ((0, alias.name) for alias in node.names)
