"""What the file system of a run directory can do, tried out when a run is made.

The protocol of a run rests on four things: a file can be replaced by another, a file can be created
only where there is none, data can be forced to the disk, and a hard link shows in a file's link
count. File systems that lack one of the first two cannot hold a run. Forcing is not tried here, as
the settings of every run are written so. Links are lacking on some file systems, and do not count
on others (sshfs reports 1 for every file); claims are made without them there.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from reflow.permissions import FILE_MODE
from reflow.rundir.claims import BY_CREATION, BY_LINK

_CREATE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL


class UnfitFileSystemError(OSError):
    """A file system lacks what every run needs."""


def probe(folder: Path) -> str:
    """Return how claims are to be made in a folder, by trying out its file system.

    Raises `UnfitFileSystemError` where no run can be kept there, and `OSError` where nothing can
    be written.
    """
    first, second = folder / f".probe-{os.getpid()}", folder / f".probe-{os.getpid()}-2"
    try:
        _create(first)
        if not _exists_already(first):
            raise _unfit("lets two processes create one file, so that elements would run twice")
        _create(second)
        _replace(second, first)
        return BY_LINK if _counts_links(first, second) else BY_CREATION
    finally:
        for path in (first, second):
            path.unlink(missing_ok=True)


def _create(path: Path) -> None:
    os.close(os.open(path, _CREATE, FILE_MODE))


def _exists_already(path: Path) -> bool:
    try:
        _create(path)
    except FileExistsError:
        return True
    return False


def _replace(source: Path, target: Path) -> None:
    try:
        source.replace(target)
    except OSError as error:
        raise _unfit(f"does not replace one file by another ({error.strerror})") from error


def _counts_links(path: Path, link: Path) -> bool:
    try:
        os.link(path, link)
    except OSError:
        return False
    return path.stat().st_nlink == 2 and link.stat().st_nlink == 2


def _unfit(lacks: str) -> UnfitFileSystemError:
    return UnfitFileSystemError(0, f"its file system {lacks}")
