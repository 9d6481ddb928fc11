"""Cleaning one run up.

The order is such that a kill at any step leaves nothing that looks whole. First the record of the
run says that it is being cleaned up, whereupon no other command uses its files and, where its
results are to go, the cache offers none of them. Then records go that nothing needs, in short
transactions between which dispatchers write. What is left tells which files are still needed; all
others go. Last, the record says that it is done, or goes too. Meanwhile the lease of the run is
held, so that nobody retries it; whoever cleans up next takes it over from a process that has died.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from reflow.dispatch.lease import acquire, release, take, working_under
from reflow.errors import (
    DamagedRunError,
    ForeignRunError,
    NotFoundError,
    NotReadyError,
    ReflowError,
    StoredValueError,
)
from reflow.model.cleaning import Extent, RowPosition
from reflow.model.records import Lease, RunRecord
from reflow.rundir.file_states import Recorded
from reflow.rundir.ownership import own_settings
from reflow.runs.cleaning.choose import Refusal, layout_of, refusal
from reflow.runs.cleaning.own_files import Removal, kept_below, remove_files
from reflow.runs.cleaning.pace import Pace
from reflow.runs.cleaning.source_copies import remove_unused_copies
from reflow.stores.contract import CleansUp, Store

FIRST_PORTION = 200
"""Records gone through in one transaction, to begin with."""
BEAT_EVERY = 2.0
TIME_TO_LIVE = 30.0
"""Seconds between two heartbeats, and without any until another process goes on cleaning up."""
FIRST_SHRINK, SMALLEST_SHRINK, LARGEST_SHRINK = 2 << 20, 64 << 10, 64 << 20
"""Bytes given back in one transaction."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cleaned:
    """What was removed of a run."""

    run_id: str
    files: int
    size: int
    """Bytes that were freed on the disk."""
    is_gone: bool
    """Whether the run is in the store no more."""
    results: int
    """Results of it that are left."""
    left: tuple[str, ...]
    """What could not be removed, and why."""


def cleaning_store(store: Store) -> CleansUp:
    """Return a store as one that can be cleaned up. Raises `ReflowError` where it cannot."""
    if not isinstance(store, CleansUp):
        raise ReflowError(
            f"the store is one of a plugin ({type(store).__name__}), which cannot remove records "
            "of runs; see whether the plugin has a way of its own"
        )
    return store


def clean_run(
    store: Store,
    record: RunRecord,
    extent: Extent,
    on_step: Callable[[], None] = lambda: None,
    pace: Pace | None = None,
) -> Cleaned:
    """Remove what is to be removed of a run that has ended.

    `on_step` is called now and then; `pace` is that of the run before. Raises `NotReadyError`
    where the run is in use, `ForeignRunError` where it is another user's, and `DamagedRunError`
    where that cannot be told.
    """
    records, pace = cleaning_store(store), pace or Pace(FIRST_PORTION)
    has_files = _is_own(record)
    lease = pace.write(lambda: _take(store, record))
    with working_under(store, lease):
        pace.write(lambda: records.begin_cleaning(lease, extent))
        beats = _Beats(store, lease, on_step)
        position: RowPosition | None = RowPosition()
        while position is not None:
            position = pace.write_portion(partial(records.remove_records, lease, extent, position))
            beats()
        removal = Removal()
        if has_files:
            kept = kept_below(layout_of(record).root, _needed(records, record.run_id))
            removal = remove_files(layout_of(record), kept, beats)
        is_gone = not removal.left and pace.write(lambda: records.end_cleaning(lease))
        if removal.left:
            release(store, lease)
    return Cleaned(
        run_id=record.run_id,
        files=removal.files,
        size=removal.size,
        is_gone=is_gone,
        results=records.instance_counts([record.run_id]).get(record.run_id, 0),
        left=tuple(removal.left),
    )


def remove_run(store: Store, record: RunRecord) -> Cleaned:
    """Remove one run that a user has named. Raises what `clean_run` does."""
    refused = refusal(store, record, named=True)
    if refused is not None:
        kind = ForeignRunError if refused.is_foreign else NotReadyError
        first = f"; type first: reflow {refused.advice}" if refused.advice else ""
        raise kind(f"{record.run_id} is not removed: {refused.reason}{first}")
    cleaned = clean_run(store, record, Extent.RUN)
    sweep(store, [record.run_dir])
    return cleaned


def sweep(
    store: Store, run_dirs: Iterable[Path], on_step: Callable[[], None] = lambda: None
) -> None:
    """Remove what the runs that are gone by now were the last to need.

    These are copies of source that runs of a run directory shared, and results of runs that were
    cleaned up before, which stayed for others. What cannot be removed now is left for the next.
    """
    for run_dir in run_dirs:
        on_step()
        with suppress(OSError):
            remove_unused_copies(run_dir)
    mine = [each for each in store.list_runs() if each.uid in (None, os.geteuid())]
    stayed = {each.run_id: each for each in mine if each.extent in (Extent.RESULTS, Extent.RUN)}
    counts = cleaning_store(store).instance_counts(list(stayed)) if stayed else {}
    pace = Pace(FIRST_PORTION)
    for run_id in counts:
        record = stayed[run_id]
        if refusal(store, record, named=True) is None:
            with suppress(ReflowError, OSError):
                clean_run(store, record, record.extent or Extent.FILES, on_step, pace)


def shrink(store: Store, on_step: Callable[[], None] = lambda: None) -> int:
    """Give unused space of the store back, a little at a time; return how many bytes it were."""
    records, given, pace = cleaning_store(store), 0, Pace(FIRST_SHRINK)
    while part := pace.write_portion(records.shrink, SMALLEST_SHRINK, LARGEST_SHRINK):
        given += part
        on_step()
    return given


def foreign_files(record: RunRecord) -> Refusal | None:
    """Say why the files of a run must not be removed, though its record is the caller's."""
    try:
        if layout_of(record).root.is_dir():
            own_settings(replace(record, cleaned_at=None))
    except (ForeignRunError, DamagedRunError, OSError) as error:
        return Refusal(record, str(error))
    except NotFoundError:
        pass  # what a removal has left that was interrupted
    return None


def _is_own(record: RunRecord) -> bool:
    """Tell whether a run has files, which are then the caller's own.

    Raises `ForeignRunError` and `DamagedRunError` where they are not, or may not be.
    """
    if not layout_of(record).root.is_dir():
        return False
    try:
        own_settings(replace(record, cleaned_at=None))
    except NotFoundError:
        # Of an interrupted removal the empty folder may be left.
        with suppress(OSError):
            layout_of(record).root.rmdir()
            return False
        raise DamagedRunError(
            f"{layout_of(record).settings} is missing, by which it could be told whose "
            f"{layout_of(record).root} is; remove that folder yourself"
        ) from None
    return True


def _take(store: Store, record: RunRecord) -> Lease:
    lease = take(store, record.run_id)
    if lease is None and record.cleaning:
        # Who began to clean it up ran on another machine, and may have died there.
        lease = acquire(store, record.run_id, TIME_TO_LIVE)
    if lease is None:
        raise NotReadyError("another process is at it")
    return lease


class _Beats:
    """Keeps the lease, and the user informed."""

    def __init__(self, store: Store, lease: Lease, on_step: Callable[[], None]) -> None:
        self._store = store
        self._lease = lease
        self._on_step = on_step
        self._due = time.monotonic() + BEAT_EVERY

    def __call__(self) -> None:
        self._on_step()
        if time.monotonic() >= self._due:
            self._store.heartbeat(self._lease)
            self._due = time.monotonic() + BEAT_EVERY


def _needed(records: CleansUp, run_id: str) -> Iterator[str]:
    """Yield places that the results which are left of a run lead to."""
    for text in records.result_paths(run_id):
        try:
            recorded = Recorded.parse(text)
        except StoredValueError:
            continue
        yield from (file.path for file in recorded.held)
        yield from (state.place for state in (*recorded.states, *recorded.shared))
