"""Writing a new run down: its id, its folder, its settings, its record."""

from __future__ import annotations

import os
import secrets
import shutil
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from reflow.engine.files import avoid_open_permissions, server_time
from reflow.engine.flowref import FlowRef, is_loading
from reflow.engine.layout import RunLayout
from reflow.engine.settings import RunSettings
from reflow.errors import ParameterError, ReflowError, UsageError
from reflow.model.graph import Graph
from reflow.model.json import Json
from reflow.model.records import RunRecord, TaskRecord
from reflow.model.states import RunState
from reflow.stores.contract import Store
from reflow.suggest import did_you_mean
from reflow.values.codecs import Codecs
from reflow.values.text import dumps, loads
from reflow.wiring.parameters import bind_parameters

TRIES = 100
"""Ids tried before giving up; with four hex digits a clash is rare."""


def refuse_while_importing(what: str) -> None:
    """A flow file without a `__main__` guard would start itself again from its own workers."""
    flow = is_loading()
    if flow is not None:
        raise UsageError(
            f"{flow} calls {what} while it is being imported: put the call under "
            "`if __name__ == '__main__':`"
        )


def check_tasks(graph: Graph, names: Sequence[str]) -> tuple[str, ...]:
    """Task names that a person gave. Raises `ParameterError` for one that is not there."""
    given = (names,) if isinstance(names, str) else tuple(names)
    for name in given:
        if name not in graph.tasks:
            raise ParameterError(
                f"workflow {graph.name!r} has no task {name!r}{did_you_mean(name, graph.tasks)}"
            )
    return given


def encode_parameters(graph: Graph, given: Mapping[str, Any], codecs: Codecs) -> dict[str, str]:
    """The canonical text of every parameter, defaults included.

    Raises `OptionError` for missing and unknown ones and `ParameterError` for bad values.
    """
    values = bind_parameters(graph, given)
    return {
        keyword: dumps(codecs.encode(value, graph.parameters[keyword].declared.annotation))
        for keyword, value in values.items()
    }


def create_run(
    store: Store,
    graph: Graph,
    *,
    run_dir: str | Path | None,
    run_root: str,
    executor: str,
    executor_settings: Mapping[str, Json],
    flow: FlowRef | None,
    parameters: Mapping[str, str],
    force: bool,
    force_tasks: Sequence[str],
    verify: bool,
    on_error: str,
    config: Mapping[str, Any],
) -> RunSettings:
    """Make the run's folder and settings, and its record in the store.

    Raises `ReflowError` where the run directory cannot be made.
    """
    avoid_open_permissions()
    for _ in range(TRIES):
        run_id = f"{graph.name}-{datetime.now():%Y%m%d}-{secrets.token_hex(2)}"
        settings = RunSettings(
            run_id=run_id,
            workflow=graph.name,
            run_dir=_absolute(Path(run_root) / run_id if run_dir is None else Path(run_dir)),
            store=store.url,
            executor=executor,
            executor_settings=executor_settings,
            python=sys.executable,
            working_directory=Path.cwd(),
            flow=flow,
            parameters=parameters,
            force=force,
            force_tasks=tuple(force_tasks),
            verify=verify,
            on_error=on_error,
            config=config,
        )
        if settings.layout.root.exists():
            continue
        _make_folder(settings)
        if store.create_run(_record(settings), _tasks(graph)):
            return settings
        shutil.rmtree(settings.layout.root, ignore_errors=True)
    raise ReflowError(f"no free run id was found for workflow {graph.name!r}; try again")


def _absolute(path: Path) -> Path:
    # Not resolved: the path as the person knows it is the one that results are bound to.
    return Path(os.path.abspath(path.expanduser()))  # noqa: PTH100


def _make_folder(settings: RunSettings) -> None:
    layout = settings.layout
    try:
        for folder in (layout.root, layout.waves, layout.logs):
            folder.mkdir(parents=True, exist_ok=True)
        server_time(layout.probe)
        settings.write()
        _point_to_newest(layout)
    except OSError as error:
        raise ReflowError(
            f"the run directory {settings.run_dir} cannot be written: {error.strerror}; "
            "choose another with run_dir= or --run-dir"
        ) from error


def _point_to_newest(layout: RunLayout) -> None:
    link = layout.logs.parent / "latest"
    temporary = link.with_name(f".latest.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(layout.logs.name)
    temporary.replace(link)


def _record(settings: RunSettings) -> RunRecord:
    return RunRecord(
        run_id=settings.run_id,
        workflow=settings.workflow,
        state=RunState.RUNNING,
        run_dir=settings.run_dir,
        created_at=datetime.now(UTC),
        executor=settings.executor,
        parameters={name: loads(text) for name, text in settings.parameters.items()},
    )


def _tasks(graph: Graph) -> list[TaskRecord]:
    return [
        TaskRecord(
            name=spec.name, ordinal=ordinal, array=spec.array, size=None if spec.array else 1
        )
        for ordinal, spec in enumerate(graph.tasks.values())
    ]
