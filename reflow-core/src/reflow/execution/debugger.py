"""Calling a function under Python's debugger, in the user's terminal."""

from __future__ import annotations

import pdb
import sys
import traceback
from collections.abc import Callable, Mapping
from typing import Any


class _Debugger(pdb.Pdb):
    """A debugger that remembers whether the user has quit."""

    was_quit = False

    def set_quit(self) -> None:
        self.was_quit = True
        super().set_quit()


def call_debugged(function: Callable[..., Any], at_start: bool, **arguments: Any) -> Any:
    """Call a function; open the debugger at its first line, or only where it raises.

    Raises `KeyboardInterrupt` where the user quits a function that has not ended.
    """
    try:
        return _stepped(function, arguments) if at_start else function(**arguments)
    except Exception as error:
        print("".join(traceback.format_exception_only(error)).rstrip(), file=sys.stderr)
        own = error.__traceback__
        pdb.post_mortem(own and own.tb_next)
        raise


def _stepped(function: Callable[..., Any], arguments: Mapping[str, Any]) -> Any:
    debugger = _Debugger(nosigint=True)
    value = debugger.runcall(function, **arguments)
    if debugger.was_quit:
        raise KeyboardInterrupt
    return value
