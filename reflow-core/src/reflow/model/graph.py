"""A validated workflow: tasks in topological order, and how values travel between them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from math import ceil

from reflow.model.tasks import ParameterInput, TaskSpec


class WireMode(StrEnum):
    """How the results of one step reach one argument of a task."""

    DIRECT = "direct"
    """A plain task's value, as it is, into a plain task."""
    FAN_OUT = "fan-out"
    """A plain task's list, one element each."""
    GATHER = "gather"
    """An array task's values as one list, in index order, into a plain task."""
    GATHER_FLAT = "gather-flat"
    """An array task's lists, concatenated, into a plain task."""
    CHAIN = "chain"
    """An array task's values, index by index."""
    FAN_OUT_FLAT = "fan-out-flat"
    """An array task's lists, concatenated, one element each."""
    BROADCAST = "broadcast"
    """A plain task's value, whole, to every element."""
    GATHER_BROADCAST = "gather-broadcast"
    """An array task's values as one list, whole, to every element."""
    GATHER_FLAT_BROADCAST = "gather-flat-broadcast"
    """An array task's lists, concatenated, whole, to every element."""
    GROUP = "group"
    """An array task's values as lists, one for each element of an earlier array task."""
    GROUP_FLAT = "group-flat"
    """An array task's lists, concatenated for each element of an earlier array task."""

    @property
    def each(self) -> bool:
        """Whether every element gets its own part, so that the mode sets the array's size."""
        return self in (WireMode.FAN_OUT, WireMode.FAN_OUT_FLAT, WireMode.CHAIN) or self.groups

    @property
    def groups(self) -> bool:
        """Whether an array task's values are put together per element of an earlier one."""
        return self in (WireMode.GROUP, WireMode.GROUP_FLAT)

    @property
    def gathers(self) -> bool:
        """Whether an array task's values are first put together as one list."""
        return self in (WireMode.GATHER, WireMode.GATHER_BROADCAST)

    @property
    def flattens(self) -> bool:
        """Whether an array task's lists are concatenated first."""
        return self in (
            WireMode.GATHER_FLAT,
            WireMode.FAN_OUT_FLAT,
            WireMode.GATHER_FLAT_BROADCAST,
            WireMode.GROUP_FLAT,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """How one step reaches one argument.

    Where an argument names several steps, its edges stand in the order of the steps; their
    values are concatenated as lists, and chained elements are counted on.
    """

    step: str
    task: str
    argument: str
    mode: WireMode
    rule: str
    """The type rule that decided."""
    pairs: bool = False
    """The step returns a dict: where it is taken apart, its parts are tuples of key and value."""
    optional: bool = False
    """The step may return None: where its value is taken apart, None has no parts."""
    allow_failed: bool = False
    """Elements of the step that did not succeed are left out, if enough of them did."""
    in_place: bool = False
    """None stands in the place of each that is left out."""
    min_success: float | int | None = None
    """As in `ResultInput`."""
    per: str | None = None
    """As in `ResultInput`."""

    @property
    def origin(self) -> str:
        """The step whose elements, one by one, those of the taker come from."""
        return self.step if self.per is None else self.per

    def needed(self, size: int) -> int:
        """Return how many elements of a step of `size` must succeed."""
        if not self.allow_failed:
            return size
        if self.min_success is None:
            return min(1, size)
        if isinstance(self.min_success, int):
            return self.min_success
        # Without the error of the multiplication: 0.7 of 10 are 7.
        return ceil(round(self.min_success * size, 6))


def each_of(spec: TaskSpec, edges: Iterable[Edge]) -> tuple[str, ...]:
    """Return the arguments of a task that give each element its own part, in their order."""
    wired = {edge.argument for edge in edges if edge.mode.each}
    given = {item.argument for item in spec.parameters if item.each}
    return tuple(item.argument for item in spec.inputs if item.argument in wired | given)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunParameter:
    """One parameter of the whole workflow, as the command line and Python see it."""

    name: str
    """The keyword in Python; `flag` is the same with dashes."""
    declared: ParameterInput
    tasks: tuple[str, ...]
    """The tasks that receive it."""

    @property
    def flag(self) -> str:
        """The flag on the command line; underscores at the keyword's ends are left out."""
        return "--" + self.name.strip("_").replace("_", "-")

    @property
    def negative_flag(self) -> str:
        """The flag that sets false, None or an empty list."""
        return "--no-" + self.flag.removeprefix("--")


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """A workflow that has passed validation."""

    name: str
    tasks: Mapping[str, TaskSpec]
    """In a topological order that keeps the order of definition where it can."""
    edges: Mapping[str, tuple[Edge, ...]]
    """By downstream task; a task without wired inputs has an empty tuple."""
    parameters: Mapping[str, RunParameter]
    """By the keyword in Python."""
    constants: Mapping[str, RunParameter] = field(default_factory=dict)
    """Parameters that inclusions give their value, the default, by `ParameterInput.keyword`."""

    def zipped(self, task: str) -> tuple[str, ...]:
        """Return the arguments of an array task that take items of several lists side by side.

        Element `i` gets item `i` of each. Empty where there is one list, and where all of them
        are chained, which says as much.
        """
        spec, edges = self.tasks[task], self.edges[task]
        arguments = each_of(spec, edges)
        chained = {edge.argument for edge in edges if edge.mode is WireMode.CHAIN}
        is_zip = spec.combination == "zip" and not chained.issuperset(arguments)
        return arguments if is_zip and len(arguments) > 1 else ()

    def multiplied(self, task: str) -> tuple[str, ...]:
        """Return the arguments of an array task that take items of lists in every combination.

        The last one changes fastest. Empty where there is one list, and where they are zipped.
        """
        spec = self.tasks[task]
        arguments = each_of(spec, self.edges[task])
        return arguments if spec.combination == "product" and len(arguments) > 1 else ()

    def how(self, edge: Edge) -> str:
        """Describe how an edge's values travel: `fan-out`, or `fan-out, zip`, or `..., product`."""
        allowing = ", failed allowed" if edge.allow_failed else ""
        mode = edge.mode.value if edge.per is None else f"{edge.mode.value} per {edge.per}"
        return f"{mode}{self._together(edge.task, edge.argument)}{allowing}"

    def given_each(self, task: str) -> dict[str, str]:
        """Describe the list parameters that give a task its elements, by argument.

        Such as `fan-out of --item`, or `fan-out of --item, zip`.
        """
        flags = {
            (name, parameter.declared.argument): parameter.flag
            for parameter in self.parameters.values()
            for name in parameter.tasks
        }
        return {
            item.argument: f"fan-out of {flags.get((task, item.argument), 'a bound list')}"
            f"{self._together(task, item.argument)}"
            for item in self.tasks[task].parameters
            if item.each
        }

    def _together(self, task: str, argument: str) -> str:
        """Return how an argument's items go with those of others; empty for no list, or one."""
        if argument in self.multiplied(task):
            return ", product"
        return ", zip" if argument in self.zipped(task) else ""

    def downstream(self, name: str) -> tuple[str, ...]:
        """Return the tasks that directly need `name`, in topological order."""
        return tuple(task.name for task in self.tasks.values() if name in task.upstream)
