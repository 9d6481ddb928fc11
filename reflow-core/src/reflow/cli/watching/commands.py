"""Cancelling and retrying from a view, by the commands themselves.

Each is a process of its own: a retry loads the user's flow, which may print, and either may wait
for the dispatcher for half a minute. What it prints is what the view says was done.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable

from reflow.report.watch.state import Request, Verb
from reflow.stores.contract import Store


class Commands:
    """The commands that a view has started, one at a time."""

    def __init__(self, store: Store, wake: Callable[[], None]) -> None:
        """Keep `wake`, which is called when a command has ended."""
        self._store, self._wake = store, wake
        self._said: str | None = None
        self._thread: threading.Thread | None = None

    @property
    def is_busy(self) -> bool:
        """Whether a command has not ended."""
        return self._thread is not None and self._thread.is_alive()

    def start(self, request: Request) -> None:
        """Start the command of a request."""
        self._thread = threading.Thread(target=self._run, args=(request,), daemon=True)
        self._thread.start()

    def take(self) -> str | None:
        """Return what the last command printed, once; None while it runs."""
        said, self._said = self._said, None
        return said

    def _run(self, request: Request) -> None:
        # The URL may hold a password, which everybody could read among a process's words.
        environment = {**os.environ, "REFLOW_STORE": self._store.url, "NO_COLOR": "1"}
        try:
            ended = subprocess.run(
                [sys.executable, "-m", "reflow", *words_of(request)],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                check=False,
                # It goes on to its end when the view is left.
                start_new_session=True,
            )
            self._said = summary(ended.stdout) or f"exit code {ended.returncode}"
        except OSError as error:
            self._said = f"the command could not be started: {error}"
        self._wake()


def words_of(request: Request) -> list[str]:
    """Return the words of a request's command."""
    words = [request.verb.value, request.run_id]
    words += ["--task", request.task] if request.task else []
    return [*words, "--yes"] if request.verb is Verb.CANCEL else words


def summary(printed: str) -> str:
    """Return the line that tells what was done, or else why nothing was."""
    lines = [line.strip() for line in printed.splitlines() if line.strip()]
    failed = [line for line in lines if line.startswith("error: ")]
    return next(iter(failed or [line for line in lines if not line.startswith("warning: ")]), "")
