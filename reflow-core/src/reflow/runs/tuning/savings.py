"""What proposals would have saved, and which tries would have failed with them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from reflow.model.resources import Resources
from reflow.model.states import FailureCause
from reflow.runs.tuning.history import TaskHistory, Try
from reflow.runs.tuning.proposals import Proposal

GIB = 2**30


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """What elements hold while they run: what is used of it, and what nobody else can have."""

    core_hours: float = 0.0
    memory_hours: float = 0.0
    """Gigabytes times hours."""

    def __add__(self, other: Use) -> Use:
        return Use(
            core_hours=self.core_hours + other.core_hours,
            memory_hours=self.memory_hours + other.memory_hours,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Savings:
    """What the tries of the past would have come to with other requests."""

    tries: int = 0
    now: Use = Use()
    """What the elements that succeeded would have held by what tasks ask for now."""
    proposed: Use = Use()
    """What they would have held by the proposals."""
    used: Use = Use()
    """What they used of it."""
    would_fail: int = 0
    """Tries that would have failed with the proposals: for what they used, or for running out of
    as much as is proposed."""
    had_less: int = 0
    """Tries that ran out of memory or time with less than is proposed."""

    def __add__(self, other: Savings) -> Savings:
        return Savings(
            tries=self.tries + other.tries,
            now=self.now + other.now,
            proposed=self.proposed + other.proposed,
            used=self.used + other.used,
            would_fail=self.would_fail + other.would_fail,
            had_less=self.had_less + other.had_less,
        )


def savings(now: Resources, proposal: Proposal, history: TaskHistory) -> Savings:
    """Return what a task's proposal would have come to, by the tries that are known.

    Where no memory is asked for, or none was measured, none is counted.
    """
    proposed = proposal.applied(now)
    done = [each for each in history.succeeded if each.seconds is not None]
    short = [each for each in history.tries if each.cause in _RAN_OUT]
    fails = sum(_exceeds(each, proposed) for each in history.succeeded)
    again = sum(not _had_less(each, proposed) for each in short)
    return Savings(
        tries=len(history.tries),
        now=_held(done, now, now.mem),
        proposed=_held(done, proposed, None if now.mem is None else proposed.mem),
        used=_used(done),
        would_fail=fails + again,
        had_less=len(short) - again,
    )


_RAN_OUT = (FailureCause.MEMORY, FailureCause.WALLTIME)


def _held(done: Iterable[Try], asked: Resources, memory: int | None) -> Use:
    hours = sum(each.seconds or 0.0 for each in done) / 3600
    return Use(core_hours=hours * asked.cpus, memory_hours=hours * (memory or 0) / GIB)


def _used(done: Iterable[Try]) -> Use:
    core, memory = 0.0, 0.0
    for each in done:
        core += (each.cpu_seconds or 0.0) / 3600
        memory += (each.memory or 0) / GIB * (each.seconds or 0.0) / 3600
    return Use(core_hours=core, memory_hours=memory)


def _exceeds(each: Try, asked: Resources) -> bool:
    """Tell whether a try that succeeded used more than would have been asked for."""
    if asked.mem is not None and each.memory is not None and each.memory > asked.mem:
        return True
    return (
        asked.time is not None
        and each.seconds is not None
        and each.seconds > asked.time.total_seconds()
    )


def _had_less(each: Try, asked: Resources) -> bool:
    """Tell whether a try that ran out had less of that than would have been asked for."""
    if each.cause is FailureCause.MEMORY:
        had, wanted = each.asked.mem, asked.mem
        return had is not None and wanted is not None and had < wanted
    return each.asked.time is not None and asked.time is not None and each.asked.time < asked.time
