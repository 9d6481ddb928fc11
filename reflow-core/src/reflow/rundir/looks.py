"""Looking at files by the rules of a run, in whatever mode a state was recorded.

The state of one place is asked for many times: by every element that has it as an argument, and by
every stored result that refers to it. `RunLooks` answers from its first look, with one cache for
each mode, until it is told that a task may have changed the place (`note_changes`) or to forget
everything.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from reflow.codecs.pickled import may_be_read
from reflow.fingerprint.files.fresh import asked
from reflow.fingerprint.files.look import Looks
from reflow.fingerprint.files.places import Surroundings
from reflow.fingerprint.files.states import Mode, State
from reflow.model.outcomes import HeldFile
from reflow.model.tasks import TaskSpec
from reflow.rundir.run_settings import RunSettings

if TYPE_CHECKING:
    from reflow.fingerprint.files.contents import Contents


class RunLooks:
    """Looks at each place once, until it is told to forget.

    `opening`, `at_most`, `progress` and `contents` are those of `Looks`.
    """

    def __init__(
        self,
        settings: RunSettings,
        *,
        opening: bool = False,
        at_most: int | None = None,
        progress: Callable[[int], None] | None = None,
        contents: Contents | None = None,
    ) -> None:
        self._settings = settings
        self._opening = opening
        self._at_most = at_most
        self.progress = progress
        self._contents = contents
        self._by_mode: dict[Mode, Looks] = {}
        self._changed: set[str] = set()
        self._statuses: dict[str, os.stat_result] = {}
        self._lost: set[str] = set()

    def state(self, place: str, mode: Mode) -> State:
        """Return the state of a place."""
        if self._changed:
            for looks in self._by_mode.values():
                looks.forget_around(self._changed)
            self._changed.clear()
        return self._in(mode).state(place)

    def now(self, state: State) -> State:
        """Look again at the place of a state."""
        return self._in(state.mode).anew(state.place)

    def wait_for(self, expected: State, seconds: float) -> State:
        """Look until a place is as expected, for at most that many seconds; return that look."""
        return self._in(expected.mode).wait_for(expected, seconds)

    def is_still(self, expected: State) -> bool:
        """Tell whether a place is as expected."""
        return self.state(expected.place, expected.mode).agrees_with(expected)

    def lose(self, path: str) -> None:
        """Count a file of values as gone from now on: a worker could not read it."""
        self._lost.add(path)

    def holds(self, file: HeldFile) -> bool:
        """Tell whether a file of values is long enough, and may be read by this user."""
        if file.path in self._lost:
            return False
        try:
            if self._size(file.path) < file.size:  # it may have grown since
                self._statuses[file.path] = asked(file.path)
            return self._size(file.path) >= file.size and may_be_read(file.path)
        except OSError:
            return False

    def was_written_to(self, file: HeldFile) -> bool:
        """Tell whether a file of values that is there was written to since they were stored."""
        return bool(file.written) and self._statuses[file.path].st_mtime_ns != file.written

    def _size(self, path: str) -> int:
        status = self._statuses.get(path)
        return -1 if status is None else status.st_size

    def note_changes(self, places: Iterable[str]) -> None:
        """Look anew at what a task may have written to, when next asked about it."""
        self._changed.update(places)

    def forget(self) -> None:
        """Look anew at everything."""
        self._changed.clear()
        self._statuses.clear()
        for looks in self._by_mode.values():
            looks.forget()

    def _in(self, mode: Mode) -> Looks:
        looks = self._by_mode.get(mode)
        if looks is None:
            settings = self._settings
            looks = self._by_mode[mode] = Looks(
                Surroundings(str(settings.working_directory), str(settings.run_dir), settings.home),
                mode=mode,
                ignore=settings.ignored_files,
                store_files=settings.store_files,
                opening=self._opening,
                at_most=self._at_most,
                progress=self.progress,
                contents=self._contents,
            )
        return looks


def files_mode(spec: TaskSpec, settings: RunSettings) -> Mode:
    """Return how files count that a task returns or is given as parameters."""
    return spec.files or settings.files_mode
