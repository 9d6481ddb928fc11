"""What the author of an executor supplies for every tier."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import pytest

from reflow.executors.contract import Executor

_SUPPLIED = {
    "executor_class": "the class under test",
    "documented_states": "every state of the manual, and what it means",
    "submission_answers": "what the submit command prints for a job it has accepted, and its id",
    "complaints": "exit code and words of submissions that were not accepted, and what each means",
}


class ExecutorKit:
    """The base of all classes of tests here."""

    executor_class: ClassVar[type[Any]]
    """The class under test."""
    settings: ClassVar[Mapping[str, Any]] = {}
    """Keyword arguments of its constructor."""

    def make_executor(self, **changes: Any) -> Executor:
        """Make a new executor. `changes` are settings that a test needs to be otherwise."""
        executor: Executor = self.executor_class(**{**self.settings, **changes})
        return executor

    def __getattr__(self, name: str) -> Any:
        # Python calls it for attributes that are missing.
        if name in _SUPPLIED:
            pytest.fail(f"{type(self).__name__} must say {name}: {_SUPPLIED[name]}", pytrace=False)
        raise AttributeError(f"{type(self).__name__!r} has no attribute {name!r}")
