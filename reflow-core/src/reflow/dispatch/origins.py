"""Which element of an array task each element of a later one came from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain, repeat

from reflow.dispatch.tracked_run import RunOfTasks, TrackedTask
from reflow.errors import DefinitionError
from reflow.model.graph import Edge, WireMode, each_of


class Origins:
    """Follows the elements of array tasks back to those that they were made of."""

    def __init__(
        self,
        tracked: RunOfTasks,
        lengths: Callable[[Edge], Sequence[int]],
        places: Callable[[TrackedTask], Callable[[int], Sequence[int]]],
    ) -> None:
        """Follow elements of a run whose tasks have ended as far as they matter.

        `lengths` returns how many parts each element of a step was taken apart into. `places`
        returns, for a task that combines lists, a function that says which item of each of its
        lists an element has.
        """
        self._tracked = tracked
        self._lengths = lengths
        self._places = places

    def of(self, step: str, per: str) -> Sequence[int] | None:
        """Return, by element of `step`, the element of `per` that it came from.

        None where it came from none. Raises `DefinitionError` where it came from several.
        """
        task = self._tracked.tasks[step]
        size = task.size or 0
        if step == per:
            return range(size)
        arguments = each_of(task.spec, task.edges)
        items = {name: self._items(task, name, per) for name in arguments}
        if all(found is None for found in items.values()):
            return None
        if task.spec.combination == "zip":
            ways = [found for found in items.values() if found is not None]
        else:
            places = self._places(task)
            chosen = [places(index) for index in range(size)]
            ways = [
                [found[place[number]] for place in chosen]
                for number, found in enumerate(items.values())
                if found is not None
            ]
        if any(list(way) != list(ways[0]) for way in ways):
            raise DefinitionError(
                f"elements of {step!r} come from several elements of {per!r} each, so that they "
                "are in no groups"
            )
        return ways[0]

    def _items(self, task: TrackedTask, argument: str, per: str) -> Sequence[int] | None:
        """Return, by item of the list that an argument goes through, where the item came from."""
        found: list[int] = []
        edges = [edge for edge in task.edges if edge.argument == argument]
        for edge in edges:
            if not self._tracked.tasks[edge.step].spec.array:
                return None
            origins = self.of(edge.origin, per)
            if origins is None:
                return None
            if edge.mode is WireMode.FAN_OUT_FLAT:
                counted = zip(origins, self._lengths(edge), strict=True)
                origins = list(chain.from_iterable(repeat(*each) for each in counted))
            found.extend(origins)
        return found if edges else None
