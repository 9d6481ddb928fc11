"""Files and folders of reflow's own: nobody but their owner may ever write them.

What users write follows their umask, whatever it is. What reflow writes does so too, but is at
most `rw-r--r--` or `rwxr-xr-x`. So the mode is given wherever something is made: the umask belongs
to the whole process, and with it to the user.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import IO, Any

FILE_MODE = 0o644
FOLDER_MODE = 0o755


def make_folder(folder: Path, exist_ok: bool = True, within: Path | None = None) -> None:
    """Make a folder and those above it, but for `within` and all above that. Raises `OSError`.

    A run directory that was removed or moved away is never made again by a job or a dispatcher:
    whoever moves it back would find another in its place.
    """
    try:
        folder.mkdir(FOLDER_MODE)
    except FileNotFoundError:
        if folder.parent in (folder, within):
            raise
        make_folder(folder.parent, within=within)
        # Some file systems go on saying so of whatever is not there.
        make_folder(folder, exist_ok, within=folder.parent)
    except OSError:
        # That it is there some file systems say only after that nothing may be made in it.
        if not (exist_ok and folder.is_dir()):
            raise


def open_file(path: Path, mode: str, **given: Any) -> IO[Any]:
    """Open a file as `open` does, and make it if it is not there. Raises `OSError`."""
    return open(path, mode, opener=_create, **given)


def touch(path: Path) -> None:
    """Make a file unless it is there. Raises `OSError`."""
    path.touch(FILE_MODE)


def current_umask() -> str:
    """The umask of this process, in octal digits; empty where the system does not tell.

    Not by `os.umask`, which changes for a moment, and for all threads, what it reads.
    """
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return ""
    found = re.search(r"^Umask:\s*(\d+)", status, re.MULTILINE)
    return found[1] if found else ""


def _create(path: str, flags: int) -> int:
    return os.open(path, flags, FILE_MODE)
