"""The settings of a run, fixed at submission and kept in the run directory."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reflow.errors import DamagedRunError, NotFoundError
from reflow.model.fields import as_json, from_json
from reflow.model.json import Json
from reflow.model.pilots import Pilots
from reflow.model.tasks import FilesMode
from reflow.rundir.claims import BY_LINK
from reflow.rundir.files import read_bytes, write_whole
from reflow.rundir.flow_reference import FlowRef
from reflow.rundir.layout import RunLayout

if TYPE_CHECKING:
    from reflow.config.schema import Config

FORMAT = 1
MOST_BYTES = 64 * 2**20
"""No file of settings is larger."""


@dataclass(frozen=True, kw_only=True)
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
    parameter_states: Mapping[str, Mapping[str, Json]] = field(default_factory=dict)
    """By mode and keyword, the states of the files that parameters refer to, at submission."""
    home: str = ""
    """The user's home; links there count."""
    command_path: str = ""
    """PATH of the submitting process, where the scheduler's commands are found: that of jobs need
    not lead to them."""
    force: bool = False
    force_tasks: tuple[str, ...] = ()
    verify: bool = False
    on_error: str = "continue"
    config_data: Mapping[str, Any] = field(default_factory=dict)
    """The configuration as `Config.as_dict` returns it."""
    reflow: str = ""
    """The version that wrote what dispatchers and workers read; a retry writes it anew."""
    lineage: str = ""
    """The elements that the run was started by, as `reflow.model.lineage` writes them."""
    claims: str = BY_LINK
    """The way in which jobs claim positions: by what the run directory's file system can do."""
    pilots: Pilots | None = None
    """The jobs that run the whole run; None where waves are submitted."""
    tags: tuple[str, ...] = ()
    """Words to find the run by."""

    @property
    def layout(self) -> RunLayout:
        """Where the run's files are."""
        return RunLayout(self.run_dir, self.run_id)

    def command(self, module: str, *words: str) -> tuple[str, ...]:
        """Return the command line by which a module of reflow works on this run."""
        # -P keeps files in the working directory from shadowing reflow's modules.
        return (self.python, "-P", "-m", module, str(self.run_dir), self.run_id, *words)

    @cached_property
    def config(self) -> Config:
        """The configuration that the run was submitted with.

        It is read when first asked for. Workers, of which one starts for every element, do without
        it: that costs 10 ms, beside 68 for all else that they import.
        """
        from reflow.config.schema import Config

        return Config.from_dict(self.config_data)

    @property
    def files_mode(self) -> FilesMode:
        """How files count where a task does not say."""
        mode: FilesMode = self._of("cache", "files", "stat")
        return mode

    @property
    def ignored_files(self) -> tuple[str, ...]:
        """Patterns for files in folders that do not count."""
        return tuple(self._of("cache", "ignore", ()))

    @property
    def latency(self) -> float:
        """Seconds that a worker waits for files which its host does not see yet."""
        return float(self._of("files", "latency", 0))

    @property
    def store_files(self) -> tuple[str, ...]:
        """The manifest's database file, where it is one, which never counts."""
        path = self.store.partition("://")[2]
        return (path,) if path.startswith("/") else ()

    def _of(self, section: str, name: str, default: Any) -> Any:
        """Return a setting that workers need, without reading `config`."""
        return self.config_data.get(section, {}).get(name, default)

    def write(self) -> None:
        """Put the settings into the run directory."""
        data = {"format": FORMAT, **as_json(self)}
        data["config"] = data.pop("config_data")
        write_whole(self.layout.settings, json.dumps(data, indent=1).encode())


def read_settings(run_dir: Path, run_id: str) -> RunSettings:
    """Read a run's settings.

    Raises `NotFoundError` where the run directory has none, and `DamagedRunError` where they
    cannot be used.
    """
    path = RunLayout(run_dir, run_id).settings
    try:
        data = read_bytes(path)
    except OSError as error:
        raise unreadable(run_id, path, error) from error
    return parse_settings(path, data)


def unreadable(run_id: str, path: Path, error: OSError) -> NotFoundError:
    """Return the error for a run directory without settings."""
    return NotFoundError(
        f"the run directory of {run_id} cannot be read: {path}: {error.strerror}. "
        "Was it moved or removed, or is its file system not mounted here?"
    )


def parse_settings(path: Path, content: bytes) -> RunSettings:
    """Read back what `RunSettings.write` wrote. Raises `DamagedRunError`."""
    try:
        data = json.loads(content)
        version = data.pop("format")
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError) as error:
        raise DamagedRunError(f"{path} is damaged: it is not what reflow wrote") from error
    if version != FORMAT:
        raise DamagedRunError(f"{path} was written by another version of reflow")
    try:
        data["config_data"] = data.pop("config", {})
        return from_json(RunSettings, data)
    except (KeyError, TypeError, ValueError) as error:
        raise DamagedRunError(f"{path} is damaged: {error}") from error
