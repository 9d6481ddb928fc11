"""What the author of an executor supplies, whichever tier."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from reflow.executors.contract import Executor


class ExecutorKit:
    """What all classes of tests here build on."""

    executor_class: ClassVar[type[Any]]
    """The class under test."""
    settings: ClassVar[Mapping[str, Any]] = {}
    """Keyword arguments for it."""

    def make_executor(self, **changes: Any) -> Executor:
        """A new executor. `changes` are settings that a test needs to be otherwise."""
        executor: Executor = self.executor_class(**{**self.settings, **changes})
        return executor
