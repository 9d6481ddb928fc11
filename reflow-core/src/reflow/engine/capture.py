"""Logs of elements that share a process: a file only for those that print something."""

from __future__ import annotations

import os
import sys
from pathlib import Path


class LogCapture:
    """Sends this process's output to a scratch file, and gives it to the element it is from."""

    def __init__(self, scratch: Path) -> None:
        self._scratch = scratch
        scratch.parent.mkdir(parents=True, exist_ok=True)
        self._open()

    def _open(self) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND
        descriptor = os.open(self._scratch, flags, 0o644)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        os.close(descriptor)

    def keep(self, log: Path) -> bool:
        """Make what was printed since the last call a log; False when nothing was."""
        sys.stdout.flush()
        sys.stderr.flush()
        if os.fstat(1).st_size == 0:
            return False
        log.parent.mkdir(parents=True, exist_ok=True)
        self._scratch.replace(log)
        self._open()
        return True
