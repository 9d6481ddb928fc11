"""Which stored result serves which element.

Functions may draw random numbers, so two results of equal inputs need not be equal: within a run,
each stored result serves at most one element. Every element is first offered the result that the
same index had before, so that an unchanged rerun yields the same list in the same order. The
remaining results are then dealt out in order, those of the newest runs first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from reflow.model.records import Look, StoredOutput, Taker
from reflow.stores.contract import Store

PAGE = 1_000
"""Candidates read at once, at most, after earlier ones were rejected."""


def deal(
    store: Store,
    taker: Taker,
    wanted: Sequence[tuple[int, str]],
    used: set[int],
    usable: Callable[[StoredOutput], bool],
    passed: dict[str, StoredOutput] | None = None,
) -> dict[int, StoredOutput]:
    """Choose stored results for elements that are wanted by index and identity; by index.

    Elements without a result are left out. `used` are the keys of results that serve other
    elements of the run already; the chosen ones are added. `passed` is for the next elements of the
    same task: by identity, the candidate up to which no result is left for them.
    """
    passed = {} if passed is None else passed
    served: dict[int, StoredOutput] = {}
    # A result used by other elements of an enclosing run serves none of this run.
    refused = store.taken_by_kin(taker) if taker.place else set()

    def take(index: int, output: StoredOutput) -> bool:
        if output.key in used or output.key in refused:
            return False
        if not usable(output):
            refused.add(output.key)
            return False
        used.add(output.key)
        served[index] = output
        return True

    for index, output in store.previous_outputs(taker, wanted).items():
        take(index, output)
    hands: dict[str, _Hand] = {}
    for index, identity in wanted:
        if index not in served:
            hand = hands.setdefault(identity, _Hand(identity, passed.get(identity)))
            hand.waiting.append(index)
    open_hands = list(hands.values())
    while open_hands:
        found = store.find_outputs(taker, [hand.look() for hand in open_hands])
        for hand in open_hands:
            hand.offer(found.get(hand.identity, []), take)
        open_hands = [hand for hand in open_hands if hand.is_open]
    passed.update((hand.identity, hand.last) for hand in hands.values() if hand.last is not None)
    return served


@dataclass(slots=True)
class _Hand:
    """The elements of one identity that still wait for a result."""

    identity: str
    last: StoredOutput | None
    """The last candidate that was looked at."""
    waiting: list[int] = field(default_factory=list)
    """Their indexes, in order."""
    is_open: bool = True
    """Whether some wait, and more may be found."""
    _asked: int = 0

    def look(self) -> Look:
        """Ask for as many results as elements wait, and for more each time that was not enough."""
        self._asked = max(len(self.waiting), min(PAGE, 2 * self._asked))
        return Look(identity=self.identity, limit=self._asked, after=self.last)

    def offer(
        self, found: Sequence[StoredOutput], take: Callable[[int, StoredOutput], bool]
    ) -> None:
        """Deal out the results found, in order."""
        served = 0
        for output in found:
            if served == len(self.waiting):
                break
            served += take(self.waiting[served], output)
            self.last = output
        del self.waiting[:served]
        self.is_open = bool(self.waiting) and len(found) == self._asked
