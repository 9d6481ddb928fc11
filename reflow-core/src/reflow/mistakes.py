"""Mistakes in a flow that is run as a script: one line that says where, and no traceback."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType

DEBUG_VARIABLE = "REFLOW_DEBUG"
"""Set to anything, it brings the tracebacks back."""


def tell_in_one_line() -> None:
    """Report in one line, without a traceback, exceptions of reflow's that end a script.

    Prompts, notebooks and programs that have an exception hook of their own are left alone.
    """
    script = getattr(sys.modules.get("__main__"), "__file__", None)
    if script and not hasattr(sys, "ps1") and sys.excepthook is sys.__excepthook__:
        sys.excepthook = _tell


def _tell(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    from reflow.errors import ReflowError, RunFailedError

    if not isinstance(error, ReflowError) or os.environ.get(DEBUG_VARIABLE):
        sys.__excepthook__(kind, error, trace)
        return
    place = _place(trace)
    print(f"{place}error: {error}", file=sys.stderr)
    raise SystemExit(1 if isinstance(error, RunFailedError) else 2)


def _place(trace: TracebackType | None) -> str:
    """Return the line of the user's own code that led here: the last one outside of reflow."""
    own = os.path.dirname(__file__) + os.sep  # noqa: PTH120 - pathlib may not be loaded
    found = ""
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if not file.startswith(own):
            found = f"{file}, line {trace.tb_lineno}: "
        trace = trace.tb_next
    return found
