"""The commands: which there are, and in which module of this package each is a function.

The function has the name of the command, or that which stands behind a colon.
"""

from __future__ import annotations

OF_RUNS: dict[str, str] = {
    "status": "runs",
    "cancel": "runs",
    "retry": "runs",
    "follow": "runs",
    "runs": "listing",
    "logs": "logs",
    "result": "result",
    "explain": "explain",
    "replay": "replay",
    "report": "reports",
    "trace": "reports",
    "usage": "cleaning",
    "clean": "cleaning",
    "rm": "cleaning",
    "invalidate": "cleaning",
}
"""Those about existing runs, which flow files have, too."""

OF_FLOWS: dict[str, str] = {"tune": "tune:tune_own", "dag": "drawing", "describe": "drawing"}
"""Those of flow files alone."""

OF_REFLOW: dict[str, str] = {
    "run": "flow_files",
    "submit": "flow_files",
    **OF_RUNS,
    "tune": "tune:tune_named",
    "plugins": "admin",
    "config": "admin",
    "doctor": "doctor",
}
"""Those of the program `reflow`, in the order in which help shows them."""
