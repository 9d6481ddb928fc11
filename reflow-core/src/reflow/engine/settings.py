"""What is fixed at submission and travels in the run directory."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reflow.engine.files import read_bytes, write_whole
from reflow.engine.flowref import FlowRef
from reflow.engine.layout import RunLayout
from reflow.errors import NotFoundError, ReflowError
from reflow.model.json import Json

FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSettings:
    """Everything that a dispatcher or worker needs and must not find out again.

    A job's environment has another HOME, no XDG variables and another PATH, so that nothing here
    may be resolved a second time.
    """

    run_id: str
    workflow: str
    run_dir: Path
    store: str
    executor: str
    """Name of the executor; `run_local`'s own ones are `pool` and `inline`."""
    executor_settings: Mapping[str, Json] = field(default_factory=dict)
    python: str
    working_directory: Path
    flow: FlowRef | None
    """None where only the submitting process has the workflow."""
    parameters: Mapping[str, str]
    """Canonical text of each encoded value, by keyword."""
    force: bool = False
    force_tasks: tuple[str, ...] = ()
    verify: bool = False
    on_error: str = "continue"
    config: Mapping[str, Any] = field(default_factory=dict)

    @property
    def layout(self) -> RunLayout:
        """Where the run's files are."""
        return RunLayout(self.run_dir, self.run_id)

    def write(self) -> None:
        """Put the settings into the run directory."""
        data = {
            "format": FORMAT,
            "run_id": self.run_id,
            "workflow": self.workflow,
            "run_dir": str(self.run_dir),
            "store": self.store,
            "executor": self.executor,
            "executor_settings": dict(self.executor_settings),
            "python": self.python,
            "working_directory": str(self.working_directory),
            "flow": None if self.flow is None else self.flow.as_dict(),
            "parameters": dict(self.parameters),
            "force": self.force,
            "force_tasks": list(self.force_tasks),
            "verify": self.verify,
            "on_error": self.on_error,
            "config": dict(self.config),
        }
        write_whole(self.layout.settings, json.dumps(data, indent=1).encode())


def read_settings(run_dir: Path, run_id: str) -> RunSettings:
    """Read a run's settings. Raises `NotFoundError` where the run directory has none."""
    path = RunLayout(run_dir, run_id).settings
    try:
        data = json.loads(read_bytes(path))
    except OSError as error:
        raise NotFoundError(
            f"the run directory of {run_id} cannot be read: {path}: {error.strerror}. "
            "Was it moved or removed, or is its file system not mounted here?"
        ) from error
    if data.pop("format") != FORMAT:
        raise ReflowError(f"{path} was written by another version of reflow")
    return RunSettings(
        **{
            **data,
            "run_dir": Path(data["run_dir"]),
            "working_directory": Path(data["working_directory"]),
            "flow": None if data["flow"] is None else FlowRef.from_dict(data["flow"]),
            "force_tasks": tuple(data["force_tasks"]),
        }
    )
