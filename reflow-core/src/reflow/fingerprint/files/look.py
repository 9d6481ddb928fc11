"""Looking at places, each once, and telling their states."""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import replace
from typing import TYPE_CHECKING

from reflow.fingerprint.files import fresh, trees
from reflow.fingerprint.files.places import Surroundings, Way, Ways
from reflow.fingerprint.files.stamps import stamp_of
from reflow.fingerprint.files.states import Kind, Mode, State, digests_of_times

if TYPE_CHECKING:
    from reflow.fingerprint.files.contents import Contents

_ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG)
_FIRST_PAUSE, _LONGEST_PAUSE = 0.01, 0.5
"""Seconds between two looks at what is waited for."""
MANY = 1_000
"""Entries of a tree after which the file server is not asked for each: what its client knows of
them has to do."""


class Looks:
    """Looks at files and folders; each place once per object.

    `ignore` are patterns for entries of trees that do not count, `store_files` database files that
    do not either. The file server is asked rather than its client's cache, except for the entries
    of a tree after the first `MANY`; with `opening`, files are also opened for that. Trees of more
    than `at_most` entries are not walked to the end: their state is `large`. `progress` is called
    often, with the entries of a tree so far. Where contents count, `contents` reads them; without
    it, a state says only whether they may differ.
    """

    def __init__(
        self,
        surroundings: Surroundings,
        *,
        mode: Mode = "stat",
        ignore: Sequence[str] = (),
        store_files: Sequence[str] = (),
        opening: bool = False,
        at_most: int | None = None,
        progress: Callable[[int], None] | None = None,
        contents: Contents | None = None,
    ) -> None:
        self._look_closely = fresh.opened if opening else fresh.asked
        self._ways = Ways(surroundings, self._look_closely)
        self._mode: Mode = mode
        self._uncounted = trees.Uncounted(ignore, store_files)
        self._at_most = at_most
        self._progress = progress
        self._contents = contents
        self._known: dict[str, State] = {}

    def state(self, place: str) -> State:
        """Return the state of a place, as seen when it was first asked for."""
        state = self._known.get(place)
        if state is None:
            state = self._known[place] = self._look(place)
        return state

    def anew(self, place: str) -> State:
        """Look again, at the links on the way too."""
        self._ways.forget()
        self._known.pop(place, None)
        return self.state(place)

    def forget(self) -> None:
        """Look anew at everything from now on."""
        self._ways.forget()
        self._known.clear()

    def forget_around(self, places: Set[str]) -> None:
        """Look anew at these places, and at what is above or below one of them."""
        above = {folder for place in places for folder in _folders_above(place)}
        self._ways.forget()
        for known in list(self._known):
            if known in above or known in places or not places.isdisjoint(_folders_above(known)):
                del self._known[known]

    def wait_for(self, expected: State, latency: float) -> State:
        """Look until a place is as expected, for up to `latency` seconds; return that look."""
        until = time.monotonic() + latency
        pause = _FIRST_PAUSE
        state = self.state(expected.place)
        while not state.agrees_with(expected) and (left := until - time.monotonic()) > 0:
            time.sleep(min(pause, left))
            pause = min(2 * pause, _LONGEST_PAUSE)
            state = self.anew(expected.place)
        return state

    def _look(self, place: str) -> State:
        way = self._ways.to(place)
        try:
            return self._at(place, way)
        except trees.TooManyEntriesError:
            return self._unknown(place, way, "large", f"more than {self._at_most:,} entries")
        except OSError as error:
            if error.errno in _ABSENT:
                return State(place, self._mode, "missing", way.links)
            return self._unknown(place, way, "unreadable", _reason(error))
        except ValueError:  # no file has such a path
            return State(place, self._mode, "missing")

    def _unknown(self, place: str, way: Way, kind: Kind, reason: str) -> State:
        token = os.urandom(16).hex()  # equal to nothing
        return State(place, self._mode, kind, way.links, digest=token, reason=reason)

    def _at(self, place: str, way: Way) -> State:
        if way.error is not None:
            raise way.error
        status = way.status or self._look_closely(way.real)
        kind = stat.S_IFMT(status.st_mode)
        if kind == stat.S_IFLNK:
            raise OSError(errno.ESTALE, "it was replaced while it was looked at", way.real)
        if kind == stat.S_IFREG:
            return self._file(place, way, status)
        if kind != stat.S_IFDIR:
            return State(place, self._mode, "other", way.links, digest=f"{kind:o}")
        folder = State(place, self._mode, "folder", way.links)
        return folder if self._mode == "exists" else self._folder(folder, way.real)

    def _file(self, place: str, way: Way, status: os.stat_result) -> State:
        if self._mode == "exists":
            return State(place, self._mode, "file", way.links)
        state = State(
            place,
            self._mode,
            "file",
            way.links,
            size=status.st_size,
            newest=status.st_mtime_ns,
        )
        if self._mode == "stat":
            return state
        stamp = stamp_of([status])
        content = ""
        if self._contents is not None:
            content = self._contents.of_file(place, stamp, way.real)
        return replace(state, stamp=stamp, content=content)

    def _folder(self, unseen: State, path: str) -> State:
        found = _Found(path) if self._mode == "content" else None
        tree = self._walk(path, found)
        state = replace(
            unseen,
            entries=tree.entries,
            size=tree.size,
            newest=max(tree.times, default=None),
            digest=tree.digest,
        )
        if found is None:
            times, precision = digests_of_times(tree.times)
            return replace(state, times=times, precision=precision)
        stamp = found.stamp(tree.digest)
        content = ""
        if self._contents is not None:
            content = self._contents.of_tree(unseen.place, stamp, tree.digest, found.paths)
        return replace(state, stamp=stamp, content=content)

    def _look_at_each(self, names: Sequence[str], folder: int) -> list[os.stat_result]:
        return [self._look_closely(name, dir_fd=folder) for name in names]

    def _walk(self, path: str, found: _Found | None) -> trees.Tree:
        """Look closely at the entries of a tree, unless they are many."""
        return trees.walk(
            path,
            self._uncounted,
            look=self._look_at_each,
            few=MANY,
            seen=found,
            at_most=self._at_most,
            progress=self._progress,
        )


class _Found:
    """Collects paths and stamps of the files of a tree, for reading their contents."""

    def __init__(self, root: str) -> None:
        self._root = root
        self.paths: list[str] = []
        self._stamps: list[str] = []

    def __call__(self, relative: str, files: Mapping[str, os.stat_result]) -> None:
        """Collect the files of a folder."""
        self.paths += [f"{self._root}/{relative}{name}" for name in files]
        self._stamps.append(stamp_of(files.values()))

    def stamp(self, names: str) -> str:
        """Return one stamp of all files."""
        return stamp_of((), "".join([names, *self._stamps]))


def _folders_above(place: str) -> Iterator[str]:
    while place not in ("/", ""):
        place = place.rpartition("/")[0] or "/"
        yield place


def _reason(error: OSError) -> str:
    where = "" if error.filename is None else f": {str(error.filename)[:300]!r}"
    return f"{error.strerror}{where}"
