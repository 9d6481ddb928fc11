"""Recording a new run: its id, its folder, its settings, its record."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from reflow.errors import ParameterError, ReflowError, ReflowWarning, UsageError
from reflow.execution.execute import plugin_codecs
from reflow.execution.flow_loading import Workflow, is_loading
from reflow.model.canonical import dumps, loads
from reflow.model.graph import Graph
from reflow.model.json import Json
from reflow.model.lineage import VARIABLE, place_of
from reflow.model.pilots import Pilots
from reflow.model.records import RunRecord, TaskRecord
from reflow.model.states import RunState
from reflow.model.tags import tags_of
from reflow.model.tasks import FilesMode
from reflow.notebook.loading import graph_of_cells
from reflow.permissions import make_folder
from reflow.rundir.files import server_time
from reflow.rundir.flow_reference import FlowRef
from reflow.rundir.layout import RunLayout
from reflow.rundir.probe import UnfitFileSystemError, probe
from reflow.rundir.run_settings import RunSettings
from reflow.rundir.source_record import (
    RunSource,
    check_loaded_anew,
    current_source,
    take_source,
    values_that_differ,
    with_copy,
)
from reflow.runs.input_files import look_at_parameters
from reflow.runs.reporting.provenance import Survey
from reflow.stores.contract import Store
from reflow.suggest import did_you_mean
from reflow.wiring.parameters import bind_parameters, text_of

DISPATCH_JOBS = ("dispatch.follow_up", "dispatch.last_worker", "dispatch.watchdog")
"""Settings by which a run's jobs dispatch."""
TRIES = 100
"""Ids tried before giving up; with four hex digits a clash is rare."""

_NO_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS})


def refuse_while_importing(what: str) -> None:
    """Refuse to start a run while its flow file is being imported for workers.

    A flow file without a `__main__` guard would start itself again from its own workers.
    """
    flow = is_loading()
    if flow is not None:
        raise UsageError(
            f"{flow} calls {what} while it is being imported: put the call under "
            "`if __name__ == '__main__':`"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a user says about a run when starting it."""

    run_dir: str | Path | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    force: bool = False
    force_tasks: str | Sequence[str] = ()
    verify: bool = False
    files: FilesMode | None = None
    """How files count in this run, where that is not what the configuration says."""
    pilots: Pilots | Mapping[str, Any] | None = None
    """The jobs that run the whole run, or what is other of them than the configuration says."""
    follow: bool = False
    """The run is to be followed: no job of it dispatches."""
    tags: str | Sequence[str] = ()
    """Words to find the run by."""
    store: Store | None = None
    """The manifest to record the run in, where that is not the workflow's."""

    def store_for(self, workflow: Workflow) -> Store:
        """Return the manifest that the run is recorded in."""
        return workflow.store if self.store is None else self.store


def draft(
    workflow: Workflow,
    graph: Graph,
    wanted: Wanted,
    *,
    executor: str,
    executor_settings: Mapping[str, Json],
    flow: Callable[[], FlowRef | None],
    pilots: Pilots | None = None,
    on_error: str = "continue",
) -> RunSettings:
    """Return the settings of a run that is not recorded yet, under an id that may be taken.

    `flow` returns where other processes find the workflow; it is called once all else is right.
    Raises `ParameterError` for an unknown task, `OptionError` for missing and unknown parameters
    and `ParameterError` for bad values.
    """
    from reflow import __version__

    config = workflow.config
    if wanted.follow:
        # Jobs that may not submit others would only fail at it, or wait for `follow`.
        config = config.with_values(dict.fromkeys(DISPATCH_JOBS, False))
    if wanted.files is not None:
        config = config.with_values({"cache.files": wanted.files}, "files=")
    forced, parameters = _known(graph, wanted.force_tasks), _encoded(graph, wanted.parameters)
    run_id = f"{graph.name}-{datetime.now():%Y%m%d}-{secrets.token_hex(2)}"
    settings = RunSettings(
        run_id=run_id,
        workflow=graph.name,
        run_dir=_absolute(
            Path(config.run_root) / run_id if wanted.run_dir is None else Path(wanted.run_dir)
        ),
        store=wanted.store_for(workflow).url,
        executor=executor,
        executor_settings=executor_settings,
        python=sys.executable,
        working_directory=_current_folder(),
        home=os.path.expanduser("~"),  # noqa: PTH111
        command_path=os.environ.get("PATH", ""),
        flow=flow(),
        parameters=parameters,
        force=wanted.force or not config.cache.reuse,
        force_tasks=forced,
        verify=wanted.verify or config.cache.verify,
        on_error=on_error,
        config_data=config.as_dict(),
        reflow=__version__,
        lineage=os.environ.get(VARIABLE, ""),
        pilots=pilots,
        tags=tags_of(wanted.tags),
    )
    return replace(settings, parameter_states=look_at_parameters(graph, settings))


def _current_folder() -> Path:
    """Return the current folder as the shell spells it, with its links unresolved."""
    spelt = os.environ.get("PWD", "")
    with suppress(OSError):
        if os.path.isabs(spelt) and os.path.samefile(spelt, "."):  # noqa: PTH117, PTH121
            return Path(spelt)
    return Path.cwd()


def create_run(
    store: Store,
    graph: Graph,
    draft: Callable[[], RunSettings],
    check: Callable[[RunSettings, RunSource], None] = lambda settings, source: None,
) -> RunSettings:
    """Create a run's folder and settings, and its record in the store.

    `draft` returns the settings, under another id at each call. `check` is called before anything
    is written, and may raise. Raises `ReflowError` where the run
    directory cannot be created.
    """
    with Survey() as survey:
        source: RunSource | None = None
        for _ in range(TRIES):
            settings = draft()
            if settings.layout.root.exists():
                continue
            if source is None:
                flow = settings.flow
                survey.begin(settings.working_directory if flow is None else flow.file)
                of_cells = graph_of_cells(settings.flow)
                source = take_source(of_cells or graph, settings)
                if of_cells is not None and settings.executor != "inline":
                    check_loaded_anew(source)
                check(settings, source)
            settings = _make_folder(settings, source)
            if store.create_run(record_of(settings, graph), _tasks(graph)):
                tell_of_other_values(store, settings, source)
                survey.finish().write(settings.layout)
                return settings
            shutil.rmtree(settings.layout.root, ignore_errors=True)
    raise ReflowError(f"no free run id was found for workflow {graph.name!r}; try again")


def _known(graph: Graph, names: str | Sequence[str]) -> tuple[str, ...]:
    given = (names,) if isinstance(names, str) else tuple(names)
    for name in given:
        if name not in graph.tasks:
            raise ParameterError(
                f"workflow {graph.name!r} has no task {name!r}{did_you_mean(name, graph.tasks)}"
            )
    return given


def _encoded(graph: Graph, given: Mapping[str, Any]) -> dict[str, str]:
    """Return the canonical text of every parameter, defaults included."""
    codecs = plugin_codecs()
    declared = {**graph.parameters, **graph.constants}
    return {
        keyword: dumps(codecs.encode(value, declared[keyword].declared.annotation))
        for keyword, value in bind_parameters(graph, given).items()
    }


def _absolute(path: Path) -> Path:
    # Not resolved: results are bound to the path as the user knows it.
    return Path(os.path.abspath(path.expanduser()))  # noqa: PTH100


def _make_folder(settings: RunSettings, source: RunSource) -> RunSettings:
    """Make the folder of a run; return its settings with what its file system can do."""
    layout = settings.layout
    try:
        for folder in (layout.root, layout.waves, layout.logs):
            make_folder(folder)
        server_time(layout.clock)
        settings = replace(settings, claims=probe(layout.root))
        settings.write()
        with_copy(source, settings).write(layout)
        _point_to_newest(layout)
    except UnfitFileSystemError as error:
        raise ReflowError(
            f"the run directory {settings.run_dir} cannot hold a run: {error.strerror}; choose "
            "another, on a file system that all nodes share, with run_dir= or --run-dir"
        ) from error
    except OSError as error:
        raise ReflowError(
            f"the run directory {settings.run_dir} cannot be written: {error.strerror}; "
            "choose another with run_dir= or --run-dir"
        ) from error
    return settings


def _point_to_newest(layout: RunLayout) -> None:
    link = layout.logs.parent / "latest"
    temporary = link.with_name(f".latest.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    try:
        temporary.symlink_to(layout.logs.name)
    except OSError as error:
        # The link is a convenience, and some file systems have none.
        if error.errno not in _NO_LINKS:
            raise
    else:
        temporary.replace(link)


def record_of(settings: RunSettings, graph: Graph) -> RunRecord:
    """Return what is recorded of a new run."""
    return RunRecord(
        run_id=settings.run_id,
        workflow=settings.workflow,
        state=RunState.RUNNING,
        run_dir=settings.run_dir,
        created_at=datetime.now(UTC),
        executor=settings.executor,
        uid=os.geteuid(),
        parameters={
            name: _readable(loads(text), graph.parameters[name].declared.annotation)
            for name, text in settings.parameters.items()
            if name in graph.parameters
        },
        lineage=settings.lineage,
        place=place_of(settings.lineage),
        tags=settings.tags,
    )


def _readable(data: Json, annotation: Any) -> Json:
    """Return a parameter as status shows it: plain JSON, or text for what JSON cannot hold."""
    if not isinstance(data, dict | list):
        return data
    value = plugin_codecs().decode(data, annotation)
    if isinstance(value, list):
        return [_readable(item, annotation) for item in data]
    return text_of(value)


def _tasks(graph: Graph) -> list[TaskRecord]:
    return [
        TaskRecord(
            name=spec.name, ordinal=ordinal, array=spec.array, size=None if spec.array else 1
        )
        for ordinal, spec in enumerate(graph.tasks.values())
    ]


def tell_of_other_values(store: Store, settings: RunSettings, source: RunSource) -> None:
    """Warn where results are not reused only because a value differs from the last run's."""
    if settings.force:
        return
    records = store.list_runs(graph_name=settings.workflow, limit=2)
    last = [record for record in records if record.run_id != settings.run_id][:1]
    with suppress(OSError, ValueError, LookupError, TypeError):
        for record in last:
            layout = RunLayout(record.run_dir, record.run_id)
            before = RunSource.read(layout, current_source(layout))
            for text, tasks in values_that_differ(source, before).items():
                names = ", ".join(map(repr, tasks))
                warnings.warn(
                    f"{text} in {record.run_id}: so {names} cannot use its results",
                    ReflowWarning,
                    stacklevel=3,
                )
