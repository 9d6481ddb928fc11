"""Taking a run's source anew for a retry: `python -m reflow.runs.retake_source RUN_DIR RUN_ID`."""

from __future__ import annotations

import subprocess
import sys
import warnings
from pathlib import Path

from reflow.errors import FlowImportError, ReflowError, ReflowWarning
from reflow.model.graph import Graph
from reflow.rundir.graph_data import graph_of_data
from reflow.rundir.run_settings import RunSettings, read_settings
from reflow.rundir.source_record import RunSource, current_source, put_source, take_source
from reflow.runs.open_dispatcher import load_graph

CANNOT_LOAD = 2


def retake_source(settings: RunSettings, graph: Graph | None) -> None:
    """Write down what the tasks count by now, as this process or a new one loads the flow.

    Where its file is gone, what was taken last stays, with a warning. Raises `FlowImportError`
    where the flow cannot be loaded; then nothing has changed.
    """
    if settings.flow is not None and not settings.flow.file.exists():
        warnings.warn(
            f"{settings.flow.file} is gone: {settings.run_id} goes on with the copy of its source "
            "that it has",
            ReflowWarning,
            stacklevel=3,
        )
        return
    graph = graph or load_graph(settings)
    _check_known(graph, RunSource.read(settings.layout, current_source(settings.layout)), settings)
    source = take_source(graph, settings)
    if source.is_loaded_anew or settings.flow is None:
        put_source(source, settings)
        return
    # This process loaded the flow before it was edited, and cannot load it a second time.
    words = ["-P", "-m", "reflow.runs.retake_source", str(settings.run_dir), settings.run_id]
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


def _check_known(graph: Graph, before: RunSource, settings: RunSettings) -> None:
    """Raise `FlowImportError` where the flow has become another one than the run's."""
    since = f"the flow changed since {settings.run_id} was submitted"
    known = graph_of_data(before.graph).tasks
    for name in known:
        if name not in graph.tasks:
            raise FlowImportError(
                f"{since}: it has no task {name!r} any more. Put it back, or start a new run"
            )
        for step in graph.tasks[name].upstream:
            if step not in known:
                raise FlowImportError(
                    f"{since}: task {name!r} now needs {step!r}, which the run does not have. "
                    "Start a new run"
                )


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
