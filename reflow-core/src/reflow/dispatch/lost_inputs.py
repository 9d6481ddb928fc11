"""Inputs whose files are gone: what made them runs again.

Bytes of a value lie in a file, which somebody may have removed since the value was made or taken
from the cache, for instance to make room. The worker that finds this out is not to blame. Its
element waits again, and so does the one that made the value, which runs again at most `MOST` times;
how often it did is written beside the run, for the next dispatcher.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from reflow.dispatch.tracked_run import TrackedRun, TrackedTask
from reflow.fingerprint.files.fresh import asked
from reflow.model.records import Instance
from reflow.model.states import TaskState
from reflow.permissions import open_file
from reflow.rundir.file_states import Recorded
from reflow.rundir.looks import RunLooks

MOST = 2


@dataclass(frozen=True, slots=True)
class _Maker:
    """An element whose value lies in a file."""

    task: str
    index: int

    @property
    def line(self) -> str:
        """How it is noted."""
        return f"{self.task} {self.index}"


class LostInputs:
    """Has the makers of values run again whose files are gone."""

    def __init__(
        self, tracked: TrackedRun, notes: Path, looks: RunLooks, commit: Callable[[], None]
    ) -> None:
        """Write into the file `notes` what runs again; `commit` writes what was tracked."""
        self._tracked = tracked
        self._notes = notes
        self._looks = looks
        self._commit = commit
        self._handled: set[str] = set()
        self._made_again = False

    def recover(self, taker: Instance, path: str) -> bool:
        """Put back what made the value that lay in a file; return whether its taker may wait."""
        self._commit()  # results may be among what is not written yet
        self._looks.lose(path)
        task = self._tracked.tasks[taker.task]
        found = dict(self._makers(task, path))
        if not found:
            # It has been put back already; or it is there again, in this file or in another.
            return path in self._handled or _is_there(path)
        counts = self._counts()
        if any(counts[maker.line] >= MOST for maker in found):
            return False
        with open_file(self._notes, "a") as file:
            file.writelines(f"{maker.line}\n" for maker in found)
        for maker, paths in found.items():
            made = self._tracked.tasks[maker.task]
            self._tracked.renew(made, [made.instances[maker.index]])
            self._handled.update(paths)
        self._made_again = True
        self._commit()
        return True

    def take_made_again(self) -> bool:
        """Tell whether something was put back since this was asked: arguments are to be read anew.

        What its value was may stand in them.
        """
        made_again, self._made_again = self._made_again, False
        return made_again

    def forget(self) -> None:
        """Begin to count anew, as a user has asked for a retry."""
        self._handled.clear()
        self._notes.unlink(missing_ok=True)

    def _makers(self, task: TrackedTask, path: str) -> Iterator[tuple[_Maker, Sequence[str]]]:
        """Yield what made the values that lie in a file, with all files of each."""
        for step in sorted({edge.step for edge in task.edges}):
            instances = self._tracked.tasks[step].instances
            for index, _, paths in self._tracked.store.outputs(self._tracked.run_id, step):
                if paths is None or path not in paths:
                    continue
                held = dict(Recorded.parse(paths).held)
                if path in held and instances[index].state is TaskState.SUCCESS:
                    yield _Maker(step, index), tuple(held)

    def _counts(self) -> Counter[str]:
        with suppress(FileNotFoundError):
            return Counter(self._notes.read_text().splitlines())
        return Counter()


def _is_there(path: str) -> bool:
    try:
        return asked(path).st_size > 0
    except OSError:
        return False
