"""A wave as a host serves it: the blocks that the host has claimed, and what is left of them."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from functools import cached_property

from reflow.execution.completion import count_result
from reflow.execution.outcomes import record_of_death
from reflow.model.jobs import JobStatus
from reflow.rundir.claims import CLAIM_APPEARS_WITHIN, Claim, claim, is_being_claimed
from reflow.rundir.packs import Pack, note_long, unclaimed_blocks
from reflow.rundir.results import ResultReader, SegmentWriter
from reflow.rundir.run_settings import RunSettings
from reflow.rundir.wave_files import InputReader, WaveSpec


class ServedWave:
    """Claims blocks of a wave, its host's own share first and then whatever others have left."""

    def __init__(
        self, settings: RunSettings, spec: WaveSpec, me: Claim, *, returns: bool = False
    ) -> None:
        """Prepare to claim for a host; `returns` where its job was started once more."""
        assert spec.pack is not None
        self._settings = settings
        self._me = me
        self._returns = returns
        self.spec = spec
        self.pack: Pack = spec.pack
        self.layout = settings.layout.wave(spec.number)
        self._began = time.monotonic()
        self._known = self._results_before() if returns else frozenset()
        self._blocks: Iterator[int] = self._free_blocks()
        self._late: list[int] = []
        """Blocks that another process was about to claim when this one tried to."""
        self._left: dict[int, set[int]] = {}
        """By claimed block, the positions whose results are not on the disk yet."""
        self.has_taken = False
        """Whether any block was claimed."""
        self.exhausted = False
        """Whether nothing was left to claim when that was last tried."""
        self.done = 0
        self._is_known_long = False
        self._permits = self._next_permit = 0
        self.counted_last = False
        """Whether this host has counted the last block of the wave."""

    # -- blocks ----------------------------------------------------------------------------
    def take(self) -> list[int] | None:
        """Claim a block and return the positions that are to run; None where none is left."""
        block = next(self._blocks, None)
        if block is None:
            self.exhausted = True
            return None
        self.has_taken = True
        left = set(self.pack.positions(block, self.spec.size)) - self._known
        self._left[block] = left
        self._count_if_done(block)
        return sorted(left)

    @property
    def at_most(self) -> int | None:
        """How many elements this host may run at once; None where that is not limited."""
        return None if self.pack.permits is None else self._permits

    def may_add(self, unfinished: int) -> bool:
        """Tell whether one more element may run beside unfinished ones; claim a permit for it."""
        if self.pack.permits is None or unfinished < self._permits:
            return True
        while self._next_permit < self.pack.permits:
            number = self.pack.permit(self._next_permit, self.spec.size)
            self._next_permit += 1
            if not self.layout.has_claim(number) and self._claim(number):
                self._permits += 1
                return True
        return False

    def has_unclaimed(self) -> bool:
        """Tell whether there are blocks that nobody has claimed, by one listing."""
        return bool(unclaimed_blocks(self.layout, self.spec.claims))

    def take_no_more(self) -> None:
        """Claim nothing more."""
        self._blocks = iter(())

    def _free_blocks(self) -> Iterator[int]:
        """Claim and yield blocks: the host's own share, then what others have not claimed."""
        own = self.pack.share(self._me.element or 0, self.spec.size)
        for block in own:
            if self._claim(block):
                yield block
        taken = True
        while taken and (others := self._others(own)):
            taken = False
            # Hosts that look for more begin at different places, so that they seldom meet.
            start = random.randrange(len(others))  # noqa: S311
            for block in (*others[start:], *others[:start]):
                if (self._returns or not self.layout.has_claim(block)) and self._claim(block):
                    taken = not self._returns
                    yield block
        yield from self._late_blocks()

    def _late_blocks(self) -> Iterator[int]:
        """Claim and yield blocks that an earlier life of this job was about to claim.

        It may have died before that. All of them are waited for together, after all others.
        """
        end = time.monotonic() + CLAIM_APPEARS_WITHIN
        late, self._late = self._late, []
        for block in late:
            if self._claim(block, patience=max(0.0, end - time.monotonic())):
                yield block

    def _others(self, own: range) -> list[int]:
        """Return blocks outside of a host's share that nobody has claimed, by one listing.

        A job that was started again may have claimed some of the others itself.
        """
        if self._returns:
            return [item for item in range(self.spec.claims) if item not in own]
        return unclaimed_blocks(self.layout, self.spec.claims)

    def _claim(self, block: int, patience: float = 0.0) -> bool:
        """Claim a block; return False where it is another's, or nothing may begin any more.

        A dispatcher that calls the wave off looks at the claims after that. A claim that another
        process is about to make is not waited for: only that of an earlier life of this job could
        be taken over, and others wait meanwhile.
        """
        mine = claim(self.layout, block, self._me, self._settings.claims, patience)
        if not mine and self._returns and is_being_claimed(self.layout, block):
            self._late.append(block)
        return mine and not self.layout.called_off.exists()

    def _results_before(self) -> frozenset[int]:
        """Return the positions that have a result, of this job's earlier incarnations too.

        What was interrupted when the job was put back into the queue has none: it is this one's.
        """
        there = ResultReader(self.layout).new()
        return frozenset(record.position for record in there if not record.interrupted)

    # -- results ---------------------------------------------------------------------------
    def reported(self, position: int) -> None:
        """Note that a position's result is on the disk."""
        block = self.pack.block_of(position)
        self.done += 1
        self._left[block].discard(position)
        self._count_if_done(block)

    def _count_if_done(self, block: int) -> None:
        if not self._left[block]:
            counts = self.spec.notify and count_result(self.layout, block, self.spec.claims)
            self.counted_last |= counts

    def record_death(self, position: int, status: JobStatus, *, interrupted: bool) -> None:
        """Write the result of an element whose worker has died."""
        record = self._inputs.read(position)
        log = self._settings.layout.log(self.spec.task, record.index, record.attempt)
        self._writer.append(
            record_of_death(
                self.spec.task,
                position,
                record,
                status,
                native_id=self._me.native_id,
                log=str(log.relative_to(self._settings.run_dir)) if log.exists() else "",
                interrupted=interrupted,
            )
        )
        self._writer.flush()

    @cached_property
    def _inputs(self) -> InputReader:
        return InputReader(self.layout.inputs)

    @cached_property
    def _writer(self) -> SegmentWriter:
        return SegmentWriter(self.layout, self._me.file_name)

    def close(self) -> None:
        """Close the files that were opened."""
        for name in ("_inputs", "_writer"):
            if name in self.__dict__:
                self.__dict__.pop(name).close()

    # -- durations -------------------------------------------------------------------------
    def seconds_each(self, at_once: int) -> float:
        """Return how long an element takes, or longer while the first ones run."""
        return (time.monotonic() - self._began) * at_once / max(at_once, self.done)

    def note_if_long(self, at_once: int) -> bool:
        """Note that elements of unknown duration take long while others wait that no host has.

        Returns True once, to one of the wave's hosts.
        """
        limit = self.pack.long_after
        if limit is None or self._is_known_long or self.seconds_each(at_once) < limit:
            return False
        self._is_known_long = True
        waiting = unclaimed_blocks(self.layout, self.spec.claims)
        return bool(waiting) and note_long(self.layout) and self.spec.notify
