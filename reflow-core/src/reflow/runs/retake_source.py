"""Take the source of a run anew: `python -m reflow.runs.retake_source RUN_DIR RUN_ID DRAFT`."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from reflow.errors import FlowImportError, ReflowError, ReflowWarning
from reflow.model.graph import Graph
from reflow.notebook.loading import load_cells, workflow_of
from reflow.notebook.session import current_session, is_of_cells
from reflow.rundir.flow_reference import FlowRef
from reflow.rundir.graph_data import graph_of_data
from reflow.rundir.run_settings import RunSettings, read_settings
from reflow.rundir.source_record import (
    RunSource,
    check_loaded_anew,
    current_source,
    take_source,
    with_copy,
)
from reflow.runs.open_dispatcher import load_graph

CANNOT_LOAD = 2


def retaken_source(settings: RunSettings, graph: Graph | None, tasks: Collection[str]) -> RunSource:
    """Return what the named tasks count by as this process or a new one loads the flow.

    The record is not in force before it is written. Where the flow's file is gone the latest record
    is returned, with a warning. Raises `FlowImportError` where the flow cannot be loaded, or has
    become another one.
    """
    if settings.flow is not None and is_of_cells(settings.flow.path):
        source = _taken_from_cells(settings, settings.flow, graph)
        _check_known(graph_of_data(source.graph), tasks, settings)
        return source
    if settings.flow is not None and not settings.flow.file.exists():
        source = _taken_last(settings, settings.flow)
        warnings.warn(
            f"{settings.flow.file} is gone: {settings.run_id} goes on with the copy of its source "
            "that it has",
            ReflowWarning,
            stacklevel=4,
        )
        return source
    source = take_source(graph or load_graph(settings), settings)
    if not source.edited or settings.flow is None:
        source = with_copy(source, settings)
    else:
        # This process loaded the flow before it was edited, and cannot load it a second time.
        source = _taken_elsewhere(settings)
    _check_known(graph_of_data(source.graph), tasks, settings)
    return source


def _taken_from_cells(settings: RunSettings, flow: FlowRef, graph: Graph | None) -> RunSource:
    """Return what a notebook has now; elsewhere than in the notebook, what it had last."""
    session = current_session()
    workflow = None if session is None or graph is None else workflow_of(session, graph)
    if session is None or workflow is None or graph is None:
        source = _taken_last(settings, flow)
        warnings.warn(
            f"{settings.run_id} goes on with the cells of {flow.file.stem} as they were: what was "
            "edited since counts only where run.retry() is called in the notebook",
            ReflowWarning,
            stacklevel=5,
        )
        return source
    if settings.executor == "inline":
        with suppress(ReflowError):  # of what cannot be sent along, and need not be
            graph = load_cells(session, workflow, str(flow.path)).graph()
        return take_source(graph, settings)
    source = take_source(load_cells(session, workflow, str(flow.path)).graph(), settings)
    check_loaded_anew(source)
    return with_copy(source, settings)


def _taken_last(settings: RunSettings, flow: FlowRef) -> RunSource:
    if settings.executor == "inline":
        raise FlowImportError(
            f"{settings.run_id} ran in the process that started it, and keeps no copy of "
            f"{flow.file.name}, which is not there: retry it where it was started, or start a "
            "new run"
        )
    try:
        return RunSource.read(settings.layout, current_source(settings.layout))
    except OSError as error:
        raise FlowImportError(
            f"the copy of the source of {settings.run_id} cannot be read: {error}. Put "
            f"{flow.file} back, or start a new run"
        ) from error


def _taken_elsewhere(settings: RunSettings) -> RunSource:
    """Return what a new process takes. Raises `FlowImportError` where the flow cannot be loaded."""
    draft = settings.layout.source_draft(os.getpid())
    words = ["-P", "-m", "reflow.runs.retake_source", str(settings.run_dir), settings.run_id]
    try:
        ended = subprocess.run(
            [sys.executable, *words, str(draft)],
            cwd=settings.working_directory,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
        if ended.returncode:
            lines = ended.stderr.strip().splitlines() or [f"exit code {ended.returncode}"]
            raise FlowImportError(lines[-1])
        return RunSource.read_draft(draft)
    finally:
        draft.unlink(missing_ok=True)


def _check_known(graph: Graph, known: Collection[str], settings: RunSettings) -> None:
    """Raise `FlowImportError` where the flow has become another one than the run's."""
    since = f"the flow changed since {settings.run_id} was submitted"
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
    """Take the source of one run in this process, into a file of its own."""
    settings = read_settings(Path(arguments[0]), arguments[1])
    try:
        source = take_source(load_graph(settings), settings)
        with_copy(source, settings).write_draft(Path(arguments[2]))
    except ReflowError as error:
        print(error, file=sys.stderr)
        return CANNOT_LOAD
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
