"""Which existing results are still valid.

A stored result is reusable when its identity (the task's code and arguments) is the wanted one, the
files that it refers to are in the state that was recorded, and the task's own check, if it has one,
accepts it. `Cache` asks these questions; `choice.py` decides which element gets which of the
results that pass. Where only reading a file's contents could tell, the result is offered as
touched, and the worker of the element compares the contents.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from reflow.codecs.codecs import Codecs
from reflow.codecs.stored_result import may_refer
from reflow.codecs.value_files import LONGEST_PACKED, FileReference, is_intact
from reflow.dispatch.choice import deal
from reflow.errors import StoredValueError
from reflow.execution.execute import load_tasks
from reflow.fingerprint.files.states import State
from reflow.model.canonical import loads
from reflow.model.lineage import kin_of, place_of
from reflow.model.records import StoredOutput, Taker
from reflow.model.tasks import TaskSpec
from reflow.rundir.file_states import Recorded
from reflow.rundir.graph_data import is_loaded
from reflow.rundir.looks import RunLooks, files_mode
from reflow.rundir.run_settings import RunSettings
from reflow.stores.contract import Store


class Cache:
    """Finds stored results that the elements of this run may use."""

    def __init__(
        self, store: Store, settings: RunSettings, codecs: Codecs, looks: RunLooks
    ) -> None:
        self._store = store
        self._settings = settings
        self._looks = looks
        self._codecs = codecs
        self._taker = _taker(settings)
        self._touched: set[int] = set()
        self._intact: dict[FileReference, bool] = {}
        self._loaded: Mapping[str, TaskSpec] | None = None

    def bypassed(self, spec: TaskSpec) -> bool:
        """Tell whether nothing may be reused for a task."""
        forced = self._settings.force or spec.name in self._settings.force_tasks
        return forced or not spec.cache

    def find(
        self,
        spec: TaskSpec,
        wanted: Sequence[tuple[int, str]],
        used: set[int],
        passed: dict[str, StoredOutput] | None = None,
    ) -> dict[int, StoredOutput]:
        """Find stored results for elements that are wanted by index and identity; by index.

        `used` are the keys of results that serve other elements of the run; found ones are added.
        `passed` is handed from one share of a task's elements to the next, as in `deal`.
        """
        if self.bypassed(spec):
            return {}

        def usable(output: StoredOutput) -> bool:
            return self._usable(spec, output)

        return deal(self._store, self._taker, wanted, used, usable, passed)

    def is_touched(self, output: StoredOutput) -> bool:
        """Tell whether a result serves only if its files are read and found to be the same."""
        return output.key in self._touched

    def _usable(self, spec: TaskSpec, found: StoredOutput) -> bool:
        if found.bound_dir is not None and found.bound_dir != str(self._settings.run_dir):
            return False
        if found.paths is not None and not self._as_recorded(spec, found.key, found.paths):
            return False
        verify = self._settings.verify
        if not verify and not self._was_written_to(found.paths):
            return True
        output = self._store.output(found.key)
        if may_refer(output) and not all(map(self._is_intact, self._codecs.files(loads(output)))):
            return False
        return not verify or spec.verify is None or self._verified(spec, output)

    def _was_written_to(self, paths: str | None) -> bool:
        """Tell whether files that bytes of a value lie in may hold something else by now."""
        if paths is None:
            return False
        return any(map(self._looks.was_written_to, Recorded.parse(paths).held))

    def _is_intact(self, file: FileReference) -> bool:
        """Tell whether the file that bytes of a value lie in holds what was stored.

        Without `--verify` what is long is read only where the file was written to since, as in
        workers; and once, however many results it serves.
        """
        known = self._intact.get(file)
        if known is None:
            known = is_intact(file, check=self._settings.verify)
            if file.length > LONGEST_PACKED:
                self._intact[file] = known
        return known

    def _as_recorded(self, spec: TaskSpec, key: int, paths: str) -> bool:
        """Tell whether all files of a result are in their recorded state, by the task's mode.

        Where only their contents can tell, the answer holds unless reading them shows otherwise.
        """
        try:
            recorded = Recorded.parse(paths)
        except StoredValueError:
            return False
        here = str(self._settings.working_directory)
        if recorded.working_directory not in (None, here):
            # Relative paths mean other places in this process.
            return False
        mode = files_mode(spec, self._settings)
        if any(state.mode != mode for state in recorded.states):
            return False
        if not all(map(self._looks.is_still, recorded.shared)):
            return False
        if not all(map(self._looks.holds, recorded.held)):
            return False
        others = [state for state in recorded.states if not self._is_surely(state)]
        if others:
            self._touched.add(key)
        else:
            self._touched.discard(key)
        return all(self._looks.state(state.place, mode).may_agree_with(state) for state in others)

    def _is_surely(self, recorded: State) -> bool:
        """Tell whether a place is as recorded and no contents need be read to know it."""
        if recorded.has_contents and self._settings.verify:
            return False
        return self._looks.is_still(recorded)

    def _verified(self, spec: TaskSpec, output: str) -> bool:
        """Tell whether the task's own check accepts a result; a check that raises does not.

        A result that cannot be read any more is not accepted either.
        """
        files = self._settings.layout.files
        try:
            spec = self._with_functions(spec)
            assert spec.verify is not None
            value: Any = self._codecs.decode(loads(output), spec.returns, files)
            return bool(spec.verify(value))
        except Exception:
            return False

    def _with_functions(self, spec: TaskSpec) -> TaskSpec:
        """Return a task as its flow defines it. Raises `FlowImportError` without the flow."""
        if is_loaded(spec):
            return spec
        if self._loaded is None:
            self._loaded = load_tasks(self._settings)
        return self._loaded[spec.name]


def _taker(settings: RunSettings) -> Taker:
    """Return the run as a `Taker`, which looks for results to reuse."""
    everybody = settings.config.store.share == "all"
    return Taker(
        workflow=settings.workflow,
        place=place_of(settings.lineage),
        uid=None if everybody else os.geteuid(),
        kin=kin_of(settings.lineage, settings.run_id),
    )
