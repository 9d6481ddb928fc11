"""What a task is made of, piece by piece."""

from __future__ import annotations

from dataclasses import dataclass

from reflow.model.secrets import shown_text


@dataclass(frozen=True, slots=True)
class Definition:
    """A function, class, constant or module in a task's fingerprint."""

    file: str
    name: str
    kind: str
    digest: str


@dataclass(frozen=True, slots=True)
class Value:
    """A top-level name whose value is in a task's fingerprint."""

    file: str
    name: str
    digest: str
    shown: str
    statements: str
    """Digest of what makes the value."""

    @property
    def told(self) -> str:
        """The value as users are shown it: not, where it is a secret."""
        return shown_text(self.name, self.shown)


@dataclass(frozen=True, slots=True)
class Given:
    """A value that a function was given when it was made: closed over, bound, a default."""

    name: str
    digest: str
    shown: str
    file: str = ""
    """Empty for the task's own function; else the file of the module that holds the function."""
    function: str = ""
    """The top-level name of that function there."""

    @property
    def told(self) -> str:
        """The value as users are shown it: not, where it is a secret."""
        return shown_text(self.name, self.shown)


@dataclass(frozen=True, slots=True)
class TaskSource:
    """What a task is made of."""

    digest: str
    definitions: tuple[Definition, ...] = ()
    values: tuple[Value, ...] = ()
    given: tuple[Given, ...] = ()
