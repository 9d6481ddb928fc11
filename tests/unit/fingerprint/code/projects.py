"""Small projects on disk, loaded the way a worker loads a flow: by path, beside its helpers."""

from __future__ import annotations

import importlib.util
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from types import ModuleType
from typing import Any

from reflow.fingerprint.code.digest import Survey

_numbers = count()


def write(folder: Path, files: Mapping[str, str]) -> Path:
    """Write the files of a project, and return the folder."""
    for name, text in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(text))
    return folder


@contextmanager
def loaded(file: Path) -> Iterator[ModuleType]:
    """The module of a file under a name of its own; what it imports from its folder is dropped.

    Nothing is compiled to files: of two edits within a second Python may take them for the same.
    """
    before = set(sys.modules)
    compiles, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    sys.path.insert(0, str(file.parent))
    importlib.invalidate_caches()
    name = f"flow_{next(_numbers)}"
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
        yield module
    finally:
        sys.dont_write_bytecode = compiles
        sys.path.remove(str(file.parent))
        added = sys.modules.keys() - before
        for own in [name for name in added if _lies_in(sys.modules[name], file.parent)]:
            del sys.modules[own]


def _lies_in(module: ModuleType, folder: Path) -> bool:
    places = [getattr(module, "__file__", None), *getattr(module, "__path__", [])]
    return any(place and Path(place).is_relative_to(folder) for place in places)


def source_digest(function: Callable[..., Any], flow_file: Path | None = None) -> str:
    """The digest of a function and of what it names from the user's own code."""
    return Survey([function], flow_file).look_at(function).digest


class Digests:
    """Digests of `task` in variants of a project, each in a folder of its own."""

    def __init__(self, tmp_path: Path) -> None:
        self._tmp_path = tmp_path

    def __call__(self, flow: str = "", /, task: str = "task", **helpers: str) -> str:
        files = {"flow.py": flow, **{_file_name(name): text for name, text in helpers.items()}}
        folder = write(self._tmp_path / f"variant{next(_numbers)}", files)
        with loaded(folder / "flow.py") as module:
            function: Any = getattr(module, task)
            return source_digest(function)


def _file_name(name: str) -> str:
    """`package__module` is `package/module.py`, and `package__` is `package/__init__.py`."""
    folder, _, module = name.rpartition("__")
    return f"{folder.replace('__', '/')}/{module or '__init__'}.py" if folder else f"{name}.py"
