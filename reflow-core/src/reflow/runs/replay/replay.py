"""Calling a task's function again, here, as one element of a run called it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reflow.codecs.codecs import Codecs
from reflow.errors import ForeignRunError, NotFoundError, ReflowError
from reflow.execution.execute import plugin_codecs
from reflow.model.outcomes import Outcome
from reflow.model.records import Instance, RunRecord, TaskRecord
from reflow.model.states import TaskState
from reflow.permissions import make_folder
from reflow.rundir.layout import RunLayout
from reflow.rundir.ownership import own_settings
from reflow.rundir.results import ResultRecord
from reflow.rundir.run_settings import RunSettings
from reflow.rundir.source_record import RunSource
from reflow.rundir.wave_files import InputRecord, WaveSpec, write_inputs
from reflow.runs.explain.shown import shown
from reflow.runs.replay.compare import Moved, differences
from reflow.runs.replay.inputs import ElementInputs, changed_files, inputs_of, redirected
from reflow.runs.replay.process import INTERRUPTED, WAVE
from reflow.stores.contract import Store, TracesResults, find_instance

VERSION = 1
"""Of the JSON documents; fields are only ever added."""


@dataclass(frozen=True, slots=True)
class Wish:
    """How an element is to be replayed."""

    keep: bool = False
    """Whether the scratch folder stays."""
    pdb: bool = False
    """Whether the debugger opens: at the exception, or at the start of what succeeded."""
    output_to_stderr: bool = False
    """Whether what the function prints goes to standard error."""


def replay(
    store: Store, record: RunRecord, task: TaskRecord, index: int, wish: Wish
) -> dict[str, Any]:
    """Call the function of an element again; return how it ended, as plain data.

    Raises `ForeignRunError` for a run of another user, `NotFoundError` for an element that is not
    there, `NotReadyError` where its inputs are not known, and `ReflowError` where the function
    cannot be called.
    """
    instance = find_instance(store, record.run_id, task.name, index)
    if instance is None:
        raise NotFoundError(f"task {task.name!r} of {record.run_id} has no element {index}")
    try:
        settings = own_settings(record)
    except ForeignRunError as error:
        raise ForeignRunError(
            f"{error}. To call the function, run the flow yourself: its result comes from the "
            "cache, or is computed, as yours"
        ) from error
    codecs = plugin_codecs(settings)
    name = f"{task.name}[{index}]" if task.array else task.name
    inputs = inputs_of(store, record, settings, instance, name, codecs)
    scratch = Path(tempfile.mkdtemp(prefix="reflow-replay-")).resolve()
    try:
        _prepare(scratch, settings, inputs, instance, wish)
        result = _called(scratch, settings, wish)
        found = _compared(store, settings, instance, result, codecs, scratch)
        notes = [*changed_files(settings, inputs.states), *_on_source(settings, inputs)]
    finally:
        if not wish.keep:
            shutil.rmtree(scratch, ignore_errors=True)
    return {
        "version": VERSION,
        "run_id": record.run_id,
        "task": task.name,
        "index": index if task.array else None,
        **found,
        "notes": notes,
        "folder": str(scratch) if wish.keep else None,
    }


def _prepare(
    scratch: Path, settings: RunSettings, inputs: ElementInputs, instance: Instance, wish: Wish
) -> None:
    """Write a wave of one element into the scratch folder, and what is wanted of it."""
    outputs = inputs.task.outputs

    def here(name: str, text: str) -> str:
        if name not in outputs:
            return text
        return redirected(text, settings.working_directory, scratch / "files")

    layout = RunLayout(scratch / "run", settings.run_id).wave(WAVE)
    make_folder(layout.directory)
    spec = WaveSpec(
        run_id=settings.run_id,
        task=inputs.task.name,
        number=WAVE,
        token="replay",  # noqa: S106
        size=1,
        code="",
        source=inputs.source,
        common={name: here(name, text) for name, text in inputs.common.items()},
        each=tuple(inputs.each),
        resources=settings.config.defaults.fill(inputs.task.resources),
    )
    spec.write(layout)
    texts = tuple(here(name, text) for name, text in inputs.each.items())
    write_inputs(layout.inputs, [InputRecord(instance.index, max(1, instance.attempt), texts)])
    debug = ""
    if wish.pdb:
        debug = "start" if instance.state is TaskState.SUCCESS else "failure"
    request = {"run_dir": str(settings.run_dir), "run_id": settings.run_id, "debug": debug}
    (scratch / "request.json").write_text(json.dumps(request))


def _called(scratch: Path, settings: RunSettings, wish: Wish) -> Outcome:
    """Call the function in a process of its own, in this terminal; return how it ended."""
    command = (settings.python, "-P", "-m", "reflow.runs.replay.process", str(scratch))
    # Runs that the function starts are recorded elsewhere, and go with the folder.
    environment = {
        **os.environ,
        "REFLOW_STORE": f"sqlite://{scratch / 'manifest.db'}",
        "REFLOW_RUN_ROOT": str(scratch / "runs"),
    }
    try:
        process = subprocess.Popen(
            command, env=environment, stdout=2 if wish.output_to_stderr else None
        )
    except OSError as error:
        raise ReflowError(
            f"the run's Python cannot be started: {settings.python}: {error.strerror}"
        ) from error
    try:
        code = process.wait()
    except KeyboardInterrupt:
        # The process has had it too.
        process.wait()
        raise
    if code == INTERRUPTED:
        raise KeyboardInterrupt
    with suppress(OSError, ValueError):
        return ResultRecord.parse((scratch / "result").read_bytes()).outcome
    how = f"ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
    raise ReflowError(f"the function did not return: its process {how}")


def _compared(
    store: Store,
    settings: RunSettings,
    instance: Instance,
    now: Outcome,
    codecs: Codecs,
    scratch: Path,
) -> dict[str, Any]:
    recorded = _recorded(store, settings.run_id, instance)
    moved = _moved(settings, scratch)
    found: dict[str, Any] = {
        "state": str(now.state),
        "error": now.error,
        "traceback": now.traceback,
        "seconds": (now.ended_at or 0) - (now.started_at or 0),
        "returned": "" if now.output is None else shown(moved.said(now.output)),
        "recorded_state": str(instance.state),
        "recorded_error": instance.error,
        "recorded": "" if recorded is None else shown(recorded),
        "equal": None,
        "differences": [],
        "count": 0,
    }
    if recorded is not None and now.output is not None:
        texts, number = differences(recorded, now.output, codecs, moved)
        found |= {"equal": not number, "differences": texts, "count": number}
    return found


def _moved(settings: RunSettings, scratch: Path) -> Moved:
    folders = {str(scratch / "run"): str(settings.run_dir), str(scratch / "files"): ""}
    return Moved(folders, str(settings.working_directory))


def _recorded(store: Store, run_id: str, instance: Instance) -> str | None:
    """Return the recorded result of an element; None where it has none."""
    if instance.state is not TaskState.SUCCESS:
        return None
    if instance.source is not None:
        return store.output(instance.source)
    if isinstance(store, TracesResults):
        result = store.result_at(run_id, instance.task, instance.index)
        return None if result is None else store.output(result.key)
    outputs = store.outputs(run_id, instance.task)
    return next((text for index, text, _ in outputs if index == instance.index), None)


def _on_source(settings: RunSettings, inputs: ElementInputs) -> list[str]:
    """Say where the source was not that of the run."""
    with suppress(OSError, LookupError):
        if not RunSource.read(settings.layout, inputs.source).copy:
            return [
                f"{settings.run_id} ran in one process and kept no copy of its source: the source "
                "was used as it is now"
            ]
    return []
