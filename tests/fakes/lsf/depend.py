"""LSF's `-w`: dependency conditions and what becomes of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum

from reflow.testing.fakes.model import Job, Phase, Task


class Met(Enum):
    """Whether a condition is met."""

    NOT_YET = 0
    YES = 1
    NEVER = 2


class SyntaxProblem(Exception):  # noqa: N818 (an answer, not a failure of ours)
    """The condition cannot be read."""


class NoSuchJob(Exception):  # noqa: N818
    """The condition names a job that is not known."""


class SizesDiffer(Exception):  # noqa: N818
    """An element-wise condition on an array of another size."""


Find = Callable[[str], Job | None]
"""Finds a job by its number or its quoted name."""


@dataclass(frozen=True)
class Atom:
    """`done(205)`, `exit(205[3],7)`, `ended("name")`, `done(205[*])`."""

    word: str
    job: Job
    index: int | None = None
    each: bool = False
    operator: str = ""
    """Of `exit(ID, > 3)` or `numdone(ID, >= 2)`."""
    number: int | None = None
    """None for every one of an array."""

    def look(self, index: int | None) -> Met:
        """How it stands, for one element of the job that waits."""
        tasks = self.job.present
        wanted = index if self.each else self.index
        if wanted is not None:
            tasks = [task for task in tasks if task.index == wanted]
        if self.word.startswith("num"):
            return self._counted(tasks)
        if self.word == "started":
            return (
                Met.YES if all(task.phase is not Phase.PENDING for task in tasks) else Met.NOT_YET
            )
        if any(task.phase is not Phase.OVER for task in tasks):
            return Met.NOT_YET
        return Met.YES if all(self._agrees(task) for task in tasks) else Met.NEVER

    def _agrees(self, task: Task) -> bool:
        if self.word == "ended":
            return True
        good = task.run is not None and task.run.status == 0
        if self.word == "done":
            return good
        code = 0 if task.run is None else task.run.code
        return not good and (self.number is None or _compares(code, self.operator, self.number))

    def _counted(self, tasks: Sequence[Task]) -> Met:
        over = [task for task in tasks if task.phase is Phase.OVER]
        good = [task for task in over if task.run is not None and task.run.status == 0]
        chosen = {"numdone": good, "numended": over}.get(
            self.word, [task for task in over if task not in good]
        )
        if self.number is None:
            if len(chosen) == len(tasks):
                return Met.YES
        elif _compares(len(chosen), self.operator, self.number):
            return Met.YES
        return Met.NEVER if len(over) == len(tasks) else Met.NOT_YET


def _compares(value: int, operator: str, number: int) -> bool:
    return {
        "": value == number,
        "==": value == number,
        "!=": value != number,
        ">": value > number,
        ">=": value >= number,
        "<": value < number,
        "<=": value <= number,
    }[operator]


@dataclass(frozen=True)
class Not:
    """`!condition`."""

    inner: Condition

    def look(self, index: int | None) -> Met:
        """How it stands."""
        met = self.inner.look(index)
        return {Met.YES: Met.NOT_YET, Met.NOT_YET: Met.YES, Met.NEVER: Met.YES}[met]


@dataclass(frozen=True)
class All:
    """Conditions joined by `&&`."""

    parts: tuple[Condition, ...]

    def look(self, index: int | None) -> Met:
        """How they stand together."""
        states = [part.look(index) for part in self.parts]
        if Met.NEVER in states:
            return Met.NEVER
        return Met.YES if all(state is Met.YES for state in states) else Met.NOT_YET


@dataclass(frozen=True)
class Any:
    """Conditions joined by `||`."""

    parts: tuple[Condition, ...]

    def look(self, index: int | None) -> Met:
        """How they stand together."""
        states = [part.look(index) for part in self.parts]
        if Met.YES in states:
            return Met.YES
        return Met.NEVER if all(state is Met.NEVER for state in states) else Met.NOT_YET


Condition = Atom | Not | All | Any
_TOKEN = re.compile(r'\s*(&&|\|\||[!(),\[\]*]|>=|<=|==|!=|>|<|"[^"]*"|[\w.-]+)')
_WORDS = ("done", "ended", "exit", "started", "numdone", "numended", "numexit")


def parse(text: str, find: Find, size: int | None) -> Condition:
    """Read a condition. `size` is the number of elements of the job that is to wait.

    Raises `SyntaxProblem`, `NoSuchJob` and `SizesDiffer`.
    """
    return _Parser(text, find, size).whole()


class _Parser:
    def __init__(self, text: str, find: Find, size: int | None) -> None:
        self._tokens: list[str] = []
        at = 0
        while text[at:].strip():
            match = _TOKEN.match(text, at)
            if match is None:
                raise SyntaxProblem
            self._tokens.append(match[1])
            at = match.end()
        self._find = find
        self._size = size

    def whole(self) -> Condition:
        """Everything."""
        found = self._either()
        if self._tokens:
            raise SyntaxProblem
        return found

    def _next(self, *wanted: str) -> str:
        if not self._tokens or (wanted and self._tokens[0] not in wanted):
            raise SyntaxProblem
        return self._tokens.pop(0)

    def _peek(self) -> str:
        return self._tokens[0] if self._tokens else ""

    def _either(self) -> Condition:
        parts = [self._both()]
        while self._peek() == "||":
            self._next()
            parts.append(self._both())
        return parts[0] if len(parts) == 1 else Any(tuple(parts))

    def _both(self) -> Condition:
        parts = [self._one()]
        while self._peek() == "&&":
            self._next()
            parts.append(self._one())
        return parts[0] if len(parts) == 1 else All(tuple(parts))

    def _one(self) -> Condition:
        if self._peek() == "!":
            self._next()
            return Not(self._one())
        if self._peek() == "(":
            self._next()
            found = self._either()
            self._next(")")
            return found
        word = self._next()
        if word not in _WORDS or self._peek() != "(":
            return self._target("done", word)
        self._next("(")
        found = self._target(word, self._next())
        self._next(")")
        return found

    def _target(self, word: str, name: str) -> Atom:
        if not re.fullmatch(r'[\w.-]+|"[^"]*"', name):
            raise SyntaxProblem
        job = self._find(name)
        if job is None:
            raise NoSuchJob(name.strip('"'))
        index, each = None, False
        if self._peek() == "[":
            self._next()
            inside = self._next()
            self._next("]")
            each = inside == "*"
            if not each and not inside.isdigit():
                raise SyntaxProblem
            index = None if each else int(inside)
        if each and self._size != (len(job.tasks) if job.is_array else None):
            raise SizesDiffer
        operator, number = "", None
        if self._peek() == ",":
            self._next()
            if self._peek() in (">", ">=", "<", "<=", "==", "!="):
                operator = self._next()
            value = self._next()
            if value != "*" and not value.isdigit():
                raise SyntaxProblem
            number = None if value == "*" else int(value)
        return Atom(word, job, index, each, operator, number)
