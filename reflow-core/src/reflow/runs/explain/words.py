"""What an explanation is made of, as plain data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum


class Field(StrEnum):
    """What of an identity differs."""

    PARAMETER = "parameter"
    """A value that the user gave."""
    DEFINITION = "definition"
    """The text of a function, class, constant or module."""
    VALUE = "value"
    """A value that was made at import, or that a function was given when it was made."""
    VERSION = "version"
    """The version that the author gave."""
    CODE = "code"
    """The source, where nothing says what of it."""
    UPSTREAM = "upstream"
    """A value that an earlier step returned."""
    FILE = "file"
    """A file or folder that an argument refers to."""
    MISSING = "missing"
    """Which elements of an earlier step did not succeed, where that is allowed."""
    AFTER = "after"
    """Which executions of a step that the task only comes after serve the run."""
    ARGUMENT = "argument"
    """An argument that the task did not have, or has no more; or one that counts otherwise."""


class Reason(StrEnum):
    """Why an element ran or did not."""

    CACHED = "cached"
    FORCED = "forced"
    NOT_CACHED = "not cached"
    """The task says `cache=False`."""
    FIRST = "first"
    """No earlier run has an element like it."""
    DIFFERS = "differs"
    RETRIED = "retried"
    """It had succeeded in the same run, and its result was given up."""
    NO_RESULT = "no result"
    """The earlier element was the same, and has no result."""
    NOT_REUSABLE = "not reusable"
    """The earlier element was the same, and its result may not be used, or not here."""
    FILES = "files"
    """The earlier element was the same, and files of its result are not as recorded."""
    USED = "used"
    """The earlier element was the same, and its result serves another element of the run."""
    UNKNOWN = "unknown"
    """What is left of the runs does not say."""
    WAITS = "waits"
    """Its inputs are not known yet, or never will be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One thing by which two identities differ."""

    field: Field
    name: str
    """What differs: a parameter, a definition, a step, a path, an argument."""
    argument: str = ""
    """The argument that it reaches the function by, where it does."""
    file: str = ""
    """The file that a definition or value is in."""
    old: str = ""
    new: str = ""
    detail: str = ""
    """What else is to say, in a few words."""
    elements: tuple[int, ...] = ()
    """Of a step, which elements; at most `MOST_NAMED` of them."""
    count: int = 0
    """How many elements of the step."""
    diff: tuple[str, ...] = ()
    """Of a definition, a unified diff of its text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Earlier:
    """The element of an earlier run that an element is compared with, or has its result from."""

    run_id: str
    task: str
    index: int | None
    """None where many elements of that run are meant."""
    state: str
    created_at: str
    """When its run was started."""
    user: str = ""
    """Whose run it is, where that is another user."""
    host: str = ""
    started_at: str = ""
    seconds: float | None = None
    """How long it took."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Why one element, or a group of elements of one task, ran or came from the cache."""

    reason: Reason
    text: str = ""
    """Why, where the reason alone does not say it."""
    earlier: Earlier | None = None
    differences: Sequence[Difference] = ()
    notes: Sequence[str] = ()
    """What could not be found out, and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Elements of one task that have the same explanation."""

    elements: Sequence[int] = ()
    """Their indexes; of those from the cache only some."""
    count: int = 0
    explanation: Explanation = field(default_factory=lambda: Explanation(reason=Reason.UNKNOWN))


MOST_NAMED = 1_000
"""Elements that an explanation names, at most."""
