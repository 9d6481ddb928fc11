"""How a scheduler numbers the elements of an array."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

_RUN = re.compile(r"(?P<first>\d+)(?:-(?P<last>\d+))?(?::(?P<step>\d+))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrayStyle:
    """The numbering of an array's elements: indices count from `base`, positions from 0."""

    base: int
    variable: str
    """The environment variable that holds an element's index."""
    throttled: str | None = None
    """The syntax of a range with a limit: `{first}-{last}%{throttle}`; None where there is none."""
    element: str = "{job}[{indices}]"
    """The syntax of elements' ids: `24[3]`, and where several are cancelled `24[2-4]`."""

    def expression(self, size: int, throttle: int | None = None) -> str:
        """Write the range of indices of an array of that size."""
        first, last = self.base, self.base + size - 1
        if throttle is None or self.throttled is None:
            return f"{first}-{last}"
        return self.throttled.format(first=first, last=last, throttle=throttle)

    @property
    def position(self) -> str:
        """Shell words for an element's position."""
        return f'"$(({self.variable} - {self.base}))"' if self.base else f'"${self.variable}"'

    def index(self, position: int) -> int:
        """Return the scheduler's index of a position."""
        return position + self.base

    def element_ids(self, job: str, positions: Iterable[int]) -> Iterator[str]:
        """Yield the ids of elements, one for each range of consecutive positions."""
        for run in contiguous(map(self.index, positions)):
            indices = str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}"
            yield self.element.format(job=job, indices=indices)


def parse_indices(expression: str) -> list[range]:
    """Parse a scheduler's list of indices: `1-3,7`, `0-9:3`, `[2-9%4]`.

    Raises `ValueError` for one that was cut short (`2,3,5,...`) or is no list of indices: half
    a list would leave the other half unknown.
    """
    text = expression.strip("[]").partition("%")[0]
    runs = []
    for part in text.split(","):
        found = _RUN.fullmatch(part)
        if found is None:
            raise ValueError(f"{expression!r} is not a complete list of indices")
        first = int(found["first"])
        last = int(found["last"] or first)
        runs.append(range(first, last + 1, int(found["step"] or 1)))
    return runs


def contiguous(numbers: Iterable[int]) -> Iterator[range]:
    """Yield the same numbers as ranges without gaps, in ascending order."""
    start = end = None
    for number in sorted(set(numbers)):
        if start is None or end is None:
            start, end = number, number + 1
        elif number == end:
            end += 1
        else:
            yield range(start, end)
            start, end = number, number + 1
    if start is not None and end is not None:
        yield range(start, end)


def index_list(numbers: Iterable[int]) -> str:
    """Write numbers as most schedulers do: `1-3,7`."""
    return ",".join(
        str(run.start) if len(run) == 1 else f"{run.start}-{run.stop - 1}"
        for run in contiguous(numbers)
    )
