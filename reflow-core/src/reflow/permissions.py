"""Files and folders of reflow's own, which only their owner may write.

The mode of what users write follows their umask, whatever it is. What reflow writes follows it too,
but is at most `rw-r--r--` or `rwxr-xr-x`. So the mode is given wherever something is created: the
umask belongs to the whole process, and with it to the user.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import IO, Any

FILE_MODE = 0o644
FOLDER_MODE = 0o755


def make_folder(folder: Path, exist_ok: bool = True, within: Path | None = None) -> None:
    """Make a folder and those above it, except `within` and all above that. Raises `OSError`.

    A run directory that was removed or moved away is never made again by a job or a dispatcher: a
    user who moves it back would find another in its place.
    """
    try:
        folder.mkdir(FOLDER_MODE)
    except FileNotFoundError:
        if folder.parent in (folder, within):
            raise
        make_folder(folder.parent, within=within)
        # Some file systems keep reporting this for whatever is not there.
        make_folder(folder, exist_ok, within=folder.parent)
    except OSError:
        # Some file systems report missing permission before they report that it exists.
        if not (exist_ok and folder.is_dir()):
            raise


def open_file(path: Path, mode: str, **given: Any) -> IO[Any]:
    """Open a file as `open` does, creating it if it is not there. Raises `OSError`."""
    return open(path, mode, opener=_create, **given)


def touch(path: Path) -> None:
    """Create a file unless it is there. Raises `OSError`."""
    path.touch(FILE_MODE)


def current_umask() -> str:
    """Return the umask in octal digits; empty where the system does not tell.

    `os.umask` is not used: to read the umask it sets another for a moment, for all threads.
    """
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return ""
    found = re.search(r"^Umask:\s*(\d+)", status, re.MULTILINE)
    return found[1] if found else ""


def _create(path: str, flags: int) -> int:
    return os.open(path, flags, FILE_MODE)
