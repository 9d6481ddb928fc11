"""By what the identities of two elements differ.

The parts of both identities come from `TaskArguments`, which the dispatcher keys the cache with, so
that what is said here cannot differ from what was done. Only parts that differ are looked into.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from reflow.dispatch.arguments import Wired
from reflow.fingerprint.files.states import State
from reflow.model.graph import Edge, WireMode
from reflow.model.tasks import ParameterInput
from reflow.rundir.file_states import Recorded
from reflow.runs.explain.definitions import source_differences, version_of
from reflow.runs.explain.shown import shown
from reflow.runs.explain.sides import Side, outputs_of
from reflow.runs.explain.words import MOST_NAMED, Difference, Field

MOST_FILES = 20
"""Files of one value whose difference is told."""


class Comparison:
    """Two sides of one task, the earlier one first."""

    def __init__(self, old: Side, new: Side) -> None:
        self._old = old
        self._new = new
        self._common: list[Difference] | None = None

    def common(self) -> list[Difference]:
        """Return by what all elements of the two differ."""
        if self._common is None:
            self._common = [*self._code(), *self._shared(), *self._after(), *self._missing()]
        return self._common

    def differing(self, old: int, new: int) -> tuple[str, ...]:
        """Return the names of an element's own arguments that count otherwise than before."""
        before, now = self._own(self._old, old), self._own(self._new, new)
        if before == now:
            return ()
        former = dict(zip(self._old.arguments.each, before, strict=True))
        return tuple(
            name
            for name, count in zip(self._new.arguments.each, now, strict=True)
            if former.get(name, count) != count
        )

    def of_element(self, old: int, new: int) -> list[Difference]:
        """Return by what an element of the new side differs from one of the old."""
        names = self.differing(old, new)
        own = (each for name in names for each in self._of_argument(name, old, new))
        return [*self.common(), *own]

    def of_elements(self, elements: Sequence[int], names: Sequence[str]) -> list[Difference]:
        """Return by what many elements differ that differ in the same arguments."""
        return [*self.common(), *(self._of_all(name, elements) for name in names)]

    def _own(self, side: Side, index: int) -> list[str]:
        return side.arguments.own_parts(side.arguments.values(index))

    def _of_all(self, name: str, elements: Sequence[int]) -> Difference:
        """Return how an argument of many elements differs: by the step or the parameter."""
        if self._is_parameter(name):
            field, whose = Field.PARAMETER, self._keyword(name)
        else:
            field, whose = Field.UPSTREAM, self._origin(name, elements[0])[0]
        places = sorted({self._new.arguments.place(name, index) for index in elements})
        is_chained = field is Field.UPSTREAM and self._origin(name, elements[0])[1] is not None
        return Difference(
            field=field,
            name=whose,
            argument=name,
            elements=tuple(places[:MOST_NAMED]) if is_chained else (),
            count=len(places),
        )

    # -- the source ------------------------------------------------------------------------
    def _code(self) -> list[Difference]:
        old, new = self._old.arguments.parts.code, self._new.arguments.parts.code
        if old == new:
            return []
        task = self._new.task
        versions = version_of(old), version_of(new)
        if any(versions):
            said = [text or "its source" for text in versions]
            return [Difference(field=Field.VERSION, name="version", old=said[0], new=said[1])]
        before, now = self._old.source.tasks.get(task), self._new.source.tasks.get(task)
        if before is not None and now is not None:
            found = source_differences(before, now, self._old.text, self._new.text)
            if found:
                return found
        return [Difference(field=Field.CODE, name="source", detail="in how its parts are used")]

    # -- arguments that all elements share -------------------------------------------------
    def _shared(self) -> Iterator[Difference]:
        old, new = self._old.arguments, self._new.arguments
        for name in dict.fromkeys([*new.parts.arguments, *old.parts.arguments]):
            before, now = old.parts.arguments.get(name), new.parts.arguments.get(name)
            if before is None or now is None:
                yield self._other_argument(name)
            elif before != now:
                yield from self._of_shared(name)
        for name in dict.fromkeys([*new.each, *old.each]):
            both = {*new.parts.arguments, *new.each} & {*old.parts.arguments, *old.each}
            if name not in both:
                yield self._other_argument(name)

    def _other_argument(self, name: str) -> Difference:
        old, new = self._old.arguments, self._new.arguments
        is_there = [name in each.common or name in each.each for each in (old, new)]
        match is_there:
            case [True, False]:
                detail = "the task has it no more"
            case [False, True]:
                detail = "the task did not have it"
            case _:
                whole = name in new.common
                detail = "given whole now" if whole else "given item by item now"
        return Difference(
            field=Field.ARGUMENT,
            name=name,
            argument=name,
            old=shown(old.common[name]) if name in old.common else "",
            new=shown(new.common[name]) if name in new.common else "",
            detail=detail,
        )

    def _of_shared(self, name: str) -> Iterator[Difference]:
        old, new = self._old.arguments.shared(name), self._new.arguments.shared(name)
        if self._is_parameter(name):
            yield from self._of_value(Field.PARAMETER, self._keyword(name), name, old, new)
            return
        edges = [edge for edge in self._new.arguments.task.edges if edge.argument == name]
        found = [each for edge in edges for each in self._of_step(edge, name)]
        yield from found or self._of_value(Field.UPSTREAM, edges[0].step, name, old, new)

    def _of_step(self, edge: Edge, name: str) -> Iterator[Difference]:
        """Yield how what a step gave as a whole differs."""
        is_old = edge.step in self._old.tracked.tasks
        before = outputs_of(self._old, edge.step) if is_old else iter(())
        differing: list[int] = []
        number = 0
        pair: tuple[Wired | None, Wired | None] = (None, None)
        for index, *found in merged(before, outputs_of(self._new, edge.step)):
            one, other = map(_wired, found)
            if one == other or self._counts_alike(name, one, other):
                continue
            number += 1
            if number == 1:
                pair = (one, other)
            if len(differing) < MOST_NAMED:
                differing.append(index)
        if not number:
            return
        one, other = pair
        if one is not None and other is not None and one.text == other.text:
            whose = f"returned by {self._element(edge.step, differing[0])}"
            yield from _of_files(name, whose, one.states, other.states)
            if number == 1:
                return
        alone = number == 1
        yield Difference(
            field=Field.UPSTREAM,
            name=edge.step,
            argument=name,
            old=_told(one) if alone and one is not None else "",
            new=_told(other) if alone and other is not None else "",
            detail="" if is_old else "the step is new",
            elements=tuple(differing) if self._is_array(edge.step) else (),
            count=number,
        )

    def _counts_alike(self, name: str, one: Wired | None, other: Wired | None) -> bool:
        """Tell whether two values are the same to the cache, wherever their bytes lie."""
        if one is None or other is None:
            return False
        return self._old.arguments.count(name, one) == self._new.arguments.count(name, other)

    def _element(self, step: str, index: int) -> str:
        return f"{step}[{index}]" if self._is_array(step) else step

    def _is_array(self, step: str) -> bool:
        task = self._new.tracked.tasks.get(step)
        return task is not None and task.spec.array

    # -- arguments of one element ----------------------------------------------------------
    def _of_argument(self, name: str, old: int, new: int) -> Iterator[Difference]:
        before, now = self._value(self._old, name, old), self._value(self._new, name, new)
        if self._is_parameter(name):
            item = f"{self._keyword(name)}[{self._new.arguments.place(name, new)}]"
            yield from self._of_value(Field.PARAMETER, item, name, before, now)
            return
        step, element, item = self._origin(name, new)
        found = self._of_value(Field.UPSTREAM, step, name, before, now, element, item)
        if before.missing != now.missing:
            found = [*found, *_other_missing(step, before.missing, now.missing)]
        yield from found

    def _value(self, side: Side, name: str, index: int) -> Wired:
        return side.arguments.values(index)[side.arguments.each.index(name)]

    def _origin(self, name: str, index: int) -> tuple[str, int | None, str]:
        """Return the step that an element's own argument came from; which element; or which item.

        None and empty where it is no single one.
        """
        arguments = self._new.arguments
        place = arguments.place(name, index)
        edges = [edge for edge in arguments.task.edges if edge.argument == name]
        for edge in edges:
            if edge.mode is not WireMode.CHAIN:
                break
            size = self._new.tracked.tasks[edge.step].size or 0
            if place < size:
                return edge.step, place, ""
            place -= size
        item = f"item {place}" if edge.mode is WireMode.FAN_OUT and len(edges) == 1 else ""
        if edge.mode.groups:
            item = f"the group of {edge.origin}[{place}]"
        return " and ".join(each.step for each in edges), None, item

    # -- one value -------------------------------------------------------------------------
    def _of_value(
        self,
        field: Field,
        name: str,
        argument: str,
        old: Wired,
        new: Wired,
        element: int | None = None,
        item: str = "",
    ) -> list[Difference]:
        of = f"{name}[{element}]" if element is not None else name
        if old.text == new.text and (old.states or new.states):
            whose = "" if field is Field.PARAMETER else f"returned by {of}"
            return list(_of_files(argument, whose, old.states, new.states))
        return [
            Difference(
                field=field,
                name=name,
                argument=argument,
                old=_told(old),
                new=_told(new),
                detail=item,
                elements=() if element is None else (element,),
                count=1,
            )
        ]

    def _is_parameter(self, name: str) -> bool:
        return any(item.argument == name for item in self._new.arguments.task.spec.parameters)

    def _keyword(self, name: str) -> str:
        spec = self._new.arguments.task.spec
        for item in spec.inputs:
            if isinstance(item, ParameterInput) and item.argument == name:
                return item.keyword(spec.name)
        return name

    # -- executions and gaps ---------------------------------------------------------------
    def _after(self) -> Iterator[Difference]:
        old, new = self._old.arguments.parts.after, self._new.arguments.parts.after
        for step in dict.fromkeys([*new, *old]):
            before, now = set(old.get(step, ())), set(new.get(step, ()))
            if step not in old or step not in new:
                detail = "the task comes after it now" if step in new else "no longer waited for"
                yield Difference(field=Field.AFTER, name=step, detail=detail)
            elif before != now:
                yield Difference(field=Field.AFTER, name=step, count=len(now - before))

    def _missing(self) -> Iterator[Difference]:
        old, new = self._old.arguments.parts.missing, self._new.arguments.parts.missing
        for key in dict.fromkeys([*new, *old]):
            before, now = old.get(key, ()), new.get(key, ())
            if before != now:
                yield from _other_missing(key.partition(" ")[2], before, now)


def _told(value: Wired) -> str:
    return shown(value.text)


def _other_missing(step: str, before: Sequence[int], now: Sequence[int]) -> list[Difference]:
    changed = sorted({*before} ^ {*now})
    return [
        Difference(
            field=Field.MISSING,
            name=step,
            old=f"{len(before):,}",
            new=f"{len(now):,}",
            elements=tuple(changed[:MOST_NAMED]),
            count=len(changed),
        )
    ]


def _of_files(
    argument: str, whose: str, old: Sequence[State], new: Sequence[State]
) -> Iterator[Difference]:
    before = {state.place: state for state in old}
    told = 0
    for state in new:
        earlier = before.get(state.place)
        if earlier is not None and earlier.counts_by() == state.counts_by():
            continue
        if told == MOST_FILES:
            return
        told += 1
        detail = "another place" if earlier is None else _how(state, earlier)
        yield Difference(
            field=Field.FILE,
            name=state.place,
            argument=argument,
            old="" if earlier is not None or len(old) != 1 else old[0].place,
            new="" if earlier is not None else state.place,
            detail=f"{detail}; {whose}" if whose else detail,
        )


def _how(now: State, before: State) -> str:
    if now.made != before.made:
        return "written anew"
    return now.difference(before)


_Output = tuple[int, str, str | None]


def _wired(output: _Output | None) -> Wired | None:
    return None if output is None else Wired(output[1], Recorded.parse(output[2]).value)


def merged(
    old: Iterator[_Output], new: Iterator[_Output]
) -> Iterator[tuple[int, _Output | None, _Output | None]]:
    """Yield what two runs of a step gave, index by index; None where one gave nothing."""
    before, now = next(old, None), next(new, None)
    while before is not None or now is not None:
        index = min(each[0] for each in (before, now) if each is not None)
        is_old = before is not None and before[0] == index
        is_new = now is not None and now[0] == index
        yield index, before if is_old else None, now if is_new else None
        before = next(old, None) if is_old else before
        now = next(new, None) if is_new else now
