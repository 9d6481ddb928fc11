"""What ran when: every try as a span of time, kept in a few numbers, and counted in bins."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from functools import cached_property

from reflow.runs.reporting.contents import Bar, Timeline
from reflow.runs.reporting.spans import Occupancy, Span, length, merged, without

BINS = 120
MOST_HOSTS = 40
"""Hosts with a line of their own, those of most work first."""


class Spans:
    """The spans of time in which tries waited and ran, in seconds since the run was created."""

    def __init__(self) -> None:
        self._tasks: dict[str, int] = {}
        self._hosts: dict[str, int] = {}
        self._task, self._host = array("l"), array("l")
        self._since, self._start, self._end = array("d"), array("d"), array("d")

    def add(self, task: str, host: str, since: float, start: float, end: float) -> None:
        """Keep a try that waited from `since`, and ran from `start` to `end`."""
        self._task.append(self._tasks.setdefault(task, len(self._tasks)))
        self._host.append(self._hosts.setdefault(host, len(self._hosts)))
        self._since.append(since)
        self._start.append(start)
        self._end.append(max(end, start))

    @property
    def element_seconds(self) -> float:
        """The durations of all tries, added up."""
        return sum(self._end) - sum(self._start)

    @cached_property
    def _running(self) -> list[Span]:
        return merged(zip(self._start, self._end, strict=True))

    @property
    def busy_seconds(self) -> float:
        """How long at least one element was running."""
        return length(self._running)

    @property
    def waiting_seconds(self) -> float:
        """How long none was running, and at least one waited."""
        waiting = merged(zip(self._since, self._start, strict=True))
        return length(without(waiting, self._running))

    def timeline(self, seconds: float, bars: Sequence[Bar] | None) -> Timeline | None:
        """Return what ran when, on an axis of at least so many seconds; None for nothing."""
        if not self._start:
            return None
        seconds = max(seconds, max(self._end), 1e-3)
        width = seconds / BINS
        waiting = Occupancy(BINS, width)
        tasks = [Occupancy(BINS, width) for _ in self._tasks]
        chosen = self._busiest_hosts()
        hosts = {number: Occupancy(BINS, width) for number in chosen.values()}
        for task, host, since, start, end in zip(
            self._task, self._host, self._since, self._start, self._end, strict=True
        ):
            waiting.add(since, start)
            tasks[task].add(start, end)
            if host in hosts:
                hosts[host].add(start, end)
        return Timeline(
            seconds=seconds,
            bars=None if bars is None else tuple(bars),
            bin_seconds=width,
            tasks={name: tasks[number].means() for name, number in self._tasks.items()},
            hosts={name: hosts[number].means() for name, number in chosen.items()},
            hosts_in_all=len(self._hosts),
            waiting=waiting.means(),
        )

    def _busiest_hosts(self) -> dict[str, int]:
        """Return the numbers of the hosts on which most time was spent, by their names."""
        work = [0.0] * len(self._hosts)
        for host, start, end in zip(self._host, self._start, self._end, strict=True):
            work[host] += end - start
        chosen = sorted(self._hosts.items(), key=lambda item: -work[item[1]])
        return dict(chosen[:MOST_HOSTS])
