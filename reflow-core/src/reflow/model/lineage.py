"""Lineage: which elements started a run, and which results it must therefore not reuse.

A run that is started inside a task records the elements that it was started by, from the outermost
run to the one around it. Each of them is written as `RUN/TASK/INDEX,`; no name has a slash or a
comma in it.
"""

from __future__ import annotations

from dataclasses import dataclass

VARIABLE = "REFLOW_STARTED_BY"
"""The environment variable that holds the lineage of the runs an element starts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kin:
    """A run and those started below it, save those started below one of its elements."""

    run_id: str
    below: str
    """The prefix of the lineages of runs that it started."""
    but: str | None
    """The prefix of lineages to leave out, those of the asking element; None for none."""

    def has(self, run_id: str, lineage: str) -> bool:
        """Tell whether a run is among these."""
        below = lineage.startswith(self.below)
        return run_id == self.run_id or (
            below and (self.but is None or not lineage.startswith(self.but))
        )


def kin_of(lineage: str, run_id: str) -> tuple[Kin, ...]:
    """Return the runs whose results a run must not reuse: itself and others of its family.

    Elements of one run never share a result, not by way of runs that they start either. So none
    is taken from the run itself, from those it was started below, from those that its elements
    started, and from those that other elements of the runs above started. What the same element
    started before (in an attempt that failed, say, or just before) is as any earlier run.
    """
    found = []
    above = ""
    for element in _elements(lineage):
        ancestor = element.split("/")[0]
        found.append(Kin(run_id=ancestor, below=f"{above}{ancestor}/", but=f"{above}{element},"))
        above += f"{element},"
    return (*found, Kin(run_id=run_id, below=f"{above}{run_id}/", but=None))


def below(lineage: str, run_id: str, task: str, index: int) -> str:
    """Return the lineage of what an element of a run starts."""
    return f"{lineage}{run_id}/{task}/{index},"


def place_of(lineage: str) -> str:
    """Return the part of a lineage that the same element has in another run."""
    return "".join(f"{element.split('/', 1)[1]}," for element in _elements(lineage))


def _elements(lineage: str) -> list[str]:
    return lineage.split(",")[:-1]
