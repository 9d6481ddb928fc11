"""What cleaning up removes of a run, and what there is to be removed."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Extent(StrEnum):
    """How much of a run is removed. Each removes what the one before it does, and more.

    Whatever the extent, results that runs which are kept have taken over stay.
    """

    FILES = "files"
    """Files, and records that nothing can use; results that the cache may offer stay."""
    RESULTS = "results"
    """Results, too."""
    RUN = "run"
    """The record of the run, too."""


@dataclass(frozen=True, slots=True)
class RunContents:
    """What the store holds of a run."""

    instances: int = 0
    results: int = 0
    """Those that other runs may take over."""


@dataclass(frozen=True, slots=True)
class RowPosition:
    """How far the records of a run have been gone through."""

    place: int = 0
    """The number of a list of records in its run."""
    after: int | None = None
    """The last record that was looked at in it; None at its beginning."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreSize:
    """How large a store is, in bytes."""

    total: int
    free: int
    """What is unused in it, and used again by further records."""
    shrinks: bool
    """Whether unused space can be given back to the file system while others use the store."""
