"""Where a workflow is defined, for other processes that load it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


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

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON-safe form."""
        return asdict(self) | {"sys_path": list(self.sys_path)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> FlowRef:
        """Read `as_dict` back."""
        return cls(**{**data, "sys_path": tuple(data["sys_path"])})
