"""Which results that exist already are still right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from reflow.engine.looks import RunLooks, mode_of
from reflow.engine.recorded import Recorded
from reflow.engine.settings import RunSettings
from reflow.errors import StoredValueError
from reflow.model.records import StoredOutput
from reflow.model.tasks import TaskSpec
from reflow.stores.contract import Store
from reflow.values.codecs import Codecs
from reflow.values.text import loads


class Cache:
    """Answers whether an identity has a result that this run may use."""

    def __init__(
        self, store: Store, settings: RunSettings, codecs: Codecs, looks: RunLooks
    ) -> None:
        self._store = store
        self._settings = settings
        self._looks = looks
        self._codecs = codecs

    def bypassed(self, spec: TaskSpec) -> bool:
        """Whether nothing may be reused for a task."""
        forced = self._settings.force or spec.name in self._settings.force_tasks
        return forced or not spec.cache

    def find(self, spec: TaskSpec, identities: Sequence[str]) -> Mapping[str, StoredOutput]:
        """The newest usable result of each identity that has one."""
        if self.bypassed(spec):
            return {}
        usable = {}
        for identity, candidates in self._store.find_outputs(identities).items():
            for candidate in candidates:
                if self._usable(spec, candidate):
                    usable[identity] = candidate
                    break
        return usable

    def _usable(self, spec: TaskSpec, found: StoredOutput) -> bool:
        if found.bound_dir is not None and found.bound_dir != str(self._settings.run_dir):
            return False
        if found.paths is not None and not self._as_recorded(spec, found.paths):
            return False
        if not self._settings.verify or spec.verify is None:
            return True
        return self._verified(spec, self._store.output(found.key))

    def _as_recorded(self, spec: TaskSpec, paths: str) -> bool:
        """Whether all files of a result are in the state that was recorded, in the mode of now."""
        try:
            recorded = Recorded.parse(paths)
        except StoredValueError:
            return False
        here = str(self._settings.working_directory)
        if recorded.working_directory not in (None, here):
            # Relative paths lead elsewhere from here.
            return False
        mode = mode_of(spec, self._settings)
        return all(state.mode == mode and self._looks.is_still(state) for state in recorded.states)

    def _verified(self, spec: TaskSpec, output: str) -> bool:
        """Whether the task's own check accepts a result; one that raises does not.

        Nor is a result accepted that cannot be read any more.
        """
        assert spec.verify is not None
        files = self._settings.layout.files
        try:
            value: Any = self._codecs.decode(loads(output), spec.returns, files)
            return bool(spec.verify(value))
        except Exception:
            return False
