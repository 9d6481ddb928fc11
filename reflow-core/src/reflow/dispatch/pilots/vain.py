"""Pilots that end before any of them runs an element.

Something is wrong then that other pilots will meet, too. Those of one submission may have had bad
luck; after two in a row no others are submitted, and elements that pilots were to run fail.
"""

from __future__ import annotations

import json
from contextlib import suppress

from reflow.model.jobs import LOG_NAME, JobStatus
from reflow.model.states import FailureCause, JobState
from reflow.rundir.files import read_bytes, write_whole
from reflow.rundir.layout import RunLayout

IN_A_ROW = 2
"""Submissions of pilots that may end so."""


def note_vain(layout: RunLayout, number: int, status: JobStatus) -> None:
    """Note that the pilots of a submission are gone, and that none has run an element."""
    known = {
        "native_id": status.native_id,
        "cause": status.cause,
        "exit_code": status.exit_code,
        "signal": status.signal,
        "reason": status.reason,
    }
    with suppress(OSError):
        write_whole(layout.vain_pilots(number), json.dumps(known).encode())


def failure_of_pilots(layout: RunLayout) -> JobStatus | None:
    """Return why no pilot gets as far as to run an element; None where that is not so."""
    folder = layout.pilots(0).parent
    with suppress(OSError, ValueError, KeyError):
        newest = sorted(int(each.name) for each in folder.iterdir() if each.name.isdigit())
        last = newest[-IN_A_ROW:]
        if len(last) < IN_A_ROW or not all(layout.vain_pilots(each).exists() for each in last):
            return None
        known = json.loads(read_bytes(layout.vain_pilots(last[-1])))
        log = (layout.pilots(last[-1]) / LOG_NAME).relative_to(layout.run_dir)
        words = "the pilots ended before they ran an element"
        reason = f"{words} ({known['reason']})" if known["reason"] else words
        return JobStatus(
            native_id=known["native_id"],
            state=JobState.FAILED,
            cause=None if known["cause"] is None else FailureCause(known["cause"]),
            exit_code=known["exit_code"],
            signal=known["signal"],
            reason=f"{reason}; their log: {log}",
        )
    return None


def try_again(layout: RunLayout) -> None:
    """Forget what has failed: a user has asked for another try."""
    folder = layout.pilots(0).parent
    for pattern in (f"*/{layout.vain_pilots(0).name}", layout.too_large("*").name):
        for path in folder.glob(pattern):
            path.unlink(missing_ok=True)
