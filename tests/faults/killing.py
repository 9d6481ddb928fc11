"""Runs a module of reflow's that kills itself, for real, at its N-th step.

`python -m tests.faults.killing COUNT_FILE N MODULE ARGUMENTS...`: a step is the moment before or
after something that others can see: a transaction, an fsync, a process or a command started. How
many steps were passed stands in COUNT_FILE. Living through all of them gives the module's own
exit status.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any


class Steps:
    """Counts steps, and kills this process at one of them."""

    def __init__(self, count_file: Path, last: int) -> None:
        self._file = count_file
        self._last = last
        self._passed = 0

    def step(self) -> None:
        """Pass one more step, or die."""
        self._passed += 1
        self._file.write_text(str(self._passed))
        if self._passed == self._last:
            os.kill(os.getpid(), signal.SIGKILL)

    def around(self, owner: Any, name: str) -> None:
        """Make the moments before and after a call steps."""
        original: Callable[..., Any] = getattr(owner, name)

        def stepping(*arguments: Any, **named: Any) -> Any:
            self.step()
            try:
                return original(*arguments, **named)
            finally:
                self.step()

        setattr(owner, name, stepping)

    def around_block(self, owner: Any, name: str) -> None:
        """The same for a context manager: its beginning and its end."""
        original: Callable[..., Any] = getattr(owner, name)

        @contextlib.contextmanager
        def stepping(*arguments: Any, **named: Any) -> Iterator[Any]:
            self.step()
            with original(*arguments, **named) as value:
                yield value
                self.step()
            self.step()

        setattr(owner, name, stepping)


def main(arguments: list[str]) -> int:
    """Run a module's `main` under steps."""
    count_file, last, module, *rest = arguments
    steps = Steps(Path(count_file), int(last))
    from reflow.stores.sql import SqlStore

    steps.around_block(SqlStore, "fenced")
    for name in ("acquire", "release", "add_native_id", "clear_mark"):
        steps.around(SqlStore, name)
    steps.around(os, "fsync")
    steps.around(subprocess.Popen, "__init__")
    status: int = importlib.import_module(module).main(rest)
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
