"""The contract of type rules."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from reflow.model.graph import WireMode


@dataclass(frozen=True, slots=True, kw_only=True)
class WireQuestion:
    """A step's result and the argument that is to receive it."""

    produced: Any
    """Return annotation of the upstream task, resolved; names of `type` statements, too."""
    producer_array: bool
    wanted: Any
    """Annotation of the argument, resolved likewise and without its marker."""
    consumer_array: bool
    broadcast: bool
    """`Result(broadcast=True)` was written."""
    several: bool
    """The argument names several steps, whose lists are concatenated."""


class TypeRule(Protocol):
    """Infers a wire mode from two types."""

    @property
    def name(self) -> str:
        """Shown by `describe()` where the rule decided."""
        ...

    @property
    def priority(self) -> int:
        """Higher is asked first; the built-in rules have 0."""
        ...

    def decide(self, question: WireQuestion) -> WireMode | None:
        """Return the mode, or None where the rule does not apply.

        Raises `DefinitionError` where the two types fit in more than one way.
        """
        ...
