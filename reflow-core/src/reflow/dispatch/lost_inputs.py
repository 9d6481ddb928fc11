"""Inputs whose files are gone: what made them runs again.

Bytes of a value lie in a file, which somebody may have removed since the value was made or taken
from the cache, for instance to make room. The worker that finds this out is not to blame. Its
element waits again, and so does the one that made the value, which runs again at most `MOST` times;
how often it did is written beside the run, for the next dispatcher.

Some of those that took the value may have succeeded with the old one, and need not find the same
one now: a task may list files in another order. So before such a run ends, what was computed behind
the makers is compared with its arguments as they are by then, and computed anew where these differ.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from reflow.dispatch.arguments import TaskArguments
from reflow.dispatch.tracked_run import TrackedRun, TrackedTask
from reflow.fingerprint.files.fresh import asked
from reflow.model.records import Instance
from reflow.model.states import TaskState
from reflow.permissions import open_file
from reflow.rundir.file_states import Recorded
from reflow.rundir.files import write_whole
from reflow.rundir.looks import RunLooks

MOST = 2
_ONCE = -1
"""In place of an index: elements of the task were made again before the last retry."""


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
        """Begin to count anew, as a user has asked for a retry; which tasks it were is kept."""
        names = sorted({noted.task for noted in self._noted()})
        if names:
            write_whole(self._notes, "".join(f"{name} {_ONCE}\n" for name in names).encode())

    def renew_outdated(self, arguments_of: Callable[[TrackedTask], TaskArguments | None]) -> bool:
        """Put back what succeeded behind makers with other arguments; return whether there is any.

        `arguments_of` reads the arguments of a task; None where they do not fit together any more.
        """
        makers = {noted.task for noted in self._noted()}
        behind: set[str] = set()
        renewed = 0
        for task in self._tracked.tasks.values():  # in topological order
            if task.upstream & (makers | behind):
                behind.add(task.name)
                if task.tally[TaskState.SUCCESS] and self._has_inputs(task):
                    outdated = _outdated(task, arguments_of(task))
                    renewed += self._tracked.renew(task, outdated) if outdated else 0
        return bool(renewed)

    def _has_inputs(self, task: TrackedTask) -> bool:
        tasks = self._tracked.tasks
        return all(tasks[name].succeeded for name in task.whole_upstream) and all(
            tasks[name].ended and tasks[name].state is None for name in task.upstream
        )

    def _instance(self, maker: _Maker) -> Instance:
        return self._tracked.tasks[maker.task].instances[maker.index]

    def _makers(self, steps: Iterable[str], path: str) -> Iterator[tuple[_Maker, Sequence[str]]]:
        """Yield what made values of which a file is that one or gone, with the files of each."""
        for step in sorted(steps):
            for index, _, paths in self._tracked.store.outputs(self._tracked.run_id, step):
                maker, held = _Maker(step, index), Recorded.parse(paths).held
                files = tuple(file.path for file in held)
                if self._instance(maker).state is TaskState.SUCCESS and (
                    path in files or not all(_is_whole(file.path, file.size) for file in held)
                ):
                    yield maker, files

    def _counts(self) -> Counter[_Maker]:
        return Counter(noted for noted in self._noted() if noted.index != _ONCE)

    def _noted(self) -> list[_Maker]:
        with suppress(FileNotFoundError):
            words = (line.rsplit(" ", 1) for line in self._notes.read_text().splitlines())
            return [_Maker(task, int(index)) for task, index in words]
        return []


def _outdated(task: TrackedTask, arguments: TaskArguments | None) -> list[Instance]:
    """Return the elements that have succeeded with other arguments than they have now."""
    done = [item for item in task.instances if item.state is TaskState.SUCCESS]
    if arguments is None or arguments.size != task.size:
        return done
    now = ((item, arguments.identity_at(item.index)) for item in done)
    return [item for item, identity in now if identity not in (None, item.identity)]


def _is_whole(path: str, size: int) -> bool:
    try:
        return asked(path).st_size >= size
    except OSError:
        return False
