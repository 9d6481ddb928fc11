"""Running a command line: exit codes, errors in one line, and what to type next."""

from __future__ import annotations

import errno
import logging
import os
import shlex
import shutil
import signal
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from reflow.errors import ReflowError, ReflowWarning, RunFailedError, StoreError
from reflow.excepthook import DEBUG_VARIABLE
from reflow.report.screen import screen

OK = 0
RUN_FAILED = 1
WRONG_USAGE = 2
SIGNALS = 128
"""What the exit code of a command that a signal ended is above the signal's number."""
GO_ON_TRYING = "Runs that have begun wait for it, and continue by themselves"
INTERRUPTED = SIGNALS + signal.SIGINT


def _show_version(wanted: bool) -> None:
    if wanted:
        from reflow import __version__

        screen().say(f"reflow {__version__}")
        raise typer.Exit


def _root(
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            metavar="",
            callback=_show_version,
            is_eager=True,
            help="Show the version of reflow and exit.",
        ),
    ] = False,
) -> None:
    """Take the options that stand before every command."""


def new_program(help: str, **more: Any) -> typer.Typer:
    """Make the command line of a program: one that tells its version."""
    app = new_app(help, **more)
    app.callback()(_root)
    return app


def new_app(help: str, **more: Any) -> typer.Typer:
    """Make an empty command line. `help` may hold rich's markup."""
    settings = {"help_option_names": ["-h", "--help"]}
    return typer.Typer(help=help, context_settings=settings, pretty_exceptions_enable=False, **more)


def execute(
    build: Callable[[], typer.Typer], args: Sequence[str], *, name: str, obj: object
) -> int:
    """Build a command line, run it on `args`, and return its exit code.

    Users' mistakes are shown in one line on standard error. An exception that is no `ReflowError`
    is a bug and passes through. `name` is the program's name; `obj` becomes `obj` of the commands'
    context.
    """
    _tolerate_narrow_encodings()
    with _warnings_in_one_line():
        try:
            app = build()
            result = app(list(args) or ["--help"], prog_name=name, standalone_mode=False, obj=obj)
            with suppress(BrokenPipeError, ValueError):  # the reader has left, or it is closed
                sys.stdout.flush()
        except typer.Abort:
            return INTERRUPTED
        except KeyboardInterrupt as interruption:
            return interrupted_by(interruption)
        except Exception as error:
            message = _mistake(error)
            if message is None or os.environ.get(DEBUG_VARIABLE):
                raise
            if isinstance(error, OSError):
                # Python would try once more to write what is left, and fail again.
                with suppress(OSError):
                    screen().on_broken_pipe()
            if not _completing(name):
                screen(stderr=True).put([Text.assemble(("error: ", "bold red"), message)])
            return RUN_FAILED if isinstance(error, RunFailedError) else WRONG_USAGE
    return result if isinstance(result, int) else OK


def interrupted_by(interruption: KeyboardInterrupt) -> int:
    """Return the exit code of an interrupted command: 128 plus the signal's number."""
    return SIGNALS + int(getattr(interruption, "signal", signal.SIGINT))


def _mistake(error: Any) -> str | None:
    """Return the message for a mistake of the user; None for a bug."""
    if isinstance(error, StoreError) and not error.lasting:
        return f"{error}. {GO_ON_TRYING}"
    if isinstance(error, ReflowError):
        return str(error)
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO):
        # Of standard output: what else writes files says which one it was.
        return f"the output could not be written: {error.strerror}"
    if isinstance(error, FileNotFoundError) and not _is_somewhere():
        return "the working directory has been removed: change to a folder that exists"
    # The parser's exceptions have had three base classes in the supported versions of typer,
    # one of them another distribution's; these two members have stayed.
    if not (hasattr(error, "format_message") and hasattr(error, "exit_code")):
        return None
    told = error.format_message().replace("Value error, ", "").rstrip(".")
    message: str = told + _how_to_list(error)
    message += "" if message.endswith("?") else "."
    context = getattr(error, "ctx", None)
    return message if context is None else f"{message} See '{context.command_path} --help'"


def _is_somewhere() -> bool:
    """Tell whether the working directory exists."""
    try:
        return bool(Path.cwd())
    except FileNotFoundError:
        return False


def _how_to_list(error: Any) -> str:
    """Explain how to give several values, where there were more words than the command takes."""
    context = getattr(error, "ctx", None)
    if context is None or "extra argument" not in error.format_message():
        return ""
    for option in context.command.params:
        if getattr(option, "multiple", False) and context.params.get(option.name):
            return f"; a list is given as {option.opts[0]} A {option.opts[0]} B"
    return ""


def _completing(name: str) -> bool:
    """Tell whether a shell asks for completions, when nothing else may be printed."""
    return f"_{name}_COMPLETE".replace("-", "_").upper() in os.environ


@contextmanager
def _warnings_in_one_line() -> Iterator[None]:
    """Print warnings, and log records of that level, in one line and once each."""
    told: set[str] = set()

    def tell(text: str) -> None:
        if text not in told:
            told.add(text)
            screen(stderr=True).put([Text.assemble(("warning: ", "yellow"), text)])

    logger, handler = logging.getLogger("reflow"), _Teller(tell)
    logger.addHandler(handler)
    with warnings.catch_warnings():
        plain = warnings.showwarning

        def show(message: Any, category: type[Warning], *where: Any, **more: Any) -> None:
            if issubclass(category, ReflowWarning):
                tell(str(message))
            else:
                plain(message, category, *where, **more)

        warnings.showwarning = show
        warnings.simplefilter("always", ReflowWarning)
        try:
            yield
        finally:
            logger.removeHandler(handler)


class _Teller(logging.Handler):
    """A logging handler that calls a function with each message."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        super().__init__(logging.WARNING)
        self._tell = tell

    def emit(self, record: logging.LogRecord) -> None:
        self._tell(record.getMessage())


def _tolerate_narrow_encodings() -> None:
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")


def program_name() -> str:
    """Return the name of the running script for help and shell completion."""
    return Path(sys.argv[0]).name


def typed_command() -> str:
    """Return what a user types to run this script again: `python3 flow.py`, `reflow`."""
    spec = getattr(sys.modules.get("__main__"), "__spec__", None)
    if spec is not None:
        return f"{_interpreter()} -m {spec.name.removesuffix('.__main__')}"
    script = Path(sys.argv[0])
    if not _is_program(script):
        return f"{_interpreter()} {shlex.quote(sys.argv[0])}"
    found = shutil.which(script.name)
    if found is not None and Path(found).samefile(script):
        return shlex.quote(script.name)
    return shlex.quote(sys.argv[0] if os.sep in sys.argv[0] else f".{os.sep}{script}")


def _interpreter() -> str:
    return shlex.quote(sys.orig_argv[0] if sys.orig_argv else sys.executable)


def _is_program(script: Path) -> bool:
    """Tell whether the file can be run by its name alone."""
    try:
        with script.open("rb") as file:
            return os.access(script, os.X_OK) and file.read(2) == b"#!"
    except OSError:
        return False
