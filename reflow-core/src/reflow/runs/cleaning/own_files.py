"""The files that reflow wrote for a run, and no others: measuring and removing them.

They are what lies below `.reflow/RUN` and `logs/RUN` in the run directory. Whatever else is there
is the user's. Folders are opened one in the other and no link is followed, so that nothing outside
is reached, even where a link takes the place of a folder meanwhile. The settings go last: they
prove whose run it is, so what an interrupted removal has left is removed by the next.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from reflow.errors import DamagedRunError
from reflow.rundir.layout import RunLayout

DEEPEST = 40
"""Folders below each other that are open at once; what lies deeper is moved up first."""
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_TAKEN = frozenset({"", ".", "..", "source", "latest"})
"""Names in `.reflow` and `logs` that are those of no run."""

Kept = Mapping[str, "Kept | None"]
"""What stays in a folder, by name; None for all of it."""


@dataclass(slots=True)
class Removal:
    """What a removal has done."""

    files: int = 0
    size: int = 0
    """Bytes that were freed on the disk."""
    left: list[str] = field(default_factory=list)
    """What could not be removed, and why."""


def kept_below(root: Path, paths: Iterable[str]) -> Kept:
    """Return what must stay below a folder so that some paths stay."""
    roots = {str(root), os.path.realpath(root)}
    kept: dict[str, Kept | None] = {}
    for path in paths:
        for start in roots:
            if path.startswith(f"{start}/"):
                _keep(kept, [name for name in path[len(start) :].split("/") if name])
    return kept


def _keep(kept: dict[str, Kept | None], names: list[str]) -> None:
    for name in names[:-1]:
        below = kept.setdefault(name, {})
        if below is None:
            return
        assert isinstance(below, dict)
        kept = below
    if names:
        kept[names[-1]] = None


def remove_files(
    layout: RunLayout, kept: Kept, alive: Callable[[], None] = lambda: None
) -> Removal:
    """Remove the files of a run, except those to be kept, for which the settings stay, too.

    `alive` is called now and then. Raises `DamagedRunError` for an id that no run can have, and
    `OSError` where the run directory cannot be opened.
    """
    if layout.run_id in _TAKEN or "/" in layout.run_id or "\0" in layout.run_id:
        raise DamagedRunError(f"{layout.run_id!r} is no id of a run")
    removal = Removal()
    with _opened(str(layout.run_dir), None, follow=True) as run_dir:
        remover = _Remover(removal, alive)
        with _opened("logs", run_dir, removal, layout.run_dir) as logs:
            if logs is not None:
                remover.remove(logs, layout.run_id, layout.logs)
                _remove_latest(logs, layout.run_id)
        with _opened(".reflow", run_dir, removal, layout.run_dir) as own:
            if own is not None:
                name = layout.settings.name
                remover.remove(own, layout.run_id, layout.root, {**kept, name: None})
                if not kept and not removal.left:
                    _remove_settings(own, layout, removal)
        for name in ("logs", ".reflow"):
            with suppress(OSError):
                os.rmdir(name, dir_fd=run_dir)
    if layout.run_dir.name == layout.run_id:
        # A run directory that reflow chose itself; it stays where the user's files are in it.
        with suppress(OSError):
            layout.run_dir.rmdir()
    return removal


def _remove_latest(logs: int, run_id: str) -> None:
    with suppress(OSError):
        if os.readlink("latest", dir_fd=logs) == run_id:
            os.unlink("latest", dir_fd=logs)


def _remove_settings(own: int, layout: RunLayout, removal: Removal) -> None:
    try:
        folder = os.open(layout.run_id, _FOLDER, dir_fd=own)
    except FileNotFoundError:
        return
    try:
        with suppress(FileNotFoundError):
            os.unlink(layout.settings.name, dir_fd=folder)
            removal.files += 1
    finally:
        os.close(folder)
    try:
        os.rmdir(layout.run_id, dir_fd=own)
    except OSError as error:
        removal.left.append(_told(layout.root, error))


@contextmanager
def _opened(
    name: str,
    folder: int | None,
    removal: Removal | None = None,
    where: Path | None = None,
    *,
    follow: bool = False,
) -> Iterator[int]:
    """Open a folder; yield None, noting why, where it cannot be, and is asked for in another."""
    try:
        descriptor = os.open(name, _FOLDER & ~os.O_NOFOLLOW if follow else _FOLDER, dir_fd=folder)
    except OSError as error:
        if removal is None or where is None:
            raise
        if error.errno != errno.ENOENT:
            removal.left.append(_told(where / name, error))
        yield None  # type: ignore[misc]
        return
    try:
        yield descriptor
    finally:
        os.close(descriptor)


class _Remover:
    """Removes trees."""

    def __init__(self, removal: Removal, alive: Callable[[], None]) -> None:
        self._removal = removal
        self._alive = alive
        self._device = 0
        self._top = -1
        self._moved = 0

    def remove(self, parent: int, name: str, where: Path, kept: Kept | None = None) -> None:
        """Remove what lies in a folder, and the folder, as far as nothing is to be kept."""
        try:
            self._top = os.open(name, _FOLDER, dir_fd=parent)
        except FileNotFoundError:
            return
        except OSError as error:
            self._removal.left.append(_told(where, error))
            return
        try:
            status = os.fstat(self._top)
            if status.st_uid != os.geteuid():
                self._removal.left.append(f"{where}: it belongs to another user")
                return
            self._device = status.st_dev
            # What lay too deep stands on top afterwards, and is gone through anew.
            moved = -1
            while moved != self._moved:
                moved = self._moved
                self._empty(self._top, where, kept or {}, 0)
        finally:
            os.close(self._top)
        if not kept:
            self._rmdir(parent, name, where)

    def _empty(self, folder: int, where: Path, kept: Kept, depth: int) -> None:
        with os.scandir(folder) as entries:
            names = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
        for number, (name, is_folder) in enumerate(names):
            if number % 500 == 0:
                self._alive()
            if name in kept and (kept[name] is None or depth >= DEEPEST):
                continue
            if is_folder:
                self._remove_folder(folder, name, where / name, kept.get(name), depth)
            else:
                self._unlink(folder, name, where / name)

    def _remove_folder(
        self, parent: int, name: str, where: Path, kept: Kept | None, depth: int
    ) -> None:
        try:
            folder = self._enter(parent, name)
            if folder is None:
                self._removal.left.append(f"{where}: it is on another file system")
                return
        except FileNotFoundError:
            return
        except OSError as error:
            self._removal.left.append(_told(where, error))
            return
        try:
            if depth >= DEEPEST:
                self._move_up(parent, name, where)
                return
            self._empty(folder, where, kept or {}, depth + 1)
        finally:
            os.close(folder)
        if not kept:
            self._rmdir(parent, name, where)

    def _enter(self, parent: int, name: str) -> int | None:
        """Open a folder, and give its owner back what a task took away; None on another device."""
        folder = os.open(name, _FOLDER, dir_fd=parent)
        status = os.fstat(folder)
        if status.st_dev != self._device:
            os.close(folder)
            return None
        if status.st_mode & stat.S_IRWXU != stat.S_IRWXU:
            with suppress(OSError):
                os.fchmod(folder, stat.S_IMODE(status.st_mode) | stat.S_IRWXU)
        return folder

    def _move_up(self, parent: int, name: str, where: Path) -> None:
        self._moved += 1
        try:
            os.rename(
                name, f".deep-{os.getpid()}-{self._moved}", src_dir_fd=parent, dst_dir_fd=self._top
            )
        except OSError as error:
            self._moved -= 1
            self._removal.left.append(_told(where, error))

    def _unlink(self, parent: int, name: str, where: Path) -> None:
        try:
            status = os.stat(name, dir_fd=parent, follow_symlinks=False)
            os.unlink(name, dir_fd=parent)
        except FileNotFoundError:
            return
        except OSError as error:
            self._removal.left.append(_told(where, error))
            return
        self._removal.files += 1
        if status.st_nlink <= 1:  # by other names the content is still there
            self._removal.size += status.st_blocks * 512

    def _rmdir(self, parent: int, name: str, where: Path) -> None:
        try:
            os.rmdir(name, dir_fd=parent)
        except FileNotFoundError:
            return
        except OSError as error:
            # Where something in it is left, that has been told.
            if not self._removal.left:
                self._removal.left.append(_told(where, error))


def _told(place: Path, error: OSError) -> str:
    if error.errno in (errno.ELOOP, errno.ENOTDIR):
        return f"{place}: it is no folder but a link or a file"
    return f"{place}: {error.strerror}"
