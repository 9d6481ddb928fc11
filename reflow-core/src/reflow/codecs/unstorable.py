"""The error for a value, or a part of one, that cannot be stored."""

from __future__ import annotations

from reflow.errors import UnstorableValueError

_LONGEST_KEY = 60


class UnstorablePartError(UnstorableValueError):
    """Names what cannot be stored, where in the value it is, and what to do about it."""

    def __init__(self, what: str, advice: str = "") -> None:
        super().__init__(what)
        self._what = what
        self._advice = advice
        self._steps: list[str] = []

    def inside(self, step: str) -> UnstorablePartError:
        """Return the error one level further out: `step` leads from there to the part."""
        self._steps.append(step)
        return self

    def of_whole(self, kind: type) -> UnstorablePartError:
        """Return the error for a value of this class, of which the author knows no such part."""
        return UnstorablePartError(f"a value of type {type_name(kind)}", self._advice)

    def __str__(self) -> str:
        where = f" in {''.join(reversed(self._steps))}" if self._steps else ""
        advice = f"; {self._advice}" if self._advice else ""
        return f"cannot store {self._what}{where}{advice}"


def step(key: object) -> str:
    """Return the expression that leads from a container to the part under that key."""
    shown = repr(key)
    if len(shown) > _LONGEST_KEY:
        shown = shown[:_LONGEST_KEY] + "..."
    return f"[{shown}]"


def type_name(kind: type) -> str:
    """Return the name of a class as users know it: `dict`, `numpy.float64`."""
    if kind.__module__ in ("builtins", "__main__", "__mp_main__"):  # a script, here and in workers
        return kind.__qualname__
    return f"{kind.__module__}.{kind.__qualname__}"
