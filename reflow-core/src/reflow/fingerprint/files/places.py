"""Where a file or folder is: the path as given, and the symbolic links on the way there.

A place is never resolved, so that two users' spellings of one file stay two places. Each link on
the way, and at the end, enters by its own text: a user who points `current` at other data has
changed what the path means. Links that belong to root and lie outside the user's folders are the
site's: they differ from host to host (automounters, `/scratch`), and do not count.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

_MOST_LINKS = 40
"""After as many links, Linux gives up as well: path_resolution(7)."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The folders whose links count as the user's, whichever user owns them; absolute paths."""

    working_directory: str
    run_dir: str
    home: str

    def folders(self) -> tuple[str, ...]:
        """Return the folders with their links resolved."""
        given = (self.working_directory, self.run_dir, self.home)
        return tuple({os.path.realpath(folder) for folder in given if folder})


@dataclass(frozen=True, slots=True)
class Way:
    """The way to a place: the links that were followed."""

    real: str
    """The path without links; where it cannot be reached, as far as it was followed."""
    spelt: str
    """The path by which links further on are named: the same on every host."""
    links: tuple[tuple[str, str], ...] = ()
    """Path, as spelt, and text of each link that counts, in the order they are met."""
    followed: int = 0
    """How many links there were, the site's too."""
    status: os.stat_result | None = None
    """Status of the place; None where it was not asked for, or cannot be reached."""
    error: OSError | ValueError | None = None
    """Why it cannot be reached; a `ValueError` where no file can have such a path."""


def place(text: str, working_directory: str) -> str:
    """Make a path absolute as given, without resolving links or `..`."""
    absolute = os.path.join(working_directory, text)  # noqa: PTH118
    if "/." in absolute or "//" in absolute or absolute.endswith("/"):
        return str(PurePosixPath(absolute))
    return absolute


class Ways:
    """Finds the ways to places; the folders on them are looked at once per object.

    `look` gives the status of a path without following a link at its end.
    """

    def __init__(
        self, surroundings: Surroundings, look: Callable[[str], os.stat_result] = os.lstat
    ) -> None:
        self._look = look
        self._users = surroundings.folders()
        self._root = Way("/", "/", status=os.stat("/"))  # noqa: PTH116
        self._folders: dict[str, Way] = {}

    def to(self, place: str) -> Way:
        """Follow every link on the way to a place, an absolute path."""
        folder, _, name = place.rpartition("/")
        return self._enter(self._to_folder(folder), name)

    def forget(self) -> None:
        """Look anew at every folder from now on."""
        self._folders.clear()

    def _to_folder(self, folder: str) -> Way:
        if not folder:
            return self._root
        way = self._folders.get(folder)
        if way is None:
            way = self._folders[folder] = self.to(folder)
        return way

    def _enter(self, way: Way, name: str) -> Way:
        """Follow one more name, and the link that it may be."""
        if way.error is not None or name in ("", "."):
            return way
        if name == "..":
            parent = os.path.dirname(way.real)  # noqa: PTH120
            return replace(way, real=parent, spelt=_join(way.spelt, ".."), status=None)
        path, spelt = _join(way.real, name), _join(way.spelt, name)
        try:
            status = self._look(path)
            if not stat.S_ISLNK(status.st_mode):
                return Way(path, spelt, way.links, way.followed, status)
            text = os.readlink(path)  # noqa: PTH115
            if way.followed == _MOST_LINKS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), spelt)
        except (OSError, ValueError) as error:
            return Way(path, spelt, way.links, way.followed, None, error)
        counts = status.st_uid != 0 or self._is_users(path)
        links = (*way.links, (spelt, text)) if counts else way.links
        start = self._root if text.startswith("/") else way
        target = replace(start, links=links, followed=way.followed + 1)
        for part in text.split("/"):
            target = self._enter(target, part)
        return replace(target, spelt=spelt)

    def _is_users(self, path: str) -> bool:
        return any(path == folder or path.startswith(folder + "/") for folder in self._users)


def _join(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder != "/" else f"/{name}"
