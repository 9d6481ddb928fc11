"""The text that is kept of an exception, within bounds; the element's log has all of it.

Where a program that the task ran is to blame, its last output says more than the traceback.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reflow.errors import ReflowError

_PACKAGE = str(Path(__file__).parents[1]) + os.sep
_CALLERS = (
    *(str(Path(_PACKAGE) / "execution" / name) for name in ("execute.py", "debugger.py")),
    str(Path(os.__file__).with_name("bdb.py")),
)
"""Where tasks' functions are called from."""
LONGEST_ERROR = 2_000
LONGEST_TRACEBACK = 16_000
"""Characters kept in result files, in the database, and shown."""
LONGEST_LINE = 300
"""Characters of a program's last line that stand beside the error."""
LAST_LINES = 20


@dataclass(frozen=True, slots=True)
class FailureText:
    """An exception as it is recorded."""

    error: str
    """In one line."""
    traceback: str
    """Unbounded, with all program output that the exception holds: for the log."""
    last_output: str
    """The last lines that a program printed, where the log alone has them."""


def failure_text(error: BaseException, printed: Callable[[], str]) -> FailureText:
    """Describe an exception; `printed` returns the end of what the element has printed."""
    tool = next((each for each in _chain(error) if _is_of_a_program(each)), None)
    if tool is None:
        return FailureText(summary(error), traceback_text(error), "")
    held = _held_output(tool)
    shown = _last_lines(held or printed())
    last = shown.rstrip().rpartition("\n")[2].strip()
    traceback = traceback_text(error)
    if held:
        traceback += f"\nIts output:\n{held.rstrip()}\n"
    return FailureText(
        f"{summary(error).rstrip('.')}; its last output: {last[:LONGEST_LINE]}"
        if last
        else summary(error),
        traceback,
        "" if held or not shown else f"\nIts output:\n{shown.rstrip()}\n",
    )


def bounded(text: str, longest: int = LONGEST_ERROR) -> str:
    """Cut the middle out of a text that is too long."""
    if len(text) <= longest:
        return text
    end = longest // 2
    left_out = len(text) - 2 * end
    return f"{text[:end]}\n... {left_out:,} characters left out ...\n{text[-end:]}"


def summary(error: BaseException) -> str:
    """Describe an exception in one line, within bounds."""
    try:
        text = " ".join(str(error).split())
    except Exception:
        text = "(its text cannot be shown)"
    if isinstance(error, ReflowError) and text:
        # Already a sentence for users.
        return _bounded_line(text)
    name = type(error).__name__
    return _bounded_line(f"{name}: {text}" if text else name)


def traceback_text(error: BaseException) -> str:
    """Return the traceback without reflow's own frames above the task's.

    An error of reflow's own that no line of the task has raised keeps none of its frames: its
    message is written for users.
    """
    import traceback

    expected = isinstance(error, ReflowError)
    left_out, frames = _PACKAGE if expected else _CALLERS, error.__traceback__
    while frames is not None and frames.tb_frame.f_code.co_filename.startswith(left_out):
        frames = frames.tb_next
    if frames is None and not expected:
        frames = error.__traceback__
    try:
        return "".join(traceback.format_exception(type(error), error, frames))
    except Exception:
        return summary(error)


def traceback_of_return(function: Any, error: ReflowError) -> str:
    """Return the traceback of an error about what a function has returned.

    It points to the statement that returned it where there is only one, else to the function.
    """
    import inspect
    import traceback

    try:
        function = inspect.unwrap(function)
        code = function.__code__
        try:
            lines = set(_lines_of_returns(function))
        except (OSError, SyntaxError, IndexError, TypeError):  # its source is not to be had
            lines = set()
        line = lines.pop() if len(lines) == 1 else code.co_firstlineno
        stack = traceback.StackSummary.from_list([(code.co_filename, line, code.co_name, None)])
        shown = stack.format()
    except (AttributeError, ValueError):  # it has no source: a class, or one of C's
        return traceback_text(error)
    last = traceback.format_exception_only(type(error), error)
    return "".join(["Traceback (most recent call last):\n", *shown, *last])


def _lines_of_returns(function: Any) -> Iterator[int]:
    """Yield the lines of the statements that return something, not those of functions inside."""
    import ast
    import inspect
    import textwrap

    source, start = inspect.getsourcelines(function)
    waiting: list[ast.AST] = [*ast.parse(textwrap.dedent("".join(source))).body[:1]]
    inside = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
    outermost = waiting[0]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Return) and not _is_none(node.value):
            yield start + node.lineno - 1
        if node is outermost or not isinstance(node, inside):
            waiting.extend(ast.iter_child_nodes(node))


def _is_none(value: Any) -> bool:
    return value is None or getattr(value, "value", value) is None


def _bounded_line(text: str) -> str:
    return bounded(text).replace("\n", " ")


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield the exception and its causes."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        current = current.__cause__ or (
            None if current.__suppress_context__ else current.__context__
        )


def _is_of_a_program(error: BaseException) -> bool:
    """Tell whether the exception, like those of `subprocess`, reports a program that failed."""
    return any(
        hasattr(error, name) for name in ("returncode", "retcode", "exit_code", "stderr")
    ) and not isinstance(error, SystemExit)


def _held_output(error: BaseException) -> str:
    """Return the program's output that the exception holds: standard error, else output."""
    for name in ("stderr", "stdout", "output"):
        found = getattr(error, name, None)
        text = found.decode(errors="replace") if isinstance(found, bytes) else found
        if isinstance(text, str) and text.strip():
            return text
    return ""


def _last_lines(text: str) -> str:
    lines = "\n".join(text.rstrip().splitlines()[-LAST_LINES:])
    return lines[-LONGEST_ERROR:]
