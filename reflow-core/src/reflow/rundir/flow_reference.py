"""Where a workflow is defined, for other processes that load it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowRef:
    """Where a workflow is defined. One of `path` and `module` is set."""

    workflow: str
    path: str | None = None
    """Absolute path of a flow file that was run as a script."""
    module: str | None = None
    """Name of a module that can be imported."""
    source: str
    """Absolute path of the file that defines it, whichever way it is loaded."""
    sys_path: tuple[str, ...] = ()
    """Where modules were looked for."""

    @property
    def file(self) -> Path:
        """The file that defines the workflow."""
        return Path(self.source)
