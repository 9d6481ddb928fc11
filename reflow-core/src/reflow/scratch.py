"""A folder for what a task writes besides its result."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

_folder: str | None = None


def scratch_dir() -> Path:
    """Return a folder of this attempt's own, created on the first call; call it inside a task.

    What a task does besides returning its result may happen more than once: a job can be started
    again when its node dies. No other attempt sees the files in this folder, which stays in the
    run directory, under `.reflow`, until you remove it. Outside of a run, as in a test of the
    task's function, each call returns a new temporary folder.
    """
    from pathlib import Path

    if _folder is None:
        from tempfile import mkdtemp

        return Path(mkdtemp(prefix="reflow-"))
    from reflow.permissions import make_folder

    folder = Path(_folder)
    make_folder(folder, within=folder.parents[2])
    return folder


def enter(folder: str | None) -> None:
    """Set the attempt that this process runs from now on. For workers only."""
    global _folder
    _folder = folder
