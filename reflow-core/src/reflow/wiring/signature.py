"""From a function's signature to the inputs and the result of a task."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from reflow.errors import DefinitionError, ReflowError
from reflow.model.tasks import (
    REQUIRED,
    Namespace,
    ParameterInput,
    ResultInput,
    RunDirInput,
    TaskInput,
)
from reflow.wiring.markers import Param, Result, RunDir
from reflow.wiring.names import RESERVED_PARAMETERS
from reflow.wiring.types import NoneType, fits, mentions_pickled, show, unaliased

_MARKERS = (Param, Result, RunDir)


class UnresolvedAnnotationError(DefinitionError):
    """An annotation uses a name that is not defined, or not yet."""


@dataclass(frozen=True, slots=True)
class Signature:
    """The inputs and the result of a task."""

    inputs: tuple[TaskInput, ...]
    returns: Any
    """None for a function that returns nothing, `Any` for one that does not say."""


def read_signature(
    function: Callable[..., Any], task: str, names: Mapping[str, Any] | None = None
) -> Signature:
    """Read the inputs and the result of `task` from its function's signature.

    `names` are those that annotations may use besides the function's globals. Raises
    `DefinitionError`, naming task and argument, for an annotation that is missing, cannot be
    resolved or is marked twice, for arguments that cannot be given by name, and for a run
    parameter named like an option of reflow. Where `Result` names a task by its function, the
    function stands in place of the name.
    """
    try:
        signature = inspect.signature(function)
    except NameError as error:  # annotations that are evaluated lazily
        raise UnresolvedAnnotationError(f"task {task!r}: {error}") from error
    except (TypeError, ValueError) as error:
        raise DefinitionError(f"task {task!r}: {function!r} has no signature to read") from error
    reader = _Reader(task, _globals(function), names or {})
    given = _given_by_partial(function)
    inputs = tuple(
        reader.read(argument)
        for argument in signature.parameters.values()
        if argument.name not in given
    )
    return Signature(inputs, reader.returns(signature.return_annotation))


def check_keyword(task: str, argument: str, keyword: str) -> None:
    """Raise `DefinitionError` if a run parameter would hide an option of reflow."""
    if keyword.strip("_") not in RESERVED_PARAMETERS:
        return
    becomes = "" if keyword == argument else f" would be {keyword!r}, which"
    advice = (
        "to receive the run directory write run_dir: RunDir = RunDir()"
        if argument == "run_dir"
        else "give the argument another name"
    )
    raise DefinitionError(
        f"task {task!r}: parameter {argument!r}{becomes} is an option of reflow itself; {advice}"
    )


@dataclass(frozen=True, slots=True)
class _Reader:
    task: str
    globals: Mapping[str, Any]
    locals: Mapping[str, Any]

    def read(self, argument: inspect.Parameter) -> TaskInput:
        """Return the task input for an argument."""
        where = f"task {self.task!r}, argument {argument.name!r}"
        _check_kind(where, argument)
        marked = self._resolve(where, argument)
        marker, kind = _split(where, marked)
        if isinstance(argument.default, RunDir) or argument.default is RunDir:
            marker = marker or RunDir()
        if isinstance(marker, RunDir):
            return _run_dir_input(where, argument, kind)
        if isinstance(argument.default, Result | Param):
            raise DefinitionError(
                f"{where}: {type(argument.default).__name__} is not a default: write "
                f"{argument.name}: Annotated[<type>, {argument.default!r}]"
            )
        if kind is inspect.Parameter.empty:
            raise DefinitionError(
                f"{where} has no annotation: write its type, such as {argument.name}: str"
            )
        if isinstance(marker, Result):
            return _result_input(where, argument, kind, marker)
        return self._parameter_input(argument, kind, marker or Param())

    def returns(self, annotation: Any) -> Any:
        """Return the type that the function is declared to return."""
        if annotation is inspect.Signature.empty:
            return Any
        kind = self._evaluate(f"task {self.task!r}, what it returns", annotation)
        stripped = _without_extras(kind)
        nothing = stripped in (NoneType, typing.NoReturn, typing.Never)
        return None if nothing else stripped

    def _parameter_input(
        self, argument: inspect.Parameter, kind: Any, marker: Param
    ) -> ParameterInput:
        if marker.namespace == "global":
            check_keyword(self.task, argument.name, argument.name)
        required = argument.default is inspect.Parameter.empty
        if marker.each:
            return _each_input(
                f"task {self.task!r}, parameter {argument.name!r}", argument, kind, marker
            )
        if argument.default is None:
            # A default of None makes the type optional, declared or not.
            kind = typing.Optional[kind]  # noqa: UP045 - the type may be anything
        return ParameterInput(
            argument=argument.name,
            annotation=kind,
            default=REQUIRED if required else argument.default,
            help=marker.help,
            short=marker.short,
            namespace=Namespace(marker.namespace),
            output=marker.output,
        )

    def _resolve(self, where: str, argument: inspect.Parameter) -> Any:
        if argument.annotation is inspect.Parameter.empty:
            return argument.annotation
        return self._evaluate(where, argument.annotation)

    def _evaluate(self, where: str, annotation: Any) -> Any:
        holder = SimpleNamespace(__annotations__={"it": annotation})
        try:
            hints = typing.get_type_hints(
                holder, globalns=dict(self.globals), localns=dict(self.locals), include_extras=True
            )
        except ReflowError as error:
            raise DefinitionError(f"{where}: {error}") from error
        except Exception as error:
            written = annotation if isinstance(annotation, str) else repr(annotation)
            raise UnresolvedAnnotationError(
                f"{where}: annotation {written} cannot be resolved ({error}); import or define "
                "what it names at the top of the file"
            ) from error
        return hints["it"]


def _check_kind(where: str, argument: inspect.Parameter) -> None:
    if argument.kind in (argument.VAR_POSITIONAL, argument.VAR_KEYWORD):
        stars = "*" if argument.kind is argument.VAR_POSITIONAL else "**"
        raise DefinitionError(
            f"{where}: a task cannot take {stars}{argument.name}; name every argument"
        )
    if argument.kind is argument.POSITIONAL_ONLY:
        raise DefinitionError(
            f"{where} is positional-only, and reflow gives arguments by name; leave out the '/'"
        )


def _split(where: str, marked: Any) -> tuple[Param | Result | RunDir | None, Any]:
    """Split an annotation into its marker and the type without it."""
    marked = unaliased(marked)
    is_annotated = typing.get_origin(marked) is typing.Annotated
    inner, *extras = typing.get_args(marked) if is_annotated else (marked,)
    markers = [found for extra in extras if (found := _marker(where, extra)) is not None]
    if inner is RunDir or isinstance(inner, RunDir):
        inner = Path
        markers.insert(0, RunDir())
    if len(markers) > 1:
        raise DefinitionError(
            f"{where} is marked twice, {markers[0]!r} and {markers[1]!r}; leave one out"
        )
    if _hides_marker(inner):
        raise DefinitionError(
            f"{where}: Param, Result and RunDir belong around the whole type: "
            "write Annotated[<type>, <marker>]"
        )
    return (markers[0] if markers else None), _without_extras(inner)


def _marker(where: str, extra: Any) -> Param | Result | RunDir | None:
    """Return the marker that an extra of `Annotated` is, or that its bare class stands for."""
    if isinstance(extra, _MARKERS):
        return extra
    if extra is Param:
        return Param()
    if extra is RunDir:
        return RunDir()
    if extra is Result:
        raise DefinitionError(f"{where}: say which step, as in Result(step='prepare')")
    return None


def _hides_marker(kind: Any) -> bool:
    kind = unaliased(kind)
    if kind is RunDir or isinstance(kind, _MARKERS):
        return True
    return any(_hides_marker(part) for part in _parts(kind))


def _parts(kind: Any) -> tuple[Any, ...]:
    parts = typing.get_args(kind)
    if typing.get_origin(kind) is typing.Literal:
        return ()
    return tuple(item for part in parts for item in (part if isinstance(part, list) else [part]))


def _without_extras(kind: Any) -> Any:
    if kind is inspect.Parameter.empty or mentions_pickled(kind):
        return kind
    holder = SimpleNamespace(__annotations__={"it": kind})
    return typing.get_type_hints(holder)["it"]


def _run_dir_input(where: str, argument: inspect.Parameter, kind: Any) -> RunDirInput:
    if kind is not inspect.Parameter.empty and not fits(Path, kind):
        raise DefinitionError(f"{where}: RunDir gives a Path, which is no {show(kind)}")
    return RunDirInput(argument=argument.name)


def _each_input(
    where: str, argument: inspect.Parameter, kind: Any, marker: Param
) -> ParameterInput:
    """Return the input for a list whose items go to the elements; a default is one item."""
    required = argument.default is inspect.Parameter.empty
    if isinstance(argument.default, list | tuple) and not fits(type(argument.default), kind):
        raise DefinitionError(
            f"{where}: its default is a {type(argument.default).__name__}, but with each=True a "
            f"default is a single item, {show(kind)}: write one, or leave it out and give the "
            "list when you run the workflow"
        )
    return ParameterInput(
        argument=argument.name,
        annotation=list[kind],
        default=REQUIRED if required else [argument.default],
        help=marker.help,
        short=marker.short,
        namespace=Namespace(marker.namespace),
        output=marker.output,
        each=True,
    )


def _result_input(
    where: str, argument: inspect.Parameter, kind: Any, marker: Result
) -> ResultInput:
    if argument.default is not inspect.Parameter.empty:
        raise DefinitionError(
            f"{where} has a default, but its value comes from {marker!r}; leave the default out"
        )
    return ResultInput(
        argument=argument.name,
        annotation=kind,
        # Functions become names once the flow is known that their tasks are in.
        steps=typing.cast("tuple[str, ...]", marker.steps),
        broadcast=marker.broadcast,
        output=marker.output,
        allow_failed=marker.allow_failed,
        min_success=marker.min_success,
        per=typing.cast("str | None", marker.per),
    )


def _given_by_partial(function: Callable[..., Any]) -> frozenset[str]:
    """Return the arguments that `functools.partial` gives by name; others cannot give them."""
    names: frozenset[str] = frozenset()
    while isinstance(function, partial):
        names |= function.keywords.keys()
        function = function.func
    return names


def _globals(function: Callable[..., Any]) -> Mapping[str, Any]:
    inner = inspect.unwrap(function)
    while isinstance(inner, partial):
        inner = inspect.unwrap(inner.func)
    return getattr(inner, "__globals__", {})
