"""The arguments of a task's elements, as canonical texts, and the identities derived from them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import islice
from math import prod
from typing import NamedTuple

from reflow.codecs.codecs import Codecs
from reflow.codecs.lists import kind
from reflow.codecs.stored_result import join, may_refer, pairs, parts
from reflow.dispatch.origins import Origins
from reflow.dispatch.tracked_run import RunOfTasks, TrackedTask
from reflow.errors import DefinitionError
from reflow.fingerprint.files.states import State
from reflow.model.canonical import digest, dumps, loads
from reflow.model.graph import Edge, WireMode
from reflow.model.json import Json
from reflow.model.tasks import ParameterInput, ResultInput
from reflow.rundir.file_states import Recorded, places_in, states_from_json
from reflow.rundir.looks import files_mode
from reflow.rundir.run_settings import RunSettings
from reflow.rundir.source_record import PlannedCode


class Wired(NamedTuple):
    """A stored value used as an argument, with the recorded states of the files it refers to."""

    text: str
    states: tuple[State, ...] = ()
    """As in `Recorded.value`: recorded by the process that produced the value."""
    missing: tuple[int, ...] = ()
    """Of a group, the places in it of elements that did not succeed."""


Part = Wired | None
"""One element's part; None while the element it is chained to has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommonParts:
    """The named parts of an identity that all elements of a task share."""

    task: str
    code: str
    """The author's version, or the digest of the source."""
    arguments: Mapping[str, str]
    """By name, what each shared argument counts by."""
    after: Mapping[str, Sequence[int]] = field(default_factory=dict)
    """Per step that the task only comes after, the keys of the results that serve its run."""
    missing: Mapping[str, Sequence[int]] = field(default_factory=dict)
    """Per argument and step, the elements that did not succeed; empty where all did."""

    @property
    def digest(self) -> str:
        """The identity of an element without arguments of its own."""
        after: Json = [[step, *keys] for step, keys in self.after.items()]
        # Where nothing is missing, a gather counts alike whatever it allows.
        missing: list[Json] = [{key: [*gone] for key, gone in self.missing.items()}]
        # Where nothing is missing, a gather counts alike whatever it allows.
        more = missing if self.missing else []
        return digest(dumps([self.task, self.code, dict(self.arguments), after, *more]))


def identity_of(common: str, own: Sequence[str]) -> str:
    """Return an element's identity: `CommonParts.digest`, and what its own arguments count by."""
    return sha256("\n".join([common, *own]).encode()).hexdigest() if own else common


class TaskArguments:
    """The arguments of one task's elements, read from the store as far as they are known."""

    def __init__(
        self,
        tracked: RunOfTasks,
        settings: RunSettings,
        task: TrackedTask,
        planned: PlannedCode,
        codecs: Codecs,
    ) -> None:
        """Read the task's wired inputs. Raises `DefinitionError` for unequal lengths."""
        self._tracked = tracked
        self._settings = settings
        self.task = task
        self.planned = planned
        self._codecs = codecs
        self._outputs = task.spec.outputs
        self._common: dict[str, Wired] = {}
        self._missing: dict[str, Sequence[int]] = {}
        """Per argument, the elements of each step that did not succeed."""
        self._each: dict[str, list[Part]] = {}
        for item in task.spec.inputs:
            if isinstance(item, ParameterInput):
                self._take_parameter(item)
            elif isinstance(item, ResultInput):
                self._take_results(item)
        self.each: tuple[str, ...] = tuple(self._each)
        self._sizes = {name: len(values) for name, values in self._each.items()}
        self._is_product = task.spec.combination == "product"
        self.size = prod(self._sizes.values()) if self._is_product else self._agreed_size()
        self.parts = self._common_parts()
        self._prefix = self.parts.digest

    @property
    def common(self) -> dict[str, str]:
        """The texts of the arguments that all elements share, by name."""
        return {name: value.text for name, value in self._common.items()}

    def shared(self, name: str) -> Wired:
        """Return the value of an argument that all elements share. Raises `KeyError`."""
        return self._common[name]

    def place(self, name: str, index: int) -> int:
        """Return the place of an element's own argument in the list that it goes through."""
        return self._places(index)[self.each.index(name)]

    @property
    def common_states(self) -> dict[str, tuple[State, ...]]:
        """Recorded states of the files in shared arguments, for arguments whose files count."""
        return {
            name: value.states
            for name, value in self._common.items()
            if value.states and name not in self._outputs
        }

    def values(self, index: int) -> tuple[Wired, ...]:
        """Return an element's own arguments, in the order of `each`."""
        found = []
        for values, place in zip(self._each.values(), self._places(index), strict=True):
            value = values[place]
            assert value is not None, "an element is resolved only when its inputs are there"
            found.append(value)
        return tuple(found)

    def _places(self, index: int) -> list[int]:
        """Return the place of an element's item in each list; a product's last changes fastest."""
        if not self._is_product:
            return [index] * len(self._each)
        places = []
        for size in reversed(self._sizes.values()):
            index, place = divmod(index, size)
            places.append(place)
        return places[::-1]

    def states(self, values: Sequence[Wired]) -> tuple[tuple[State, ...], ...]:
        """Return, per own argument, the recorded states of its files; empty where it has none."""
        if not any(value.states for value in values):
            return ()
        return tuple(
            () if name in self._outputs else value.states
            for name, value in zip(self.each, values, strict=True)
        )

    def identity(self, values: Sequence[Wired]) -> str:
        """Return the cache key of an element."""
        return identity_of(self._prefix, self.own_parts(values))

    def own_parts(self, values: Sequence[Wired]) -> list[str]:
        """Return what each of an element's own arguments counts by, in the order of `each`."""
        return [*map(self._count_with_missing, self.each, values)]

    def identity_at(self, index: int) -> str | None:
        """Return the cache key of an element; None while the element it is chained to has none."""
        return self.identity(self.values(index)) if self.has_values(index) else None

    def has_values(self, index: int) -> bool:
        """Tell whether the arguments of an element are known: what it is chained to has ended."""
        places = zip(self._each.values(), self._places(index), strict=True)
        return all(values[place] is not None for values, place in places)

    def shown(self, index: int) -> Mapping[str, str]:
        """Return the texts of all wired and given arguments of an element, by name."""
        own = zip(self.each, (value.text for value in self.values(index)), strict=True)
        return {**self.common, **dict(own)}

    def _count_with_missing(self, name: str, value: Wired) -> str:
        count = self.count(name, value)
        # Where nothing is missing, a group counts alike whatever its gather allows.
        return f"{count} without {value.missing}" if value.missing else count

    def count(self, name: str, value: Wired) -> str:
        """Return the text by which an argument enters the identity."""
        if not may_refer(value.text):
            return digest(value.text)
        data = loads(value.text)
        paths = self._codecs.places(data)
        files: Mapping[str, Json]
        if name in self._outputs:
            here = self._settings.working_directory
            files = dict(zip(paths, places_in(paths, here), strict=True))
        else:
            counts = (state.counts_by() for state in value.states)
            files = dict(zip(paths, counts, strict=True))
        return digest(dumps(self._codecs.fingerprint(data, files)))

    # -- reading ---------------------------------------------------------------------------
    def _take_parameter(self, item: ParameterInput) -> None:
        spec, settings = self.task.spec, self._settings
        states = settings.parameter_states.get(files_mode(spec, settings), {})
        keyword = item.keyword(spec.name)
        if keyword not in settings.parameters:
            raise DefinitionError(
                f"task {spec.name!r} was given the parameter {keyword!r} since "
                f"{settings.run_id} was submitted: start a new run"
            )
        text = settings.parameters[keyword]
        value = Wired(text, states_from_json(states.get(keyword, [])))
        if item.each:
            self._each[item.argument] = [*self._with_states(parts(text), value)]
        else:
            self._common[item.argument] = value

    def _take_results(self, item: ResultInput) -> None:
        edges = [edge for edge in self.task.edges if edge.argument == item.argument]
        if edges[0].mode.each:
            self._each[item.argument] = [part for edge in edges for part in self._parts(edge)]
        else:
            self._common[item.argument] = self._whole(item, edges)

    def _outputs_of(self, step: str) -> list[Part]:
        """Return the output of each element of a step, by index."""
        found: list[Part] = [None] * (self._tracked.tasks[step].size or 0)
        for index, text, paths in self._tracked.store.outputs(self._settings.run_id, step):
            found[index] = Wired(text, Recorded.parse(paths).value) if paths else Wired(text)
        return found

    def _complete(self, step: str) -> list[Wired]:
        return [value for value in self._outputs_of(step) if value is not None]

    def _succeeded(self, edge: Edge) -> list[Wired]:
        """Return what succeeded of a step, with None for the rest where that is to stand there."""
        outputs = self._outputs_of(edge.step)
        missing = [index for index, value in enumerate(outputs) if value is None]
        if missing:
            self._missing[f"{edge.argument} {edge.step}"] = [*missing]
        found = [Wired("null") if value is None and edge.in_place else value for value in outputs]
        return [value for value in found if value is not None]

    def _parts(self, edge: Edge) -> list[Part]:
        if edge.mode is WireMode.CHAIN:
            return self._outputs_of(edge.step)
        if edge.mode.groups:
            return [*self._groups(edge)]
        if edge.mode is WireMode.FAN_OUT_FLAT:
            return [
                part for whole in self._complete(edge.step) for part in self._split(edge, whole)
            ]
        (value,) = self._complete(edge.step)
        return list(self._split(edge, value))

    def _groups(self, edge: Edge) -> list[Wired]:
        """Return, by element of the task that makes the groups, what came from it."""
        origins = Origins(self._tracked, self._lengths, self._places_of).of(edge.step, edge.origin)
        assert origins is not None, "the graph was checked"
        size = self._tracked.tasks[edge.origin].size or 0
        groups: list[list[Wired]] = [[] for _ in range(size)]
        missing: list[list[int]] = [[] for _ in range(size)]
        members = [0] * size
        for origin, value in zip(origins, self._outputs_of(edge.step), strict=True):
            if value is None:
                missing[origin].append(members[origin])
                groups[origin] += [Wired("null")] if edge.in_place else []
            else:
                groups[origin] += self._split(edge, value) if edge.mode.flattens else [value]
            members[origin] += 1
        joined = map(_joined, groups)
        return [
            each._replace(missing=tuple(places))
            for each, places in zip(joined, missing, strict=True)
        ]

    def _lengths(self, edge: Edge) -> list[int]:
        return [len(self._split(edge, value)) for value in self._complete(edge.step)]

    def _places_of(self, task: TrackedTask) -> Callable[[int], Sequence[int]]:
        combined = TaskArguments(self._tracked, self._settings, task, self.planned, self._codecs)
        return combined._places

    def _whole(self, item: ResultInput, edges: Sequence[Edge]) -> Wired:
        if len(item.steps) == 1:
            return self._collected(edges[0])
        return _joined([part for edge in edges for part in self._items(edge)])

    def _items(self, edge: Edge) -> list[Wired]:
        """Return what a step gives to a list that several steps give together."""
        value = self._collected(edge)
        if edge.mode.gathers or edge.mode.flattens:
            return self._with_states(parts(value.text), value)
        return self._split(edge, value)

    def _collected(self, edge: Edge) -> Wired:
        values = self._succeeded(edge) if edge.allow_failed else self._complete(edge.step)
        if edge.mode.gathers:
            return _joined(values)
        if edge.mode.flattens:
            return _joined([part for value in values for part in self._split(edge, value)])
        (value,) = values
        return value

    def _split(self, edge: Edge, value: Wired) -> list[Wired]:
        if edge.optional and value.text == "null":
            return []
        try:
            texts = pairs(value.text) if edge.pairs else parts(value.text)
        except ValueError as error:
            needed = "dict: return dict(...)" if edge.pairs else "list: return list(...)"
            raise DefinitionError(
                f"task {edge.step!r} returned a {kind(value.text)} where {edge.argument!r} of task "
                f"{edge.task!r} needs a {needed}"
            ) from error
        return self._with_states(texts, value)

    def _with_states(self, texts: Sequence[str], value: Wired) -> list[Wired]:
        """Return the parts of a value, each with the states of the files it refers to."""
        if not value.states:
            return [Wired(text) for text in texts]
        states = iter(value.states)
        return [Wired(text, tuple(islice(states, self._files_in(text)))) for text in texts]

    def _files_in(self, text: str) -> int:
        return len(self._codecs.places(loads(text))) if may_refer(text) else 0

    # -- what follows from it --------------------------------------------------------------
    def _agreed_size(self) -> int:
        if not self._each:
            return 1
        if len(set(self._sizes.values())) > 1:
            counted = ", ".join(f"{name!r} has {size}" for name, size in self._sizes.items())
            raise DefinitionError(
                f"the lists that task {self.task.name!r} goes through, side by side, differ in "
                f'length: {counted}; for every combination write array="product"'
            )
        return next(iter(self._sizes.values()))

    def _common_parts(self) -> CommonParts:
        tracked = self._tracked
        return CommonParts(
            task=self.task.name,
            code=self.planned.code,
            arguments={name: self.count(name, value) for name, value in self._common.items()},
            after={
                step: tracked.store.output_keys(tracked.run_id, step)
                for step in self.task.spec.after
            },
            missing=self._missing,
        )


def _joined(values: Sequence[Wired]) -> Wired:
    """Join values into one list value."""
    return Wired(
        join(value.text for value in values),
        tuple(state for value in values for state in value.states),
    )
