"""Torque's `-W depend`.

Plain jobs tell those that wait for them how they ended, unless they were deleted before they ran:
then nobody is told. Who waits for an array waits until a count is reached, and for ever where it
cannot be: elements deleted before they ran are counted as failed but not as done.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reflow.testing.fakes.torque.jobs import TorqueJob

PLAIN = ("after", "afterok", "afternotok", "afterany")
BEFORE = ("before", "beforeok", "beforenotok", "beforeany")
ARRAY = ("afterstartarray", "afterokarray", "afternotokarray", "afteranyarray")
_TARGET = re.compile(r"(\d+)(\[\])?(?:\[(\d*)\])?(?:\.[\w.-]+)?(?:@[\w.-]+)?")


@dataclass
class Dependency:
    """`afterok:24.node01`, `afteranyarray:7[][5].node01`, `on:2`."""

    kind: str
    number: int
    """The other job's; for `on` how many registrations are awaited."""
    is_array: bool = False
    index: int | None = None
    """Of an element."""
    count: int | None = None
    """How many elements; None for all."""
    met: bool = False

    def text(self, server: str) -> str:
        """What the `depend` attribute shows."""
        if self.kind == "on":
            return f"on:{self.number}"
        brackets = "[]" if self.is_array else ""
        inside = self.index if self.index is not None else self.count
        more = "" if inside is None else f"[{inside}]"
        return f"{self.kind}:{self.number}{brackets}{more}.{server}@{server}"


def parse(text: str) -> list[Dependency] | None:
    """Read the value of `depend=`; None for what qsub calls illegal."""
    found: list[Dependency] = []
    for part in text.split(","):
        kind, _, rest = part.partition(":")
        if kind == "on" and rest.isdigit():
            found.append(Dependency("on", int(rest)))
            continue
        if kind not in (*PLAIN, *BEFORE, *ARRAY) or not rest:
            return None
        for target in rest.split(":"):
            match = _TARGET.fullmatch(target)
            if match is None:
                return None
            number, is_array = int(match[1]), match[2] is not None
            inside = int(match[3]) if match[3] else None
            if is_array:
                found.append(Dependency(kind, number, True, count=inside))
            else:
                found.append(Dependency(kind, number, index=inside))
    return found


def wanted_end(kind: str, *, ended_well: bool) -> bool:
    """Whether a plain job's end is what was waited for."""
    return {"afterok": ended_well, "afternotok": not ended_well}.get(kind, True)


def is_free(job: TorqueJob) -> bool:
    """Whether nothing that a job waits for is left."""
    for dependency in job.waits_for:
        if dependency.kind == "on":
            if dependency.number > 0:
                return False
        elif dependency.kind not in BEFORE and not dependency.met:
            return False
    return True
