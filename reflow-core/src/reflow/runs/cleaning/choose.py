"""Which runs are cleaned up, and which must not be."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from reflow.errors import NotFoundError, ParameterError
from reflow.model.cleaning import Extent
from reflow.model.records import RunRecord
from reflow.model.states import RunState
from reflow.rundir.layout import RunLayout
from reflow.rundir.ownership import user_name
from reflow.rundir.process import provably_dead
from reflow.stores.contract import Store

_AGE = re.compile(r"(\d+)\s*([mhdw])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Criteria:
    """What must be true of a run that is to be cleaned up."""

    ended_before: datetime | None = None
    keep_last: int = 0
    """How many of the newest runs of each workflow stay as they are."""
    failed: bool = False
    """Whether it must have failed, or been cancelled."""
    workflow: str | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a run must not be cleaned up."""

    record: RunRecord
    reason: str
    advice: str = ""
    """The command to type first, without the program's name; empty for none."""
    purpose: str = ""
    """What that command is for, where it is not so that the run can go then."""

    @property
    def is_foreign(self) -> bool:
        """Whether the run is another user's."""
        return self.record.uid not in (None, os.geteuid())


def time_before(text: str, now: datetime | None = None) -> datetime:
    """Return the time so long ago (`30d`, `12h`, `2w`), or the date and time that a text says.

    Raises `ParameterError`.
    """
    now = now or datetime.now(UTC)
    try:
        if found := _AGE.fullmatch(text.strip()):
            return now - timedelta(**{_UNITS[found[2]]: int(found[1])})
        return datetime.fromisoformat(text.strip()).astimezone()
    except (ValueError, OverflowError):
        raise ParameterError(
            f"{text!r} is neither an age nor a date; write 30d, 12h or 2w, or a date such as "
            "2026-03-01"
        ) from None


def choose(store: Store, criteria: Criteria, extent: Extent) -> list[RunRecord]:
    """Return the caller's runs that are to be cleaned up, those first that began last.

    So runs that took results over go before those that made them.
    """
    own = [record for record in store.list_runs() if record.uid in (None, os.geteuid())]
    kept: Counter[str] = Counter()
    chosen = []
    for record in own:
        if criteria.workflow not in (None, record.workflow):
            continue
        if record.cleaned_at is None:
            kept[record.workflow] += 1
            if kept[record.workflow] <= criteria.keep_last:
                continue
        elif not _has_more(record, extent):
            continue
        if _fits(record, criteria):
            chosen.append(record)
    return chosen


def count_of_others(store: Store, criteria: Criteria) -> int:
    """Count the runs of other users that would be cleaned up if they were the caller's."""
    return sum(
        record.uid not in (None, os.geteuid())
        and criteria.workflow in (None, record.workflow)
        and record.cleaned_at is None
        and _fits(record, criteria)
        for record in store.list_runs()
    )


def interrupted(store: Store) -> list[RunRecord]:
    """Return the caller's runs whose cleaning has begun and not ended."""
    mine = (None, os.geteuid())
    return [each for each in store.list_runs() if each.cleaning and each.uid in mine]


def _has_more(record: RunRecord, extent: Extent) -> bool:
    """Tell whether a run that was cleaned up has more to be removed."""
    order = list(Extent)
    before = record.extent or Extent.FILES
    return record.cleaning or order.index(before) < order.index(extent)


def _fits(record: RunRecord, criteria: Criteria) -> bool:
    if not record.state.final:
        return False
    if criteria.failed and record.state is RunState.SUCCESS:
        return False
    # A clock may have been wrong: whatever is latest counts.
    ended = max(record.created_at, record.finished_at or record.created_at)
    return criteria.ended_before is None or ended < criteria.ended_before


def refusal(store: Store, record: RunRecord, *, named: bool) -> Refusal | None:
    """Say why a run must not be cleaned up now; None where it may be.

    `named` is whether a user has named this run: then its run directory may be gone.
    """
    if record.uid not in (None, os.geteuid()):
        return Refusal(record, f"it belongs to {user_name(record.uid)}")
    if not record.state.final:
        return Refusal(record, "it is running", f"cancel {record.run_id}")
    if store.submissions(record.run_id):
        return Refusal(record, "jobs of it may still be in the queue", f"status {record.run_id}")
    owner = store.lease(record.run_id).owner
    if owner is not None and not provably_dead(owner) and not record.cleaning:
        return Refusal(record, f"process {owner.get('pid')} on {owner.get('host')} is at it")
    for ancestor in _ancestors(store, record):
        if not _is_settled(ancestor):
            return Refusal(
                record, f"{ancestor.run_id}, which has started it, is {ancestor.state.lower()}"
            )
    if not named and not record.run_dir.is_dir():
        return Refusal(
            record,
            f"its run directory {record.run_dir} is not there; its file system may not be mounted",
            f"rm {record.run_id}",
            "forget it, and leave its files wherever they are",
        )
    return None


def _ancestors(store: Store, record: RunRecord) -> Iterable[RunRecord]:
    for element in record.lineage.split(",")[:-1]:
        try:
            yield store.run(element.partition("/")[0])
        except NotFoundError:
            continue


def _is_settled(record: RunRecord) -> bool:
    """Tell whether no element of a run can ask any more what its other elements have used."""
    return record.state is RunState.SUCCESS or record.cleaned_at is not None


def layout_of(record: RunRecord) -> RunLayout:
    """Return where the files of a run are."""
    return RunLayout(record.run_dir, record.run_id)
