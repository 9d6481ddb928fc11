"""What tasks should ask for instead.

Of memory and time, what 95 of 100 elements used and a margin, but never less than the most that an
element used which succeeded: a proposal must not break what works. What ran out without ever
succeeding counts as having needed twice what it had. The queue's own limit on time comes last.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from reflow.dispatch.jobs.advice import MANY
from reflow.dispatch.jobs.packing import LONG
from reflow.model.resources import Resources, memory_text, parse_memory, parse_time, time_text
from reflow.model.states import FailureCause
from reflow.model.tasks import TaskSpec
from reflow.runs.tuning.figures import percentile, round_memory, round_time
from reflow.runs.tuning.history import TaskHistory, Try

FEWEST = 5
"""Elements that must have succeeded before anything is proposed."""
SHARE = 0.95
MEMORY_MARGIN = 1.2
TIME_MARGIN = 1.5
CPU_MARGIN = 1.2
MORE = 2.0
"""By how much more an element needs, at a guess, that never had enough."""
WORTH = 0.8
"""Less is only proposed where it is at most this share of what is asked for now."""
TIGHT = 0.9
"""More is only proposed where at least this share of what is asked for was needed."""
MEASURABLE = 1.0
"""Seconds below which the use of CPUs says nothing: starting takes part of them."""

Value = str | int


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Another value of one option of a task, as it is written in a decorator."""

    option: str
    now: Value | None
    """None where the task leaves it to the site."""
    proposed: Value
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """What one task should ask for."""

    task: str
    elements: int
    """Elements that succeeded, by which it was decided."""
    changes: tuple[Change, ...] = ()
    reason: str = ""
    """Why nothing is proposed, where nothing is; or what limits it."""

    def value(self, option: str) -> Value | None:
        """Return what is proposed for an option; None where it is to stay."""
        return next((each.proposed for each in self.changes if each.option == option), None)

    def applied(self, resources: Resources) -> Resources:
        """Return a request with the proposed values."""
        cpus, mem, time = self.value("cpus"), self.value("mem"), self.value("time")
        return replace(
            resources,
            cpus=resources.cpus if cpus is None else int(cpus),
            mem=resources.mem if mem is None else parse_memory(mem),
            time=resources.time if time is None else parse_time(time),
        )


def propose(
    spec: TaskSpec,
    now: Resources,
    history: TaskHistory,
    *,
    longest: timedelta | None,
    shares: bool | None,
) -> Proposal:
    """Propose what a task should ask for, of which `now` is what it asks for now.

    `longest` is the most time that its queue allows, None where that is not known. `shares` tells
    whether something has decided how elements share jobs; None where they cannot share any.
    """
    done = history.succeeded
    if len(done) < FEWEST:
        reason = f"too little history: {len(done)} of {FEWEST} elements"
        return Proposal(task=spec.name, elements=len(done), reason=reason)
    changes = [
        *_memory(now, done, list(_hungry(history.tries, FailureCause.MEMORY))),
        *_time(now, done, list(_hungry(history.tries, FailureCause.WALLTIME)), longest),
        *_cpus(now, done),
        *_per_job(done, history.most_elements, shares),
    ]
    reason = "" if changes else "fits: what it asks for is what it uses"
    return Proposal(task=spec.name, elements=len(done), changes=tuple(changes), reason=reason)


def _hungry(tries: Sequence[Try], cause: FailureCause) -> Iterator[Try]:
    """Return the tries that ran out, of elements that never succeeded in their run."""
    short = [each for each in tries if each.cause is cause]
    done = {(each.run, each.index) for each in tries if short and each.succeeded}
    return (each for each in short if (each.run, each.index) not in done)


def _memory(now: Resources, done: Sequence[Try], hungry: Sequence[Try]) -> Iterator[Change]:
    used = [each.memory for each in done if each.memory is not None]
    if len(used) < FEWEST:
        return
    usual, most = percentile(used, SHARE), max(used)
    need, needed = max(usual * MEMORY_MARGIN, most), float(most)
    why = _most_of(memory_short(usual), memory_short(most), "used")
    if wanting := [each.asked.mem for each in hungry if each.asked.mem is not None]:
        needed = max(most, max(wanting))
        need = max(need, MORE * needed)
        why = f"{len(wanting)} ran out of memory with {memory_text(max(wanting))}"
    proposed = round_memory(need)
    if _is_worth_it(now.mem, proposed, needed):
        yield Change(
            option="mem",
            now=None if now.mem is None else memory_text(now.mem),
            proposed=memory_text(proposed),
            why=why,
        )


def _time(
    now: Resources, done: Sequence[Try], hungry: Sequence[Try], longest: timedelta | None
) -> Iterator[Change]:
    taken = [each.seconds for each in done if each.seconds is not None]
    if len(taken) < FEWEST:
        return
    usual, most = percentile(taken, SHARE), max(taken)
    need, needed = max(usual * TIME_MARGIN, most), most
    why = _most_of(_clock(usual), _clock(most), "took")
    if wanting := [each.asked.time for each in hungry if each.asked.time is not None]:
        needed = max(most, max(wanting).total_seconds())
        need = max(need, MORE * needed)
        why = f"{len(wanting)} ran out of time after {time_text(max(wanting))}"
    proposed = round_time(need)
    if longest is not None and proposed > longest:
        proposed, why = longest, f"{why}; the queue allows no more"
    asked = None if now.time is None else now.time.total_seconds()
    if _is_worth_it(asked, proposed.total_seconds(), needed):
        yield Change(
            option="time",
            now=None if now.time is None else time_text(now.time),
            proposed=time_text(proposed),
            why=why,
        )


def _cpus(now: Resources, done: Sequence[Try]) -> Iterator[Change]:
    """Propose fewer CPUs; whether more would help cannot be seen from use."""
    used = [
        each.cpu_seconds / each.seconds
        for each in done
        if each.cpu_seconds is not None and each.seconds is not None and each.seconds > MEASURABLE
    ]
    if now.cpus == 1 or len(used) < FEWEST:
        return
    usual = percentile(used, SHARE)
    proposed = max(1, math.ceil(usual * CPU_MARGIN), math.ceil(max(used)))
    if proposed < now.cpus:
        why = f"95 of 100 used up to {usual:.1f} CPUs on average"
        yield Change(option="cpus", now=now.cpus, proposed=proposed, why=why)


def _per_job(done: Sequence[Try], most_elements: int, shares: bool | None) -> Iterator[Change]:
    taken = [each.seconds for each in done if each.seconds is not None]
    if shares is not False or most_elements < MANY or len(taken) < FEWEST:
        return
    mean = sum(taken) / len(taken)
    if mean < LONG:
        why = f"{most_elements:,} jobs of {max(mean, 0.01):.2g} s each"
        yield Change(option="per_job", now=None, proposed="auto", why=why)


def _is_worth_it(now: float | None, proposed: float, needed: float) -> bool:
    """Tell whether what is asked for now is missing, hardly enough, or far too much."""
    if now is None or proposed <= WORTH * now:
        return True
    return proposed > now and needed > TIGHT * now


def memory_short(size: float) -> str:
    """Write bytes for reading: `340M`, `1.3G`."""
    mebibytes = size / 2**20
    return f"{mebibytes:.0f}M" if mebibytes < 1000 else f"{mebibytes / 1024:.1f}G"


def _most_of(usual: str, most: str, verb: str) -> str:
    if usual == most:
        return f"all {verb} up to {most}"
    return f"95 of 100 {verb} up to {usual}, the most {most}"


def _clock(seconds: float) -> str:
    return time_text(timedelta(seconds=seconds))
