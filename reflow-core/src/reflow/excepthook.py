"""What ends a flow that is run as a script: mistakes in one line, and Ctrl-C without a word."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType

DEBUG_VARIABLE = "REFLOW_DEBUG"
"""Set to anything, it brings the tracebacks back."""
INTERRUPTED = 130
"""Exit code of a program that was ended by Ctrl-C."""
_OWN = os.path.dirname(__file__) + os.sep  # noqa: PTH120 - pathlib may not be loaded
_DEFINING = tuple(f"{_OWN}{name}.py" for name in ("__init__", "flow"))
"""Where names are imported at their first use, and tasks defined."""


def install() -> None:
    """Report in one line, without a traceback, exceptions of reflow's that end a script.

    Nor does a Ctrl-C show one that comes before the script's command line has begun.
    Prompts, notebooks and programs that have an exception hook of their own are left alone.
    """
    script = getattr(sys.modules.get("__main__"), "__file__", None)
    if script and not hasattr(sys, "ps1") and sys.excepthook is sys.__excepthook__:
        sys.excepthook = _tell


def _tell(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if kind is KeyboardInterrupt and _was_loading(trace):
        raise SystemExit(INTERRUPTED)
    from reflow.errors import ReflowError, RunFailedError

    if not isinstance(error, ReflowError) or os.environ.get(DEBUG_VARIABLE):
        sys.__excepthook__(kind, error, trace)
        return
    place = _place(trace)
    print(f"{place}error: {error}", file=sys.stderr)
    raise SystemExit(1 if isinstance(error, RunFailedError) else 2)


def in_a_notebook(error: Exception) -> list[str]:
    """Return the lines that a notebook shows of a mistake: where it is, and what it is."""
    if os.environ.get(DEBUG_VARIABLE):
        from traceback import format_exception

        return format_exception(error)
    return [f"{_place(error.__traceback__)}{type(error).__name__}: {error}"]


def _place(trace: TracebackType | None) -> str:
    """Return the line of the user's own code that led here: the last one outside of reflow."""
    found = ""
    while trace is not None:
        file, names = trace.tb_frame.f_code.co_filename, trace.tb_frame.f_globals
        if names.get("__name__") == "__main__" and "__file__" not in names:
            found = f"line {trace.tb_lineno} of the cell: "
        elif not file.startswith(_OWN):
            found = f"{file}, line {trace.tb_lineno}: "
        trace = trace.tb_next
    return found


def _was_loading(trace: TracebackType | None) -> bool:
    """Tell whether modules of reflow were being loaded, or tasks defined."""
    while trace is not None:
        code = trace.tb_frame.f_code
        loading = code.co_name == "<module>" and code.co_filename.startswith(_OWN)
        if loading or code.co_filename in _DEFINING:
            return True
        trace = trace.tb_next
    return False
