"""A flow: a group of tasks that workflows include, and the decorators that define them."""

from __future__ import annotations

import os
import sys
from itertools import product
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, overload

from reflow.errors import DefinitionError, NotFoundError, OptionError
from reflow.wiring.names import RESERVED_PARAMETERS, check_name, suggestion

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Unpack

    from reflow.model.tasks import TaskInput, TaskOptions, TaskSpec
    from reflow.wiring.options import ArrayJobOptions, JobOptions
    from reflow.wiring.signature import Signature

_Function = TypeVar("_Function", bound="Callable[..., Any]")

_GENERATOR, _COROUTINE, _ASYNC_GENERATOR = 0x20, 0x80, 0x200
"""Flags of code objects, as `inspect` has them; it is not worth importing for three numbers."""


class Flow:
    """A group of tasks under a name.

    Decorated functions are kept as they are; signatures are read when the tasks are first asked
    for, so that annotations may name what is defined further down.
    """

    _kind = "flow"
    """What error messages call it."""

    def __init__(self, name: str) -> None:
        self._name = check_name(self._kind, name)
        self._definitions: dict[str, _Definition] = {}
        self._included: list[tuple[Flow, str | None, Mapping[str, Any]]] = []

    @property
    def name(self) -> str:
        """The name of the flow."""
        return self._name

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._name!r})"

    @overload
    def job(self, function: _Function, /) -> _Function: ...

    @overload
    def job(self, /, **options: Unpack[JobOptions]) -> Callable[[_Function], _Function]: ...

    def job(self, function: _Function | None = None, /, **options: Any) -> Any:
        """Turn the decorated function into a task; the function itself stays as it is.

        `name` is the function's own unless given. `array=True` runs it once per element, at most
        `array_parallelism` at a time; several lists go side by side (`"zip"`, as True does) or in
        every combination (`"product"`). `per_job` elements share a job, or as many as their
        durations suggest (`"auto"`), of which `at_once` run at the same time. Resources of each
        instance: `cpus`, `time` (`HH:MM:SS`, `D-HH:MM:SS`, minutes as int, or a timedelta), `mem`
        (`4G`, `512M`, `1.5GiB`, or bytes as int; binary), `gpus`, `nodes`, `queue` (or
        `partition`), `account`, and `options={"NAME": {...}}` for one scheduler's own. `after`
        names tasks to wait for. `version` stands for the source in the cache's key, `cache=False`
        always runs, `verify` is asked about a cached result under `verify=True`, `files` is how
        files count (`"stat"`, `"content"` or `"exists"`). `ignore` names top-level variables that
        the source does not count by. `retries` counts further tries, which `retry_mem` and
        `retry_time` give more of what ran out.

        Raises `OptionError` for an unknown keyword, `ParameterError` for a value that cannot be
        used, `DefinitionError` for a name that is taken or cannot be one.
        """
        return self._decorator(function, options)

    @overload
    def array_job(self, function: _Function, /) -> _Function: ...

    @overload
    def array_job(
        self, /, **options: Unpack[ArrayJobOptions]
    ) -> Callable[[_Function], _Function]: ...

    def array_job(self, function: _Function | None = None, /, **options: Any) -> Any:
        """Turn the decorated function into an array task: `job(array=True, ...)`."""
        if "array" in options:
            raise OptionError("array_job is always an array task; leave array out")
        return self._decorator(function, {**options, "array": True})

    def include(
        self, flow: Flow, prefix: str | None = None, bind: Mapping[str, Any] | None = None
    ) -> None:
        """Include the tasks of another flow, renamed to `<prefix>_<task>` where a prefix is given.

        `bind` gives parameters of the other flow a value for this inclusion, by their keywords in
        it; they are then no parameters of the run.

        What they say about each other is renamed along; what they say about other steps is left
        to this flow. Tasks added to the other flow later belong to it as well. Raises
        `DefinitionError` if two tasks would have one name, or the flow includes this one.
        """
        if not isinstance(flow, Flow):
            raise DefinitionError(f"include takes a Flow, not {flow!r}")
        if self in flow._family():
            raise DefinitionError(f"flow {flow.name!r} already has {self.name!r} inside")
        if prefix is not None:
            check_name("prefix", prefix)
        if bind is not None and not hasattr(bind, "keys"):
            raise DefinitionError(
                f"bind={bind!r}: write values by parameter, such as {{'level': 3}}"
            )
        before = self._included
        if not _is_file(sys._getframe(1).f_code.co_filename):
            # A cell that is run again includes its flow anew.
            self._included = [
                item
                for item in before
                if (item[0].name, item[1]) != (flow.name, prefix)
                or (item[0] is not flow and item[0]._entries().keys().isdisjoint(flow._entries()))
            ]
        self._included = [*self._included, (flow, prefix, dict(bind or {}))]
        try:
            self._entries()
        except DefinitionError:
            self._included = before
            raise

    @property
    def task_names(self) -> tuple[str, ...]:
        """Every task's name, those of included flows last."""
        return tuple(self._entries())

    @property
    def inclusions(self) -> tuple[tuple[Flow, str | None, Mapping[str, Any]], ...]:
        """The flows that this one includes, each with its prefix and the values bound in it."""
        return tuple(self._included)

    def specs(self) -> tuple[TaskSpec, ...]:
        """Return every task, its signature read; those of included flows last.

        Raises `DefinitionError` for a signature that cannot be read.
        """
        for flow, _, bind in self._included:
            if bind:
                _check_bound(flow, bind)
        return tuple(entry.spec() for entry in self._entries().values())

    def spec(self, name: str) -> TaskSpec:
        """Return one task without reading the others' signatures. Raises `NotFoundError`."""
        entries = self._entries()
        if name not in entries:
            raise NotFoundError(
                f"{self._kind} {self.name!r} has no task {name!r}{suggestion(name, entries)}"
            )
        return entries[name].spec()

    def _decorator(self, function: _Function | None, options: dict[str, Any]) -> Any:
        name = options.pop("name", None)
        from reflow.wiring.options import read_options

        checked = read_options(options)

        def decorate(function: _Function) -> _Function:
            self._define(_Definition(function, name, checked, sys._getframe(1)))
            return function

        if function is None:
            return decorate
        self._define(_Definition(function, name, checked, sys._getframe(2)))
        return function

    def _define(self, definition: _Definition) -> None:
        earlier = self._definitions.get(definition.name)
        if earlier is not None and not definition.replaces(earlier):
            raise _twice(definition.name, earlier, definition)
        definition.check_early()
        self._definitions[definition.name] = definition

    def _family(self) -> Iterator[Flow]:
        """Yield the flow itself and all that it includes, at any depth."""
        yield self
        for flow, *_ in self._included:
            yield from flow._family()

    def _entries(self) -> dict[str, _Entry]:
        """Return every task by its full name."""
        scope: _Scope = []
        entries = {name: _Entry(item, (scope,)) for name, item in self._definitions.items()}
        for flow, prefix, bind in self._included:
            inner = flow._entries()
            renamed = {name: name if prefix is None else f"{prefix}_{name}" for name in inner}
            for name, entry in inner.items():
                new = check_name("task", renamed[name])
                if new in entries:
                    raise _twice(new, entries[new].definition, entry.definition)
                entries[new] = entry.included(name, bind, renamed, scope)
        scope += [(name, entry.definition) for name, entry in entries.items()]
        return entries


class _Definition:
    """A decorated function, and the options of its decorator."""

    __slots__ = ("_signature", "function", "made_by", "name", "names_around", "options")

    def __init__(
        self,
        function: Callable[..., Any],
        name: str | None,
        options: TaskOptions,
        caller: Any,
    ) -> None:
        """Take a function, and note where it is decorated: the frame of the decorator's caller."""
        _check_callable(function)
        self.function = function
        self.name = check_name("task", _own_name(function) if name is None else name)
        _check_returns_at_once(self.name, function)
        self.options = options
        self.names_around = _names_around(caller)
        self.made_by = _made_by(caller)
        self._signature: Signature | None = None

    @property
    def place(self) -> str:
        """The place of the definition: `flow.py:12`."""
        code = getattr(self.function, "__code__", None)
        return "somewhere" if code is None else f"{code.co_filename}:{code.co_firstlineno}"

    def signature(self) -> Signature:
        """Return the inputs and the result of the function, read once."""
        if self._signature is None:
            from reflow.wiring.signature import read_signature

            self._signature = read_signature(self.function, self.name, self.names_around)
        return self._signature

    def check_early(self) -> None:
        """Reject, where it is written, a parameter named like an option of reflow.

        The signature is read now only where such a name occurs. An annotation may use a name that
        the file defines later, so what cannot be resolved yet is left to the second reading.
        """
        code = getattr(self.function, "__code__", None)
        if code is None or RESERVED_PARAMETERS.isdisjoint(code.co_varnames):
            return
        from reflow.wiring.signature import UnresolvedAnnotationError

        try:
            self.signature()
        except UnresolvedAnnotationError:
            return

    def is_made_of(self, function: object) -> bool:
        """Tell whether this task's function is a certain one, whatever wraps either of them."""
        return _unwrapped(self.function) is _unwrapped(function)

    def is_made_anew_of(self, function: object) -> bool:
        """Tell whether a function is an earlier definition of it, of a cell that was run again.

        Lambdas, and functions made inside others, have no name that tells them apart.
        """
        _, name = identity = _identity(function)
        is_named = isinstance(name, str) and "<" not in name
        return is_named and _is_of_a_cell(function) and _identity(self.function) == identity

    def replaces(self, earlier: _Definition) -> bool:
        """Tell whether this is the same function again, from a notebook cell that was rerun."""
        is_same = _identity(self.function) == _identity(earlier.function)
        is_loading = self.made_by is not None and self.made_by[0] != "__main__"
        return is_same and not is_loading and _is_of_a_cell(earlier.function)


class _Entry:
    """A definition in a flow: with renamings and bound values of all inclusions, innermost first.

    `scopes` are the tasks of its own flow and of each flow around it, under their names there.
    """

    __slots__ = ("bound", "definition", "renamings", "scopes")

    def __init__(
        self,
        definition: _Definition,
        scopes: tuple[_Scope, ...],
        renamings: tuple[Mapping[str, str], ...] = (),
        bound: tuple[tuple[str, Mapping[str, Any]], ...] = (),
    ) -> None:
        self.definition = definition
        self.scopes = scopes
        self.renamings = renamings
        self.bound = bound

    def included(
        self, name: str, bind: Mapping[str, Any], renamed: Mapping[str, str], scope: _Scope
    ) -> _Entry:
        """Return the entry of the flow around, which renames and binds so what is `name` here."""
        return _Entry(
            self.definition,
            (*self.scopes, scope),
            (*self.renamings, renamed),
            (*self.bound, (name, bind)),
        )

    def spec(self) -> TaskSpec:
        """Return the task under its full name, with its references to other tasks renamed."""
        from dataclasses import fields

        from reflow.model.tasks import TaskOptions, TaskSpec

        options = self.definition.options
        given = {each.name: getattr(options, each.name) for each in fields(TaskOptions)}
        given["after"] = tuple(map(self._renamed, options.after))
        signature = self.definition.signature()
        return TaskSpec(
            **given,
            name=self._renamed(self.definition.name),
            function=self.definition.function,
            inputs=tuple(map(self._input, signature.inputs)),
            returns=signature.returns,
            made_by=self.definition.made_by,
        )

    def _input(self, item: TaskInput) -> TaskInput:
        from dataclasses import replace

        from reflow.model.tasks import ParameterInput, ResultInput

        if isinstance(item, ResultInput):
            per = None if item.per is None else self._renamed(item.per)
            return replace(item, steps=tuple(map(self._renamed, item.steps)), per=per)
        if isinstance(item, ParameterInput):
            for name, values in self.bound:
                if (keyword := item.keyword(name)) in values:
                    return replace(item, default=values[keyword], bound=True)
        return item

    def _renamed(self, step: Any) -> str:
        """Return the full name of a task that this one names, or gives as its function."""
        depth, name = (0, step) if isinstance(step, str) else self._name_of(step)
        for renaming in self.renamings[depth:]:
            name = renaming.get(name, name)
        return name

    def _name_of(self, function: Callable[..., Any]) -> tuple[int, str]:
        """Return the task of a function in the innermost flow that has it, and that flow's depth.

        Raises `DefinitionError` where there is none, or several.
        """
        ways = (_Definition.is_made_of, _Definition.is_made_anew_of)
        for is_meant, (depth, scope) in product(ways, enumerate(self.scopes)):
            names = [name for name, item in scope if is_meant(item, function)]
            if len(names) == 1:
                return depth, names[0]
            if names:
                raise DefinitionError(
                    f"task {self.definition.name!r} names a function that several tasks are made "
                    f"of, {', '.join(map(repr, names))}: give the name of one"
                )
        raise DefinitionError(
            f"task {self.definition.name!r} takes the result of the function "
            f"{getattr(function, '__name__', function)!r}, which is no task of this flow: decorate "
            "it, or give the name of a task"
        )


_Scope: TypeAlias = "list[tuple[str, _Definition]]"
"""The tasks of a flow, by their names in it."""


def _is_of_a_cell(function: object) -> bool:
    """Tell whether a function was defined at a prompt or in a notebook, which have no file."""
    code = getattr(_unwrapped(function), "__code__", None)
    return code is not None and not _is_file(code.co_filename)


def _is_file(path: str) -> bool:
    return os.path.isfile(path)  # noqa: PTH113 - pathlib is not loaded yet


def _unwrapped(function: object) -> object:
    while (inner := getattr(function, "__wrapped__", None)) is not None:
        function = inner
    return function


def _check_bound(flow: Flow, bind: Mapping[str, Any]) -> None:
    """Raise `DefinitionError` for a bound name that is no parameter of the flow."""
    known = {
        item.keyword(spec.name)
        for spec in flow.specs()
        for item in spec.parameters
        if not item.bound
    }
    for name in bind:
        if name not in known:
            raise DefinitionError(
                f"include(bind={{{name!r}: ...}}): flow {flow.name!r} has no such parameter"
                f"{suggestion(name, sorted(known))}"
            )


def _twice(name: str, earlier: _Definition, later: _Definition) -> DefinitionError:
    return DefinitionError(
        f"two tasks are called {name!r}, at {earlier.place} and at {later.place}; "
        "rename one, or give it name='...'"
    )


def _own_name(function: object) -> object:
    name = getattr(function, "__name__", None)
    if name is None:
        raise DefinitionError(f"{function!r} has no name of its own: give it name='...'")
    return name


def _identity(function: object) -> tuple[object, object]:
    return getattr(function, "__module__", None), getattr(function, "__qualname__", None)


def _check_callable(function: object) -> None:
    if isinstance(function, type) or not callable(function):
        raise DefinitionError(
            f"a task must be a function, not {function!r}; to name a task write name='...'"
        )


def _check_returns_at_once(task: str, function: object) -> None:
    code = getattr(function, "__code__", None)
    flags = 0 if code is None else code.co_flags
    if flags & (_COROUTINE | _ASYNC_GENERATOR):
        raise DefinitionError(f"task {task!r} is an async function; write a plain one")
    if flags & _GENERATOR:
        raise DefinitionError(
            f"task {task!r} uses yield, but must return its whole result: return a list"
        )


def _made_by(frame: Any) -> tuple[str, str, int] | None:
    """Return module, file and line of the innermost top-level statement of a file on the stack.

    The top level of a file is on the stack while the file is loaded, and then only. A cell of a
    notebook, or a line at a prompt, is of the module `__main__`, and stands for a file.
    """
    while frame is not None:
        names, code = frame.f_globals, frame.f_code
        file = names.get("__file__")
        # A script's own code may have a relative name.
        if code.co_name == "<module>" and _last_part(code.co_filename) == _last_part(file):
            return names.get("__name__", ""), code.co_filename, frame.f_lineno
        if file is None and frame.f_locals is names and names.get("__name__") == "__main__":
            return "__main__", code.co_filename, frame.f_lineno
        frame = frame.f_back
    return None


def _last_part(path: object) -> str | None:
    return path.rpartition(os.sep)[2] if isinstance(path, str) else None


def _names_around(frame: Any) -> Mapping[str, Any]:
    """Return the names around a function that is defined inside another one."""
    return {} if frame.f_locals is frame.f_globals else dict(frame.f_locals)
