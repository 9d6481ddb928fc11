"""The files of a worker's elements: those that they are given, and those that they return.

A worker starts for every element, and most elements have no files: this module, and all that looks
at files, is loaded by the first that has some.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from reflow.execution.witness import States, Witness, note_of
from reflow.fingerprint.files.contents import Contents, OwnMemory
from reflow.fingerprint.files.states import State
from reflow.model.outcomes import HeldFile
from reflow.model.tasks import FilesMode, TaskSpec
from reflow.rundir.file_states import Recorded, places_in
from reflow.rundir.looks import RunLooks, files_mode
from reflow.rundir.run_settings import RunSettings


def confirmed(settings: RunSettings, candidate: str) -> str | None:
    """Compare the files of a stored result; return what is to be recorded if they are the same."""
    before = Recorded.parse(candidate)
    contents = Contents(OwnMemory())  # read here and now, without a memory of earlier reads
    looks = RunLooks(settings, contents=contents)
    now = replace(
        before,
        value=tuple(map(looks.now, before.value)),
        outputs=tuple(map(looks.now, before.outputs)),
    )
    same = all(a.agrees_with(b) for a, b in zip(now.states, before.states, strict=True))
    return now.text() if before.states and same else None


class ElementFiles:
    """Looks at the files of one element after the other."""

    def __init__(self, settings: RunSettings, task: TaskSpec) -> None:
        memory = OwnMemory()
        self._settings = settings
        self._task = task
        self._witness = Witness(settings, memory)
        self._looks = RunLooks(settings, opening=True, contents=Contents(memory))
        self._mode = files_mode(task, settings)

    def before(self, expected: States) -> None:
        """Look at the files that the element is given, before its function is called."""
        self._witness.before(expected)

    def changes(self) -> dict[str, Any]:
        """Return the result's fields about argument files that are not as recorded."""
        notes = [note_of(self._task, change) for change in self._witness.changes()]
        return {
            "inputs_changed": bool(notes),
            "notes": tuple({note.key: note.text for note in notes}.items()),
        }

    def recorded(
        self,
        returned: Sequence[str],
        own: Sequence[str],
        shared: Sequence[str],
        held: tuple[HeldFile, ...],
    ) -> str | None:
        """Return the text to be recorded of files that were returned or written to.

        Into `shared` other instances write as well; in `held` lie bytes of the value.
        """
        self._looks.forget()
        execution = os.urandom(16).hex()
        absolute = all(path.startswith("/") for path in (*returned, *own, *shared))
        return Recorded(
            tuple(state.as_made(execution) for state in self._states(returned, self._mode)),
            self._states(own, self._mode),
            None if absolute else str(self._settings.working_directory),
            self._states(shared, "exists"),
            held,
        ).text()

    def _states(self, paths: Sequence[str], mode: FilesMode) -> tuple[State, ...]:
        places = places_in(paths, self._settings.working_directory)
        return tuple(self._looks.state(place, mode) for place in places)
