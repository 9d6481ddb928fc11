"""What is recorded of the files of a result: `Outcome.paths`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from reflow.errors import StoredValueError
from reflow.fingerprint.files.places import place
from reflow.fingerprint.files.states import State
from reflow.model.canonical import dumps, loads
from reflow.model.json import Json
from reflow.model.outcomes import HeldFile


@dataclass(frozen=True, slots=True)
class Recorded:
    """The states of a result's files when its task had ended."""

    value: tuple[State, ...] = ()
    """States of the files that the value refers to, in the order of `Codecs.references`."""
    outputs: tuple[State, ...] = ()
    """States of the places that the task was told to write to."""
    working_directory: str | None = None
    """Where relative paths among them start; None where there are none."""
    shared: tuple[State, ...] = ()
    """States of places where other instances write, too: only that these exist."""
    held: tuple[HeldFile, ...] = ()
    """The files that bytes of the value lie in."""

    @property
    def states(self) -> tuple[State, ...]:
        """All states that must be as recorded."""
        return self.value + self.outputs

    def text(self) -> str | None:
        """Return the JSON text; None where the result has no files."""
        if not self.states and not self.shared and not self.held:
            return None
        data: dict[str, Json] = {"value": states_as_json(self.value)}
        if self.outputs:
            data["outputs"] = states_as_json(self.outputs)
        if self.shared:
            data["shared"] = states_as_json(self.shared)
        if self.held:
            data["held"] = [list(each if each.written else each[:2]) for each in self.held]
        if self.working_directory is not None:
            data["working_directory"] = self.working_directory
        return dumps(data)

    @classmethod
    @lru_cache(maxsize=20_000)  # of an array: what its elements look for is read by their takers
    def parse(cls, text: str | None) -> Recorded:
        """Read `text` back. Raises `StoredValueError` for any other text."""
        if text is None:
            return cls()
        data = loads(text)
        if not isinstance(data, dict):
            raise StoredValueError("what was recorded of a result's files cannot be read")
        start = data.get("working_directory")
        return cls(
            states_from_json(data.get("value", [])),
            states_from_json(data.get("outputs", [])),
            None if start is None else str(start),
            states_from_json(data.get("shared", [])),
            _held_from_json(data.get("held", [])),
        )


def _held_from_json(data: Json) -> tuple[HeldFile, ...]:
    if not isinstance(data, list):
        raise StoredValueError("what was recorded of a value's files is no list")
    found = []
    for each in data:
        match each:
            case [str() as path, int() as size]:
                found.append(HeldFile(path, size))
            case [str() as path, int() as size, int() as written]:
                found.append(HeldFile(path, size, written))
            case _:
                raise StoredValueError("what was recorded of a value's file cannot be read")
    return tuple(found)


def places_in(paths: Iterable[str], working_directory: Path) -> list[str]:
    """Return the places of paths as a run's tasks see them."""
    start = str(working_directory)
    return [place(path, start) for path in paths]


def states_as_json(states: Iterable[State]) -> list[Json]:
    """Return states as JSON data."""
    return [state.as_json() for state in states]


def states_from_json(data: Json) -> tuple[State, ...]:
    """Read `states_as_json` back. Raises `StoredValueError`."""
    if not isinstance(data, list):
        raise StoredValueError("what was recorded of files is no list")
    return tuple(map(State.from_json, data)) if data else ()
