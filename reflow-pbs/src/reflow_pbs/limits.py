"""The limits of PBS on submission, and the jobs that count against them."""

from __future__ import annotations

import os
import pwd
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from reflow.plugin_api import JobHandle, Limits, SchedulerUnavailableError, parse_time

from reflow_pbs.parse import attributes

_ALIVE = "BEHQRSTUW"
"""The states, as letters for qselect, of jobs that take a place in the queue."""
_LARGEST_ARRAY = 10000
"""The most elements of an array where the server sets no limit."""


@dataclass
class Places:
    """The places in the queue that are left for this user."""

    show: Callable[..., str]
    """Runs qstat with these arguments and returns its output."""
    select: Callable[..., Sequence[str]]
    """Runs qselect and returns the ids that it prints. Raises `SchedulerUnavailableError`."""
    _server: str | None = field(default=None, init=False)

    def counted(self) -> tuple[str, ...]:
        """Return qselect's arguments for this user's jobs and elements that wait or run."""
        return ("-T", "-u", user(), "-s", _ALIVE)

    def limits(self, queue: str | None) -> Limits:
        """Find the largest array, and the tighter of the limits of server and queue."""
        if self._server is None:
            self._server = self.show("-B", "-f")
        queue = queue or attributes(self._server).get("default_queue")
        texts: dict[tuple[str, ...], str] = {(): self._server}
        if queue:
            texts["-q", queue] = self.show("-Q", "-f", queue)
        most, used = None, 0
        for where, text in texts.items():
            limit = user_limit(text, user())
            if limit is None:
                continue
            taken = number_of(self.select(*self.counted(), *where))
            if most is None or limit - taken < most - used:
                most, used = limit, taken
        return Limits(
            max_array_size=largest_array(texts.values()),
            max_submit_jobs=most,
            queued_jobs=used,
        )

    def none_will_come(self, after: JobHandle | None) -> bool:
        """Tell whether no job of this user is in the queue whose end would make room.

        Not counted are this process's own job, a follow-up that can be dropped, and the one
        watchdog that a run always has. A second watchdog is an outdated one, whose end is awaited
        where no follow-up can be dropped.
        """
        own = {os.environ.get("REFLOW_NATIVE_ID"), after.native_id if after else None}
        try:
            others = self.select("-u", user(), "-s", _ALIVE.replace("W", ""))
            if not own.issuperset(others):
                return False
            return after is not None or len(self.select("-u", user(), "-s", "W")) <= 1
        except SchedulerUnavailableError:
            return False


def user() -> str:
    """Return the name of the user whose limits apply."""
    return pwd.getpwuid(os.getuid()).pw_name


def number_of(native_ids: Iterable[str]) -> int:
    """Count the places that ids take: an array as a whole takes none, its elements one each."""
    return sum("[]" not in native_id for native_id in native_ids)


def largest_array(texts: Iterable[str]) -> int:
    """Return the most elements of an array; the first text is the server's, the others queues."""
    server, *queues = (_array_size(text) for text in texts)
    return min(size for size in (server or _LARGEST_ARRAY, *queues) if size is not None)


def longest_time(texts: Iterable[str]) -> timedelta | None:
    """Return the most walltime that server and queue allow; None where they do not limit it."""
    found = (attributes(text).get("resources_max.walltime", "") for text in texts)
    clocks = (time for time in found if re.fullmatch(r"\d+:\d+:\d+", time))
    return min(map(parse_time, clocks), default=None)


def _array_size(text: str) -> int | None:
    size = attributes(text).get("max_array_size")
    return int(size) if size and size.isdigit() else None


def user_limit(text: str, name: str) -> int | None:
    """Return how many jobs `max_queued` allows a user: `[u:PBS_GENERIC=3],[u:ada=9]`."""
    most = attributes(text).get("max_queued", "")
    limits = dict(re.findall(r"u:([\w.-]+)=(\d+)", most))
    limit = limits.get(name, limits.get("PBS_GENERIC"))
    return int(limit) if limit else None
