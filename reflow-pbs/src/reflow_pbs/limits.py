"""How much PBS lets a user submit, and what takes the places there are."""

from __future__ import annotations

import os
import pwd
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from reflow.plugin_api import JobHandle, Limits, SchedulerUnavailableError

from reflow_pbs.parse import attributes

_ALIVE = "BEHQRSTUW"
"""Letters that qselect takes for the states of what takes a place in the queue."""
_LARGEST_ARRAY = 10000
"""The most elements where the server says nothing."""


@dataclass
class Places:
    """Finds out how many places in the queue are left for this user."""

    show: Callable[..., str]
    """What qstat prints, given its words."""
    select: Callable[..., Sequence[str]]
    """The ids that qselect prints, given its words. Raises `SchedulerUnavailableError`."""
    _server: str | None = field(default=None, init=False)

    def counted(self) -> tuple[str, ...]:
        """Words of qselect: jobs and elements of this user's that wait or run."""
        return ("-T", "-u", user(), "-s", _ALIVE)

    def limits(self, queue: str | None) -> Limits:
        """Find the largest array, and the limit of server or queue that leaves less room."""
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
        """Whether nothing of this user's is in the queue whose end would make room.

        That is not this process's own job, nor a follow-up that can give way, nor the watchdog
        that a run always has. A second one is of the past; where none can give way, it is awaited.
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
    """Whose limits hold."""
    return pwd.getpwuid(os.getuid()).pw_name


def number_of(native_ids: Iterable[str]) -> int:
    """How many places they take: an array as a whole takes none, its elements one each."""
    return sum("[]" not in native_id for native_id in native_ids)


def largest_array(texts: Iterable[str]) -> int:
    """Return the most elements of an array; the first text is the server's, the others queues."""
    server, *queues = (_array_size(text) for text in texts)
    return min(size for size in (server or _LARGEST_ARRAY, *queues) if size is not None)


def _array_size(text: str) -> int | None:
    size = attributes(text).get("max_array_size")
    return int(size) if size and size.isdigit() else None


def user_limit(text: str, name: str) -> int | None:
    """How many jobs `max_queued` allows a user: `[u:PBS_GENERIC=3],[u:ada=9]`."""
    most = attributes(text).get("max_queued", "")
    limits = dict(re.findall(r"u:([\w.-]+)=(\d+)", most))
    limit = limits.get(name, limits.get("PBS_GENERIC"))
    return int(limit) if limit else None
