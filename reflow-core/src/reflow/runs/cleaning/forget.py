"""Making the cache forget results, so that elements are computed by the next run."""

from __future__ import annotations

import os
from collections.abc import Container, Sequence
from dataclasses import dataclass
from functools import partial

from reflow.runs.cleaning.clean import cleaning_store
from reflow.runs.cleaning.pace import Pace
from reflow.stores.contract import CleansUp, Store

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
    pace = Pace(AT_ONCE)
    forgotten = 0
    while forgotten < len(mine):
        some = mine[forgotten : forgotten + pace.portion]
        pace.write_portion(partial(_forget, records, some))
        forgotten += len(some)
    return Forgotten(elements, len(mine), of_others)


def _forget(records: CleansUp, keys: Sequence[int], portion: int) -> None:
    records.forbid_reuse(keys)
