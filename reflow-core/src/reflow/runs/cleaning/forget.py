"""Making the cache forget results, so that elements are computed by the next run."""

from __future__ import annotations

import os
import time
from collections.abc import Container
from dataclasses import dataclass

from reflow.runs.cleaning.clean import PAUSE, cleaning_store
from reflow.stores.contract import Store

AT_ONCE = 500
"""Identities looked up, and results forgotten, by one query."""


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What the cache has forgotten for elements of a task."""

    elements: int
    """How many of them have succeeded in the run."""
    results: int
    """Results that are offered no more, of this run and of others."""
    of_others: int
    """Results of other users, which are left alone."""


def forget_results(
    store: Store, run_id: str, task: str, indexes: Container[int] | None
) -> Forgotten:
    """Have elements of a task of a run computed anew by the next run; None for all of them.

    So no result of their identity may be offered, whichever run of the caller computed it, except
    those that other elements of the run have. Raises `NotFoundError` for an unknown task.
    """
    records = cleaning_store(store)
    wanted: set[str] = set()
    kept: set[int] = set()
    elements = 0
    for index, identity, key in records.results_had(run_id, task):
        if indexes is None or index in indexes:
            wanted.add(identity)
            elements += 1
        else:
            kept.add(key)
    mine: list[int] = []
    of_others = 0
    identities = sorted(wanted)
    for start in range(0, len(identities), AT_ONCE):
        for key, uid in records.offered(identities[start : start + AT_ONCE]):
            if uid not in (None, os.geteuid()):
                of_others += 1
            elif key not in kept:
                mine.append(key)
    for start in range(0, len(mine), AT_ONCE):
        records.forbid_reuse(mine[start : start + AT_ONCE])
        time.sleep(PAUSE)
    return Forgotten(elements, len(mine), of_others)
