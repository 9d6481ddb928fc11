"""Which results that exist already are still right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from reflow.engine.settings import RunSettings
from reflow.model.records import StoredOutput
from reflow.model.tasks import TaskSpec
from reflow.stores.contract import Store
from reflow.values.codecs import Codecs
from reflow.values.seal import changed_since, is_stale
from reflow.values.text import loads


class Cache:
    """Answers whether an identity has a result that this run may use."""

    def __init__(self, store: Store, settings: RunSettings, codecs: Codecs) -> None:
        self._store = store
        self._settings = settings
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
        checked = self._settings.verify and spec.verify is not None
        if found.paths is None and not checked:
            return True
        output = self._store.output(found.key)
        if found.paths is not None:
            if is_stale(found.paths, output, self._codecs):
                return False
            if self._settings.verify and changed_since(found.paths, output, self._codecs):
                return False
        return not checked or self._verified(spec, output)

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
