"""What is known of a task once its function's signature has been read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, Literal, TypeAlias, get_args

from reflow.model.resources import Resources

FilesMode: TypeAlias = Literal["stat", "content", "exists"]
"""Whether files count by size and time, by content, or by being there."""
PerJob: TypeAlias = int | Literal["auto"]
"""How many elements share a job: so many, or as many as their durations suggest."""
Combination: TypeAlias = Literal["zip", "product"]
"""How the items of several lists become elements: side by side, or in every combination."""
FILES_MODES: tuple[FilesMode, ...] = get_args(FilesMode)


class _Required:
    """Marks a parameter that has no default."""

    def __repr__(self) -> str:
        return "REQUIRED"


REQUIRED: Final = _Required()


class Namespace(StrEnum):
    """Whether tasks share a parameter of one name."""

    GLOBAL = "global"
    LOCAL = "local"


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterInput:
    """An argument that the user gives when starting the run."""

    argument: str
    """The function's own name for it."""
    annotation: Any
    default: Any = REQUIRED
    help: str = ""
    short: str | None = None
    """A flag such as `-s`."""
    namespace: Namespace = Namespace.GLOBAL
    output: bool = False
    """The task writes to the path it is given, which counts by its place alone."""
    each: bool = False
    """The parameter is a list, of which each element of the array task gets one item."""
    bound: bool = False
    """An inclusion of its flow gives it the default as its value; users of the run cannot."""

    def keyword(self, task: str) -> str:
        """Return the Python keyword of the parameter in runs of a workflow with that task.

        A task may be called what no keyword can be: other letters become underscores. A bound
        parameter has a name that is no keyword.
        """
        if self.bound:
            return f"{task}.{self.argument}"
        if self.namespace is Namespace.GLOBAL:
            return self.argument
        prefix = "".join(letter if f"_{letter}".isidentifier() else "_" for letter in task)
        return f"{prefix}_{self.argument}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultInput:
    """An argument that earlier tasks give. The results of several steps are concatenated."""

    argument: str
    annotation: Any
    steps: tuple[str, ...]
    broadcast: bool = False
    output: bool = False
    """As in `ParameterInput`."""
    allow_failed: bool = False
    """What succeeded is gathered, once enough has."""
    min_success: float | int | None = None
    """How much is enough: a share (float) or a number (int) of elements; None for one."""
    per: str | None = None
    """The array task of which each element makes a group that is gathered by itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunDirInput:
    """An argument that receives the run directory as a `Path`."""

    argument: str


TaskInput = ParameterInput | ResultInput | RunDirInput


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskOptions:
    """What a task's decorator says of it, checked."""

    array: bool = False
    combination: Combination = "zip"
    array_parallelism: int | None = None
    per_job: PerJob | None = None
    """None where the user's defaults decide."""
    at_once: int | None = None
    """How many of the elements that share a job run at the same time in it."""
    resources: Resources = field(default_factory=Resources)
    after: tuple[str, ...] = ()
    version: str | None = None
    cache: bool = True
    verify: Callable[[Any], bool] | None = None
    """Called with a cached result under `verify=True`; False makes the hit a miss."""
    files: FilesMode | None = None
    """How files count, where that is not what the run says."""
    ignore: tuple[str, ...] = ()
    """Top-level names that the source does not count by: `SCRATCH`, or `places.SCRATCH`."""
    retries: int = 0
    retry_mem: float | None = None
    """Factor on `mem` for each retry after running out of memory."""
    retry_time: float | None = None
    """Factor on `time` for each retry after running out of time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskSpec(TaskOptions):
    """A task: the function, what it takes and gives, what it asks for."""

    name: str
    function: Callable[..., Any]
    inputs: tuple[TaskInput, ...] = ()
    returns: Any = None
    """The return annotation, resolved; `None` for a function that returns nothing, `Any` for one
    that does not say."""
    made_by: tuple[str, str, int] | None = None
    """Module, file and line of the top-level statement that made the task, directly or by functions
    it calls; None where no module was being loaded."""
    overridden: Mapping[str, str] = field(default_factory=dict)
    """By option, the table of the configuration that decides in place of the decorator."""

    @property
    def parameters(self) -> tuple[ParameterInput, ...]:
        """The inputs that the user gives when starting the run."""
        return tuple(item for item in self.inputs if isinstance(item, ParameterInput))

    @property
    def results(self) -> tuple[ResultInput, ...]:
        """The inputs that earlier tasks give."""
        return tuple(item for item in self.inputs if isinstance(item, ResultInput))

    @property
    def outputs(self) -> frozenset[str]:
        """The arguments whose paths the task writes to."""
        return frozenset(
            item.argument
            for item in self.inputs
            if not isinstance(item, RunDirInput) and item.output
        )

    @property
    def upstream(self) -> tuple[str, ...]:
        """Every task that must end before this one, each once, in order of mention."""
        wired = [step for item in self.results for step in item.steps]
        return tuple(dict.fromkeys([*wired, *self.after]))
