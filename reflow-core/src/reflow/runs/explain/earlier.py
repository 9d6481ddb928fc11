"""The elements of earlier runs that the elements of a run are compared with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from reflow.model.records import Instance, RunRecord
from reflow.stores.contract import Store, find_instance

MOST_RUNS = 50
"""Earlier runs that are searched for an element whose inputs were known."""
_AT_ONCE = 10


def earlier_runs(store: Store, record: RunRecord, task: str) -> Iterator[RunRecord]:
    """Yield the earlier runs of the same workflow and place that have a task, newest first."""
    until, seen = record.created_at, 0
    while seen < MOST_RUNS:
        page = store.list_runs(graph_name=record.workflow, limit=_AT_ONCE, until=until)
        for each in page:
            is_same = each.place == record.place and each.run_id != record.run_id
            if is_same and any(found.name == task for found in store.tasks(each.run_id)):
                yield each
        if len(page) < _AT_ONCE:
            return
        seen += len(page)
        until = page[-1].created_at


def nearest_element(
    store: Store, record: RunRecord, task: str, index: int
) -> tuple[RunRecord, Instance] | None:
    """Return the newest earlier element of the same index whose inputs were known, with its run.

    Where there is none, any element of the newest earlier run; None without one.
    """
    other: tuple[RunRecord, Instance] | None = None
    for earlier in earlier_runs(store, record, task):
        found = find_instance(store, earlier.run_id, task, index)
        if found is not None and found.identity is not None:
            return earlier, found
        if other is None:
            any_one = find_instance(store, earlier.run_id, task, 0)
            if any_one is not None and any_one.identity is not None:
                other = earlier, any_one
    return other


def nearest_elements(
    store: Store, record: RunRecord, task: str, indexes: Sequence[int]
) -> dict[int, tuple[RunRecord, Instance]]:
    """Return, by index, what `nearest_element` does, for many elements at once."""
    found: dict[int, tuple[RunRecord, Instance]] = {}
    other: tuple[RunRecord, Instance] | None = None
    wanted = set(indexes)
    for earlier in earlier_runs(store, record, task):
        if not wanted:
            break
        there = [each for each in store.instances(earlier.run_id, task) if each.identity]
        for each in there:
            if each.index in wanted:
                found[each.index] = earlier, each
        wanted.difference_update(found)
        if other is None and there and there[0].index == 0:
            other = earlier, there[0]
    if other is not None:
        found.update(dict.fromkeys(wanted, other))
    return found
