"""Inputs whose files are gone: what made them runs again.

Bytes of a value lie in a file, which somebody may have removed since the value was made or taken
from the cache, for instance to make room. The worker that finds this out is not to blame. Its
element waits again, and so does the one that made the value, which runs again at most `MOST` times;
how often it did is written beside the run, for the next dispatcher.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from reflow.dispatch.tracked_run import TrackedRun
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
        self._handled: dict[str, _Maker] = {}
        """By file, what was put back as it had been gone."""
        self._made_again = False

    def recover(self, taker: Instance, path: str) -> bool:
        """Put back what made the value that lay in a file; return whether its taker may wait.

        Whoever removed one file may have removed others: what made the taker's task's other
        inputs is put back too where their files are gone.
        """
        maker = self._handled.get(path)
        if maker is not None and self._instance(maker).state is not TaskState.SUCCESS:
            return True
        self._commit()  # results may be among what is not written yet
        self._looks.lose(path)
        steps = {edge.step for edge in self._tracked.tasks[taker.task].edges}
        found = dict(self._makers(steps, path))
        counts = self._counts()
        if not any(path in held for held in found.values()):
            # An earlier dispatcher has put it back; or it is there again, or in another file.
            return _is_whole(path, 1) or any(noted.task in steps for noted in counts)
        if any(counts[maker] >= MOST for maker in found):
            return False
        with open_file(self._notes, "a") as file:
            file.writelines(f"{maker.task} {maker.index}\n" for maker in found)
        for maker, held in found.items():
            self._tracked.renew(self._tracked.tasks[maker.task], [self._instance(maker)])
            self._handled.update(dict.fromkeys(held, maker))
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
        self._notes.unlink(missing_ok=True)

    def _instance(self, maker: _Maker) -> Instance:
        return self._tracked.tasks[maker.task].instances[maker.index]

    def _makers(self, steps: Iterable[str], path: str) -> Iterator[tuple[_Maker, Sequence[str]]]:
        """Yield what made values of which a file is that one or gone, with the files of each."""
        for step in sorted(steps):
            for index, _, paths in self._tracked.store.outputs(self._tracked.run_id, step):
                maker, held = _Maker(step, index), dict(Recorded.parse(paths).held)
                if self._instance(maker).state is TaskState.SUCCESS and (
                    path in held or not all(_is_whole(*each) for each in held.items())
                ):
                    yield maker, tuple(held)

    def _counts(self) -> Counter[_Maker]:
        with suppress(FileNotFoundError):
            words = (line.rsplit(" ", 1) for line in self._notes.read_text().splitlines())
            return Counter(_Maker(task, int(index)) for task, index in words)
        return Counter()


def _is_whole(path: str, size: int) -> bool:
    try:
        return asked(path).st_size >= size
    except OSError:
        return False
