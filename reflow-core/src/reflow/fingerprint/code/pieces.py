"""The pieces of code that a task may use, each described once, and the references between them.

The pieces of a single task are found by walking from its function. Two things are known only then:
which names the functions on the way change, so that these are state and enter by the statements
that make them, not by the value that they happen to have; and what the task ignores.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from reflow.fingerprint.code.plain import PlainValue
from reflow.model.canonical import digest, dumps
from reflow.model.json import Json


class Ref(int):
    """The number of another piece, in a description."""


@dataclass(frozen=True, slots=True)
class Label:
    """The name of a piece in messages to users."""

    file: Path
    name: str
    """Empty for the whole file."""
    kind: str
    """`function`, `class`, `constant`, `module`, or `compiled` for a module without source."""


@dataclass(slots=True)
class Piece:
    """A function, class, constant or module."""

    description: Json = None
    label: Label | None = None
    value: PlainValue | None = None
    """The value that it had when it was described, where that is plain data."""
    classes: list[Json] = field(default_factory=list)
    """Where the classes in the value lead."""
    is_memory: bool = False
    """Functions of its own file change it."""
    changes: list[tuple[Json, tuple[str, ...]]] = field(default_factory=list)
    """Where the names lead that its functions change, and the attributes then taken from them."""
    parts: dict[str, Ref] = field(default_factory=dict)
    """Of a class or function, the values in it that were made at import."""
    defaults: set[str] = field(default_factory=set)
    """Names of those parts that are defaults of parameters."""
    given: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Of a function that was made at import, digest and text of what it was given, by name."""
    task: object = None
    """The task's function that it is, inside all wrappers; None for anything else."""


class Pieces:
    """All pieces reached so far, by number."""

    def __init__(self) -> None:
        self._pieces: list[Piece] = []
        self._numbers: dict[object, Ref] = {}
        self._waiting: list[tuple[Piece, Callable[[Piece], Json]]] = []

    def ref(self, key: object, describe: Callable[[Piece], Json]) -> Ref:
        """Return the number of a piece, which is described later if it is new."""
        if key not in self._numbers:
            self._numbers[key] = Ref(len(self._pieces))
            self._pieces.append(Piece())
            self._waiting.append((self._pieces[-1], describe))
        return self._numbers[key]

    def complete(self) -> None:
        """Describe every piece that was reached, and every piece those refer to."""
        while self._waiting:
            piece, describe = self._waiting.pop(0)
            piece.description = describe(piece)

    def walk(self, root: Json, task: object, ignored: Collection[str]) -> Walk:
        """Walk the pieces reached from a task's description, except for the ignored names."""
        return Walk(self._pieces, root, task, ignored)


class Walk:
    """The pieces that one task is made of, in an order that is the same in every process."""

    def __init__(
        self, pieces: list[Piece], root: Json, task: object, ignored: Collection[str]
    ) -> None:
        self._pieces = pieces
        self._task = task
        self._ignored = ignored
        self._memories = self._changed_on_the_way(_reached(root, self._by_statements))
        self._order = _reached(root, self._counted)
        places = {number: place for place, number in enumerate(self._order)}
        parts = [root, *map(self._counted, self._order)]
        self.digest = digest(dumps([_renumbered(part, places) for part in parts]))

    def _changed_on_the_way(self, reached: Collection[int]) -> set[int]:
        changed = {number for number in reached if self._pieces[number].is_memory}
        for number in reached:
            for target, attributes in self._pieces[number].changes:
                for other in _refs(target):
                    changed.add(other)
                    parts = self._pieces[other].parts
                    changed.update(parts[name] for name in attributes if name in parts)
        return changed

    def definitions(self) -> Iterator[tuple[Label, str]]:
        """Yield label and digest of every piece that enters by its text in the file."""
        for number in self._order:
            piece = self._pieces[number]
            if piece.label and self._by_value(number) is None and not self._is_ignored(piece):
                yield piece.label, _own_digest(self._by_statements(number))

    def values(self) -> Iterator[tuple[Label, PlainValue, str]]:
        """Yield label and value of pieces that enter by value, and a digest of their statements."""
        for number in self._order:
            piece, value = self._pieces[number], self._by_value(number)
            if piece.label is not None and value is not None:
                yield piece.label, value, _own_digest(piece.description)

    def given(self) -> Iterator[tuple[Label, str, str, str]]:
        """Yield label, name, digest and text of what functions on the way were given."""
        for number in self._order:
            piece = self._pieces[number]
            if piece.label is not None and not self._is_ignored(piece):
                for name, (found, shown) in piece.given.items():
                    yield piece.label, name, found, shown

    def _by_statements(self, number: int) -> Json:
        piece = self._pieces[number]
        if self._is_ignored(piece):
            return {"ignored": piece.label.name if piece.label else ""}
        if piece.parts and piece.task is self._task and isinstance(piece.description, dict):
            # Its defaults are defaults of parameters, and count as arguments.
            others = {
                name: each for name, each in piece.parts.items() if name not in piece.defaults
            }
            return {**piece.description, "parts": {**others}}
        return piece.description

    def _by_value(self, number: int) -> PlainValue | None:
        """Return the value by which a piece enters, if it does."""
        piece = self._pieces[number]
        return None if number in self._memories or self._is_ignored(piece) else piece.value

    def _counted(self, number: int) -> Json:
        value = self._by_value(number)
        if value is None:
            return self._by_statements(number)
        return {"value": value.digest, "of": self._pieces[number].classes}

    def _is_ignored(self, piece: Piece) -> bool:
        label = piece.label
        return label is not None and (
            label.name in self._ignored or f"{label.file.stem}.{label.name}" in self._ignored
        )


def _reached(root: Json, counted: Callable[[int], Json]) -> list[int]:
    found: dict[int, None] = {}
    waiting = deque(_refs(root))
    while waiting:
        number = waiting.popleft()
        if number not in found:
            found[number] = None
            waiting.extend(_refs(counted(number)))
    return list(found)


def _refs(description: Json) -> Iterator[Ref]:
    if isinstance(description, Ref):
        yield description
    elif isinstance(description, dict):
        for each in description.values():
            yield from _refs(each)
    elif isinstance(description, list):
        for each in description:
            yield from _refs(each)


def _renumbered(description: Json, places: dict[int, int]) -> Json:
    if isinstance(description, Ref):
        return places[description]
    if isinstance(description, dict):
        return {key: _renumbered(each, places) for key, each in description.items()}
    if isinstance(description, list):
        return [_renumbered(each, places) for each in description]
    return description


def _own_digest(description: Json) -> str:
    """Return the digest of a piece's own description, wherever its names lead."""
    return digest(dumps(_without_refs(description)))


def _without_refs(description: Json) -> Json:
    if isinstance(description, Ref):
        return 0
    if isinstance(description, dict):
        return {key: _without_refs(each) for key, each in description.items()}
    if isinstance(description, list):
        return [_without_refs(each) for each in description]
    return description
