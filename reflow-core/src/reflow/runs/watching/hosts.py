"""On which hosts elements run, by the claims of their workers."""

from __future__ import annotations

from collections.abc import Sequence

from reflow.model.records import Instance
from reflow.rundir.claims import current_claim
from reflow.rundir.layout import RunLayout
from reflow.rundir.wave_files import WaveSpec

MOST_READ = 200
"""Claims read by one look: a file server may answer slowly."""


class Hosts:
    """The hosts of elements, which are read once: a claim does not change."""

    def __init__(self, layout: RunLayout) -> None:
        self._layout = layout
        self._specs: dict[int, WaveSpec | None] = {}
        self._known: dict[tuple[int, int], str] = {}

    def of(self, running: Sequence[Instance]) -> list[str]:
        """Return the host of each running instance; empty where it is not known, or not yet."""
        there = {key: host for each in running if (host := self._known.get(key := _key(each)))}
        self._known = there
        left = MOST_READ
        for each in running:
            if left and _key(each) not in there and each.wave is not None:
                left -= 1
                if host := self._read(each):
                    there[_key(each)] = host
        return [there.get(_key(each), "") for each in running]

    def _read(self, instance: Instance) -> str:
        wave, position = instance.wave or 0, instance.position or 0
        try:
            if wave not in self._specs:
                self._specs[wave] = WaveSpec.read(self._layout.wave(wave))
            spec = self._specs[wave]
            claim = None if spec is None else self._claim(wave, spec.claim_of(position))
        except (OSError, ValueError, LookupError, TypeError):
            # It may be the folder of a run of another user, or of another version.
            self._specs.setdefault(wave, None)
            return ""
        return claim or ""

    def _claim(self, wave: int, number: int) -> str:
        claim = current_claim(self._layout.wave(wave), number)
        return "" if claim is None else str(claim.host)


def _key(instance: Instance) -> tuple[int, int]:
    return instance.wave or 0, instance.position or 0
