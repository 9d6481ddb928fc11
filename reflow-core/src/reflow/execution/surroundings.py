"""The state of a process that its elements share, and that each must find untouched.

It is compared first, and put back only where it was changed: most elements change nothing.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sys
import threading
import warnings

# `locale` wraps this function for arguments that nothing here has.
from _locale import LC_ALL, setlocale

# `signal.getsignal` makes an enum of each handler, which takes nearly all of the time.
from _signal import getsignal  # type: ignore[import-not-found]
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import logging

_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP", "SIGALRM", "SIGUSR1", "SIGUSR2", "SIGCHLD")
_WARNING = 30
"""`logging.WARNING`, the level of a root logger that nobody has set another for."""


class Surroundings:
    """The state of this process when it was made: environment, umask, logging, and the like."""

    def __init__(self, home: Path) -> None:
        """Record the state; elements begin in the folder `home`."""
        self._home = str(home)
        self._umask = os.umask(0o022)
        os.umask(self._umask)
        self._environment = dict(_variables())
        self._path = list(sys.path)
        self._filters = list(warnings.filters)
        self._locale = setlocale(LC_ALL)
        self._logging = _LogSettings.current()
        self._signals = {
            number: handler
            for name in _SIGNALS
            if (handler := getsignal(number := int(signal.Signals[name]))) is not None
        }

    def restore(self) -> None:
        """Undo an element's changes."""
        os.umask(self._umask)
        self._go_home()
        if _variables() != self._environment:
            self._put_back_environment()
        if sys.path != self._path:
            sys.path[:] = self._path
        if warnings.filters != self._filters:
            # Resetting makes the module discard what it has cached.
            warnings.resetwarnings()
            warnings.filters[:] = self._filters  # type: ignore[index]
        if setlocale(LC_ALL) != self._locale:
            setlocale(LC_ALL, self._locale)
        self._logging.restore()
        self._put_back_signals()

    def keep_environment(self) -> None:
        """Have elements find the environment from now on as it is now."""
        self._environment = dict(_variables())

    def _go_home(self) -> None:
        with contextlib.suppress(OSError):
            if os.getcwd() == self._home:  # noqa: PTH109
                return
        os.chdir(self._home)

    def _put_back_environment(self) -> None:
        now = dict(_variables())
        for name in now.keys() - self._environment.keys():
            del os.environb[name]
        for name, value in self._environment.items():
            if now.get(name) != value:
                os.environb[name] = value

    def _put_back_signals(self) -> None:
        if threading.current_thread() is not threading.main_thread():
            return
        signal.alarm(0)
        for number, handler in self._signals.items():
            if getsignal(number) is not handler:
                signal.signal(number, handler)


class _LogSettings:
    """Settings of the root logger, which are the defaults as long as nobody has loaded `logging`.

    Most flows do not load it, and it takes 4 % of the start of a worker.
    """

    def __init__(self, level: int, handlers: list[logging.Handler], disabled: int) -> None:
        self._level = level
        self._handlers = handlers
        self._disabled = disabled

    @classmethod
    def current(cls) -> _LogSettings:
        """Return the settings that hold now."""
        root = _root_logger()
        if root is None:
            return cls(_WARNING, [], 0)
        return cls(root.level, list(root.handlers), root.manager.disable)

    def restore(self) -> None:
        """Undo an element's changes."""
        root = _root_logger()
        if root is None:
            return
        if root.level != self._level:
            root.setLevel(self._level)
        if root.handlers != self._handlers:
            root.handlers[:] = self._handlers
        if root.manager.disable != self._disabled:
            sys.modules["logging"].disable(self._disabled)


class Chance:
    """Python's random state, for elements of one worker: none inherits what another has left.

    Each begins as in a process of its own: where the flow was seeded as it was loaded, from
    there, otherwise from the system's entropy.
    """

    def __init__(self, load: Callable[[], object]) -> None:
        """Record what loading the flow, by `load`, does to the random state."""
        before = random.getstate()
        load()
        now = random.getstate()
        self._seeded = None if now == before else now

    def begin(self) -> None:
        """Set the random state for the next element."""
        if self._seeded is None:
            random.seed(os.urandom(16))
        else:
            random.setstate(self._seeded)


def _root_logger() -> logging.RootLogger | None:
    """Return the root logger; None where `logging` is not loaded."""
    module = sys.modules.get("logging")
    return None if module is None else module.root


def _variables() -> Mapping[Any, Any]:
    # Compared as they are stored: decoding them all takes ten times as long.
    return os.environ._data  # type: ignore[attr-defined,no-any-return]
