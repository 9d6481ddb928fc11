"""A notebook: a real IPython kernel, which is given cells as a notebook gives them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from textwrap import dedent
from typing import Any

from jupyter_client.manager import KernelManager

from tests.e2e.support import SECONDS

_COLOURS = re.compile("\x1b\\[[0-9;]*m")


class CellError(Exception):
    """What a cell raised: the name of the exception, and its message."""

    def __init__(self, message: str, shown: str) -> None:
        super().__init__(message)
        self.shown = shown
        """What stands below the cell."""


class Notebook:
    """The kernel of a notebook."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def run(self, cell: str) -> str:
        """Run a cell; return what it printed, and its value as text.

        Raises `CellError` for a cell that raises.
        """
        printed, _ = self._run(cell)
        return printed

    def html(self, cell: str) -> str:
        """Run a cell; return its value as HTML."""
        _, shown = self._run(cell)
        return str(shown["text/html"])

    def _run(self, cell: str) -> tuple[str, dict[str, Any]]:
        printed: list[str] = []
        shown: dict[str, Any] = {}

        def take(message: dict[str, Any]) -> None:
            content = message["content"]
            if message["msg_type"] == "stream":
                printed.append(content["text"])
            elif message["msg_type"] in ("execute_result", "display_data"):
                shown.update(content["data"])
                printed.append(content["data"].get("text/plain", ""))

        reply = self._client.execute_interactive(
            dedent(cell).strip("\n"), output_hook=take, timeout=SECONDS, allow_stdin=False
        )["content"]
        if reply["status"] != "ok":
            below = "\n".join(reply["traceback"])
            message = f"{reply['ename']}: {reply['evalue']}"
            raise CellError(_COLOURS.sub("", message), _COLOURS.sub("", below))
        return _COLOURS.sub("", "".join(printed)).strip(), shown


@contextmanager
def open_notebook(
    folder: Path, name: str | None = None, environment: Mapping[str, str] = os.environ
) -> Iterator[Notebook]:
    """Start a kernel in a folder, as for a notebook of that name there."""
    named = {} if name is None else {"JPY_SESSION_NAME": str(folder / name)}
    manager = KernelManager(kernel_name="python3", transport="ipc")
    manager.connection_file = str(folder / "k.json")
    manager.ip = str(folder / "k")
    manager.start_kernel(cwd=str(folder), env={**environment, **named})
    client = manager.blocking_client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=SECONDS)
        yield Notebook(client)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
