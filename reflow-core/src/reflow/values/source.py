"""What a task's function is made of, as one digest.

It covers the function and, transitively, the functions, classes and constants that it names from
the user's own code (`usercode.py` says what that is). They count by their syntax, without what
does not shape a result (`syntax.py`), and functions made inside other functions by the values
they close over, too. Everything else counts by its name. What only shows while a program runs is
not seen: a module imported by `importlib`, a name put together from text.

The digest is the same in every process that has loaded the same code, whatever the module is
called there. Where a file was edited after this process loaded it, what was loaded counts, by its
compiled code; no process that loads the new file arrives at the same digest.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import FunctionType
from typing import Any

from reflow.values.loaded import LoadedValues
from reflow.values.ownership import Ownership
from reflow.values.text import digest, dumps
from reflow.values.usercode import UserCode
from reflow.values.written import Graph, WrittenCode


def source_digest(
    function: Callable[..., Any],
    flow_file: Path | None = None,
    own: Sequence[str] = (),
    foreign: Sequence[str] = (),
) -> str:
    """Digest of a function and of what it names from the user's own code.

    `flow_file` is the workflow's file, for functions that come from another: the user's own code
    is then what lies around either. `own` and `foreign` are folders that the configuration names.
    Files are read when a digest first needs them, and believed for as long as they are not loaded
    anew; so ask early, right after loading a flow. What has no source counts by its compiled code.
    """
    return _survey(function, flow_file, own, foreign)[0]


def _survey(
    function: Callable[..., Any],
    flow_file: Path | None,
    own_folders: Sequence[str],
    foreign_folders: Sequence[str],
) -> tuple[str, list[Path]]:
    own: dict[Path, Mapping[str, Any]] = {}
    innermost = _innermost(function)
    if type(innermost) is FunctionType:
        path = _real(innermost.__code__.co_filename)
        module_file = innermost.__globals__.get("__file__")
        is_module = isinstance(module_file, str) and _real(module_file) == path
        own[path] = innermost.__globals__ if is_module else {}
    files = [*own, _real(flow_file)] if flow_file else [*own]
    graph = Graph()
    written = WrittenCode(graph, UserCode(Ownership(files, own_folders, foreign_folders)), own)
    written.live = live = LoadedValues(graph, written)
    root = live.value(function)
    graph.complete()
    return digest(dumps([root, graph.descriptions])), sorted(written.edited)


def _innermost(function: Callable[..., Any]) -> object:
    """The function inside all wrappers."""
    try:
        return inspect.unwrap(function)
    except ValueError:  # wrappers in a circle
        return function


def _real(path: str | Path) -> Path:
    return Path(os.path.realpath(path))
