"""Taking a run's source anew for a retry: `python -m reflow.engine.retake RUN_DIR RUN_ID`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from reflow.engine.opened import graph_of
from reflow.engine.settings import RunSettings, read_settings
from reflow.engine.source import take_source
from reflow.errors import FlowImportError, ReflowError
from reflow.model.graph import Graph

CANNOT_LOAD = 2


def retake_source(settings: RunSettings, graph: Graph | None) -> None:
    """Write down what the tasks count by now, as this process or a new one loads the flow.

    Raises `FlowImportError` where the flow cannot be loaded; then nothing has changed.
    """
    graph = graph or graph_of(settings)
    source = take_source(graph.tasks.values(), settings)
    if source.is_loaded_anew or settings.flow is None:
        source.write(settings.layout)
        return
    # This process loaded the flow before it was edited, and cannot load it a second time.
    words = ["-P", "-m", "reflow.engine.retake", str(settings.run_dir), settings.run_id]
    ended = subprocess.run(
        [sys.executable, *words],
        cwd=settings.working_directory,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if ended.returncode:
        said = ended.stderr.strip().splitlines() or [f"exit code {ended.returncode}"]
        raise FlowImportError(said[-1])


def main(arguments: list[str]) -> int:
    """Take the source of one run in this process."""
    settings = read_settings(Path(arguments[0]), arguments[1])
    try:
        retake_source(settings, None)
    except ReflowError as error:
        print(error, file=sys.stderr)
        return CANNOT_LOAD
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
