"""What a scheduler's words about jobs mean for the elements that share them.

The scheduler knows hosts, and nothing of the elements in them. Which host has an element is told by
the claim of its block. Where the host lives, the element goes on. Where it is over, its cause says
who is to blame: a node that failed, or a job that was preempted, is nobody's fault. For a process
that was killed, or had too much memory, the elements that the host was at are suspects. One that is
the only suspect has failed. Of several none has: each is tried again in a job of its own. What no
host has claimed waits for as long as there is a host that may take it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Protocol

from reflow.dispatch.jobs.packing import SUSPECTED
from reflow.dispatch.tracked_run import TrackedRun, TrackedWave
from reflow.execution.pool.protocol import Begun, begun_elements
from reflow.model.jobs import JobStatus
from reflow.model.records import SubmissionState
from reflow.model.states import FailureCause, JobState
from reflow.permissions import touch
from reflow.rundir.claims import Claim, current_claim
from reflow.rundir.layout import RunLayout
from reflow.rundir.packs import (
    JobCounts,
    Pack,
    begun_at,
    read_slots,
    slots_files,
    write_job_counts,
)
from reflow.rundir.wave_files import WaveSpec

CLOCK_TOLERANCE = 5.0
"""Seconds by which the clocks of two machines may differ, and a scheduler be early."""


class Blame(Enum):
    """What the end of a host means for an element that it has left without a result."""

    OWN = "own"
    """The host's cause is the element's."""
    SUSPECT = "suspect"
    """It may have ended the host, as others may; it is to run alone."""
    NONE = "none"
    """It is to run again as if nothing had happened."""


@dataclass(frozen=True, slots=True)
class Fate:
    """What the jobs of a wave mean for one of its positions."""

    position: int
    status: JobStatus
    job: int | None
    """By what number the executor knows the job: the position, or the host that has it. None where
    no host has claimed it, so that each of the wave's may have been meant to."""
    blame: Blame = Blame.OWN
    counted: bool = True
    """Whether it is one of the tries that an element has at most without blame."""


class HostStates(Protocol):
    """What is known of the jobs that may have taken a wave's blocks."""

    def of(self, claim: Claim) -> JobStatus | None:
        """Return the status of the host that made a claim; None where it is none of a host's."""
        ...

    def unclaimed(self, *, idle: bool) -> tuple[JobStatus, Blame]:
        """Return what becomes of blocks that no host has taken.

        Where the hosts were `idle`, none has begun an element, and their cause is what is wrong.
        """
        ...


@dataclass(frozen=True, slots=True)
class HostsOfWave:
    """The states of the jobs of one wave, by their numbers in its array."""

    by_number: Mapping[int, JobStatus]

    def of(self, claim: Claim) -> JobStatus | None:
        """Return the status of the host that made a claim; None where it is none of a host's."""
        return None if claim.element is None else self.by_number.get(claim.element)

    def unclaimed(self, *, idle: bool) -> tuple[JobStatus, Blame]:
        """Return what becomes of blocks that no host has taken: they wait for one, or for none."""
        coming = [item for item in self.by_number.values() if not item.state.gone]
        if not coming:
            states = self.by_number.values()
            status = min(states, key=lambda item: _TELLING.index(item.state))
            cancelled = all(map(_is_cancelled, states))
            own = cancelled or (idle and _is_suspicious(status))
            return status, Blame.OWN if own else Blame.NONE
        queued = [item for item in coming if item.state is JobState.QUEUED]
        waits = JobStatus(
            native_id=coming[0].native_id,
            state=JobState.QUEUED,
            reason=queued[0].reason if queued else "",
            impossible=all(item.impossible for item in coming),
        )
        return waits, Blame.NONE


class Hosts:
    """The hosts of a run's waves."""

    def __init__(self, tracked: TrackedRun, layout: RunLayout) -> None:
        self._tracked = tracked
        self._layout = layout
        self._specs: dict[int, WaveSpec] = {}
        self._claims: dict[int, dict[int, Claim]] = {}
        """By wave and block, the claims read so far: there may be a thousand times a thousand."""
        self._counted: dict[int, JobCounts] = {}
        """By wave, what was last written of its jobs for `status`."""

    def spec(self, wave: TrackedWave) -> WaveSpec | None:
        """Return a wave's specification, read once; None where it cannot be read.

        Raises `OSError` where hosts have begun: their numbers would be taken for positions.
        """
        number = wave.record.number
        if number not in self._specs:
            # Those of waves that are over are not needed again.
            for kept in (self._specs, self._claims):
                for over in kept.keys() - self._tracked.waves.keys():
                    del kept[over]
            try:
                self._specs[number] = WaveSpec.read(self._layout.wave(number))
            except OSError:
                if self._folder(wave).exists():
                    raise
        return self._specs.get(number)

    def pack_of(self, wave: TrackedWave) -> Pack | None:
        """Return how a wave's elements share jobs; None where each has its own."""
        spec = self.spec(wave)
        return None if spec is None else spec.pack

    def claim_of(self, wave: TrackedWave, position: int) -> Claim | None:
        """Return who has claimed a position; None where nobody has."""
        spec = self.spec(wave)
        number = position if spec is None else spec.claim_of(position)
        return current_claim(self._layout.wave(wave.record.number), number)

    def end_waiting(self, wave: TrackedWave) -> None:
        """Record as to be cancelled the hosts of a wave that is over which wait in the queue still.

        Where that cannot be written they find nothing to do when they start.
        """
        number, pack = wave.record.number, self.pack_of(wave)
        if number in self._tracked.cancelling or pack is None or pack.open:
            return
        if len(list(self._folder(wave).glob("*.slots"))) >= pack.hosts:
            return
        with suppress(OSError):
            touch(self._layout.wave(number).over)
            self._tracked.set_submission(replace(wave.record, state=SubmissionState.CANCELLING))

    def _folder(self, wave: TrackedWave) -> Path:
        return self._layout.wave(wave.record.number).hosts

    def count(self, wave: TrackedWave, by_host: Mapping[int, JobStatus]) -> None:
        """Keep for `status` how many jobs of a wave run and wait."""
        pack = self.pack_of(wave)
        assert pack is not None
        states = Counter(status.state for status in by_host.values())
        running = states[JobState.RUNNING] + states[JobState.SUSPENDED]
        counts = JobCounts(
            running=running,
            queued=states[JobState.QUEUED],
            at_once=running * pack.at_once,
        )
        number = wave.record.number
        if self._counted.get(number) != counts:
            self._counted[number] = counts
            write_job_counts(self._layout.wave(number).job_counts, counts)

    def fates(self, wave: TrackedWave, states: HostStates) -> Iterator[Fate]:
        """Yield what becomes of the outstanding positions of a wave whose elements share jobs."""
        spec = self.spec(wave)
        assert spec is not None and spec.pack is not None  # noqa: PT018
        blocks = _by_block(wave, spec.pack)
        claims = self._claims_of(spec.number, blocks, states)
        suspects: dict[Claim, Mapping[int, Blame]] = {}
        # Pilots go on with other waves.
        goes_on = spec.pack.open or len(wave.members) < spec.size
        idle = not goes_on and not self._any_element_was_begun(wave)
        free, blame = states.unclaimed(idle=idle)
        for block, positions in blocks.items():
            claim = claims.get(block)
            status = None if claim is None else states.of(claim)
            if claim is None or status is None:
                for position in positions:
                    yield Fate(position, free, None, blame, counted=not goes_on)
                continue
            if claim not in suspects:
                suspects[claim] = self._suspects(wave, spec, claim, status)
            begun = suspects[claim]
            own = _is_cancelled(status) or (idle and _is_suspicious(status))
            rest = Blame.OWN if own else Blame.NONE
            for position in positions:
                counted = position in begun or not goes_on
                yield Fate(position, status, claim.element, begun.get(position, rest), counted)

    def _claims_of(
        self, number: int, blocks: Iterable[int], states: HostStates
    ) -> Mapping[int, Claim]:
        """Return the claims of blocks. Only those of hosts that are gone are read once more.

        Of the others each is read once, and those that are not there are not looked for singly.
        """
        layout = self._layout.wave(number)
        known = self._claims.setdefault(number, {})
        unsure = [
            block for block in blocks if block not in known or not _lives(states.of(known[block]))
        ]
        there: set[str] = set()
        for folder in {layout.claim_block(block) for block in unsure}:
            with suppress(FileNotFoundError):
                there.update(each.name for each in folder.iterdir())
        for block in unsure:
            claim = current_claim(layout, block) if f"{block}.0" in there else None
            if claim is not None:
                known[block] = claim
        return known

    def _any_element_was_begun(self, wave: TrackedWave) -> bool:
        files = self._folder(wave).glob("*.slots")
        return any(any(begun_elements(read_slots(path))) for path in files)

    def _suspects(
        self, wave: TrackedWave, spec: WaveSpec, claim: Claim, status: JobStatus
    ) -> Mapping[int, Blame]:
        """Tell which of the positions that a host was at are to blame for its end."""
        if not status.state.gone or _is_cancelled(status):
            return {}
        pack = spec.pack
        open_to_pilots = pack is not None and pack.open
        folder = self._layout.hosts if open_to_pilots else self._folder(wave)
        begun_there = [
            (begun, _had_its_time(spec, path, begun))
            for path in slots_files(folder, claim)
            for begun in begun_elements(read_slots(path))
            if self._is_outstanding(*begun.at)
        ]
        begun_here = {each.at[1]: over for each, over in begun_there if each.at[0] == spec.number}
        if status.cause is FailureCause.WALLTIME:
            return {each: Blame.OWN if over else Blame.NONE for each, over in begun_here.items()}
        if _is_suspicious(status):
            return dict.fromkeys(begun_here, Blame.OWN if len(begun_there) == 1 else Blame.SUSPECT)
        return dict.fromkeys(begun_here, Blame.NONE)

    def _is_outstanding(self, number: int, position: int) -> bool:
        """Tell whether an element that a host was at has no result."""
        wave = self._tracked.waves.get(number)
        return wave is not None and position in wave.members


_TELLING = (JobState.UNKNOWN, JobState.FAILED, JobState.CANCELLED, JobState.COMPLETED)
"""Of several hosts that are gone, the state that decides. One that is only unknown may still be
running: it is given its grace."""


def _had_its_time(spec: WaveSpec, slots: Path, begun: Begun) -> bool:
    """Tell whether an element had all its time before that of its host was over."""
    need, given = spec.resources.time, spec.pack.time if spec.pack else None
    if need is None or given is None:
        return False
    end = begun_at(slots) / 1e9 + given
    return end - begun.time >= need.total_seconds() - CLOCK_TOLERANCE


def _by_block(wave: TrackedWave, pack: Pack) -> dict[int, list[int]]:
    blocks: dict[int, list[int]] = {}
    for position in wave.members:
        blocks.setdefault(pack.block_of(position), []).append(position)
    return blocks


def _lives(status: JobStatus | None) -> bool:
    return status is not None and not status.state.gone


def _is_suspicious(status: JobStatus) -> bool:
    """Tell whether what a job ran may have ended it."""
    failed = status.state is JobState.FAILED
    return failed and (status.cause is None or status.cause in SUSPECTED)


def _is_cancelled(status: JobStatus) -> bool:
    """Tell whether somebody has cancelled a job by the scheduler's own command."""
    return status.state is JobState.CANCELLED and status.cause is None
