"""Checking with Grid Engine whether waiting jobs can ever start."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from reflow.plugin_api import CommandResult, JobHandle, JobState, JobStatus

PATIENCE = timedelta(seconds=30)
"""How long a job waits before it is checked."""
_ASKED_AT_ONCE = 5
"""The most jobs that are checked at once: each costs qmaster some work."""
_ASK_AGAIN = 600.0
"""Seconds for which an answer is valid."""
_NOT_ASKED_FOR = "not contained in its hard queue list"


class Verification:
    """Checks waiting jobs and remembers the answers."""

    def __init__(self, ask: Callable[[str], CommandResult]) -> None:
        self._ask = ask
        self._verdicts: dict[str, tuple[float, str]] = {}
        """The time of the check, and why a job can never start; empty where it can."""

    def judged(
        self, statuses: Sequence[JobStatus], handles: Sequence[JobHandle]
    ) -> list[JobStatus]:
        """Return the statuses with a reason on jobs that have waited long and can never start."""
        before = datetime.now(UTC) - PATIENCE
        begun = {status.native_id for status in statuses if status.state is not JobState.QUEUED}
        held = {status.native_id for status in statuses if status.reason}
        waiting = [
            handle.native_id
            for handle in handles
            if handle.native_id not in begun | held
            and (handle.submitted_at is None or handle.submitted_at < before)
        ]
        for native_id in waiting[:_ASKED_AT_ONCE]:
            asked, _ = self._verdicts.get(native_id, (-_ASK_AGAIN, ""))
            if time.monotonic() - asked >= _ASK_AGAIN:
                result = self._ask(native_id)
                reason = verdict(f"{result.stdout}\n{result.stderr}")
                self._verdicts[native_id] = (time.monotonic(), reason)
        return [
            replace(status, reason=reason, impossible=True)
            if status.native_id in waiting
            and (reason := self._verdicts.get(status.native_id, (0.0, ""))[1])
            else status
            for status in statuses
        ]


def verdict(text: str) -> str:
    """Return why no queue could run a job even in an empty cluster; empty where one could."""
    message, refused, _ = text.strip().partition("verification: no suitable queues")
    if not refused:
        return ""
    reasons = message.strip().splitlines()
    # One line for each queue and host: those of queues not requested explain nothing.
    telling = [line for line in reasons if _NOT_ASKED_FOR not in line]
    first = (telling or reasons or ["no queue is suitable"])[0]
    return re.sub(r"^Job \d+ ", "", first)
