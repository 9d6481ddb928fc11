"""Exceptions of tasks, rebuilt in another process from what was recorded of them."""

from __future__ import annotations

import builtins
import re
import sys

from reflow.errors import TaskFailedError
from reflow.model.records import FailedInstance
from reflow.model.scripts import SCRIPTS

_LAST_LINE = re.compile(r"^(?P<name>[A-Za-z_][\w.]*)(?:: |$)", re.MULTILINE)


class _RemoteTracebackError(Exception):
    """Shows the traceback of the process that the exception was raised in."""

    def __str__(self) -> str:
        return f"\n{self.args[0]}"


def exception_of(failure: FailedInstance) -> BaseException:
    """Return the exception that an instance failed with, of its class where that is loaded.

    Nothing is imported for it, and no constructor of the class is called.
    """
    text = failure.error.partition(": ")[2] or failure.error
    error = _remade(failure, text) or TaskFailedError(failure.error)
    if failure.traceback:
        error.__cause__ = _RemoteTracebackError(failure.traceback)
    return error


def _remade(failure: FailedInstance, text: str) -> BaseException | None:
    named = failure.error.partition(":")[0]
    names = [found["name"] for found in _LAST_LINE.finditer(failure.traceback)]
    name = next((name for name in reversed(names) if name.rpartition(".")[2] == named), "")
    kind = _loaded(name)
    if kind is None:
        return None
    error: BaseException = kind.__new__(kind, text)
    error.args = (text,)
    try:
        shown = str(error)
    except Exception:  # it needs the arguments of its constructor
        return None
    return error if text in shown else None


def _loaded(name: str) -> type[BaseException] | None:
    """Return the exception class of that name, as tracebacks write it."""
    module, _, attribute = name.rpartition(".")
    homes = SCRIPTS if module in SCRIPTS else (module,)
    places = [sys.modules.get(home) for home in homes] if module else [builtins]
    for place in places:
        kind = getattr(place, attribute, None)
        if isinstance(kind, type) and issubclass(kind, Exception):
            return kind
    return None
