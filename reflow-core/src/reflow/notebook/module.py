"""Writing a module from the cells of a notebook: what a workflow's tasks need, and no more.

It is made from what the notebook has now, not by replaying its cells. Starting from the tasks, each
name that they use, directly or through others, is written in one of these ways:

- what was imported by its import,
- a flow by its name and what it includes,
- data by its value (`expression.py`),
- functions, classes and tasks by the statement of the cell that made them.

Nothing else is run again: no `submit()`, no plot, no long calculation. What can be written in none
of these ways is refused by name.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

from reflow.errors import DefinitionError
from reflow.fingerprint.code.source_file import SourceFile
from reflow.notebook.arrays import is_array, shared_memory
from reflow.notebook.callers import Callers
from reflow.notebook.expression import NotWritableError, TooLargeError, Writer, imported
from reflow.notebook.session import Session
from reflow.notebook.statements import Statement, at_line, statements_of

_NOT_ELSEWHERE = frozenset({"In", "Out", "_dh", "_ih", "_oh", "display", "get_ipython"})
"""Names that only IPython has."""
_OF_EVERY_MODULE = frozenset({"__builtins__", "__doc__", "__file__", "__name__", "__spec__"})
_OF_HISTORY = re.compile(r"_+|_i{0,3}\d*")
"""Names by which IPython keeps what cells returned, and their texts."""
_BY_STATEMENT = frozenset({"typing", "types", "numpy.vectorize"})
"""Kinds of objects, by module or full name, that say what other objects are."""


@dataclass(slots=True)
class _Unit:
    """What makes one name: the lines of the module, and the names that they need."""

    lines: list[str]
    now: list[str] = field(default_factory=list)
    then: list[str] = field(default_factory=list)
    """Names that fill it when they are made."""
    later: list[str] = field(default_factory=list)
    is_data_of: str = ""
    """The name that it gives data, in one line."""


@dataclass(frozen=True, slots=True)
class Written:
    """A module written from cells."""

    text: str
    names: tuple[str, ...]
    """The names of the notebook's that it makes."""
    variable: str
    """The one that the workflow is in."""
    data: frozenset[str]
    """Those that are given data by its value."""
    filled: frozenset[str]
    """Those that decorators fill."""


def written(session: Session, workflow: Any) -> Written:
    """Return the module that makes a workflow anew. Raises `DefinitionError`, by name."""
    shared: dict[int, object] = {}
    while True:
        module = _Module(session, workflow, shared)
        made = module.write()
        more = module.made_twice()
        if not more:
            module.refuse_views()
            return made
        # Each is made once, under a name by which everything that holds it finds it.
        shared = {**shared, **more}


class _Module:
    def __init__(self, session: Session, workflow: Any, shared: Mapping[int, object]) -> None:
        self._session = session
        self._workflow = workflow
        self._statements = statements_of(session.cells)
        self._callers = Callers(self._statements)
        self._shared = {
            each: self._name_of_shared(value) or f"_shared_{number}"
            for number, (each, value) in enumerate(shared.items(), 1)
        }
        of_shared = {self._shared[each]: value for each, value in shared.items()}
        self._names: Mapping[str, Any] = {**of_shared, **session.names}
        self._objects: list[tuple[str, object]] = []
        """Mutable objects that are made, with the names whose data they are in."""
        self._lines: list[str] = []
        self._made: dict[str, None] = {}
        self._open: dict[str, None] = {}
        self._waiting: list[tuple[str, str]] = []
        self._emitted: set[str] = set()
        self._flows: list[Any] = []
        self._data_lines: dict[str, int] = {}
        """Of names of data, the line that sets them."""

    def write(self) -> Written:
        variable = self._variable_of(self._workflow)
        if variable is None:
            raise DefinitionError(
                f"workflow {self._workflow.name!r} is not a variable of the notebook any more, so "
                "that other processes cannot be given it: assign it to one"
            )
        self._make_tasks(self._workflow)
        self._make(variable, "the workflow")
        self._make_waiting()
        for flow in self._flows:  # more are found meanwhile: tasks may run workflows
            self._make_tasks(flow)
        memories = self._memories()
        for name, statement in memories.items():
            self._lines[self._data_lines[name]] = statement.text
        changing = {id(self._names[name]) for name in memories}
        names = tuple(
            name
            for name in self._made
            if name in self._session.names and id(self._names[name]) not in changing
        )
        data, filled = frozenset(self._data_lines), frozenset(self._registries)
        return Written(self._text(), names, variable, data, filled)

    def _name_of_shared(self, value: object) -> str | None:
        """Return the notebook's name of an object that several others hold, if it has one."""
        found = [
            name
            for name, each in self._session.names.items()
            if each is value and not name.startswith("_") and name not in self._session.hidden
        ]
        # The one by which functions change it, if any: it may be a memory of theirs.
        return min(found, key=lambda name: (not self._callers.of(name), name), default=None)

    def made_twice(self) -> dict[int, object]:
        """Return objects that the module makes in several places, though they are one."""
        places = Counter(id(value) for _, value in self._objects)
        return {id(value): value for _, value in self._objects if places[id(value)] > 1}

    def refuse_views(self) -> None:
        """Refuse arrays that lie in one memory: what a task writes into one changes the other."""
        arrays = [(name, value) for name, value in self._objects if is_array(value)]
        for name, other in shared_memory(arrays):
            both = f"{name!r} and {other!r}" if name != other else f"arrays in {name!r}"
            raise DefinitionError(
                f"{both}, which tasks of workflow {self._workflow.name!r} use, are views of one "
                "array, and would be arrays of their own in other processes: take the view in the "
                "task, or give each its own by `.copy()`; or use run_local(max_workers=1)"
            )

    def _text(self) -> str:
        head = ["from __future__ import annotations"] if self._has_future() else []
        return "\n".join([*head, *self._lines, ""])

    def _memories(self) -> dict[str, Statement]:
        """Return what sets data that functions change while they run, such as a cache of their own.

        Such data begins as its cell says, where the cell writes it out, and not as it is by now.
        """
        source = SourceFile(Path("cells"), self._text().encode())
        found: dict[str, Statement] = {}
        for name in self._data_lines:
            binding = self._binding(name)
            if binding is None or not source.is_changed_by_functions(name):
                continue
            if not binding.is_display or binding.used_now:
                continue
            if not self._is_changed_after(name, binding) or self._is_as_begun(name, binding):
                found[name] = binding
        return found

    def _is_changed_after(self, name: str, binding: Statement) -> bool:
        """Tell whether later cells may have changed data: by name, or by what they call."""
        after = self._after(binding)
        changing = {name, *self._callers.of(name)}
        return bool(self._callers.fillers(name, after)) or any(
            not changing.isdisjoint(each.used_now) for each in after if not each.defines
        )

    def _is_as_begun(self, name: str, binding: Statement) -> bool:
        """Tell whether data that was written out is still so, whatever was done to it."""
        assert isinstance(binding.node, ast.Assign)
        try:
            live, begun = Writer(lambda _: None), Writer(lambda _: None)
            value = eval(ast.unparse(binding.node.value), {})  # noqa: S307 - it calls nothing
            return live.write(self._names[name]) == begun.write(value)
        except Exception:  # what cannot be written was put there later
            return False

    def _binding(self, name: str) -> Statement | None:
        """Return the statement that last bound a name."""
        return next((each for each in reversed(self._statements) if name in each.binds), None)

    def _after(self, statement: Statement) -> list[Statement]:
        return self._statements[self._statements.index(statement) + 1 :]

    @cached_property
    def _registries(self) -> dict[str, list[str]]:
        """What decorators have filled, by name, with the functions and classes that did so."""
        found: dict[str, list[str]] = {}
        for name in self._names:
            binding = self._binding(name)
            if binding is not None and binding.begins_empty_or_written_out:
                fillers = self._callers.fillers(name, self._after(binding))
                filled = dict.fromkeys(each for one in fillers for each in one.binds)
                if filled:
                    found[name] = [*filled]
        return found

    def _has_future(self) -> bool:
        return any(
            isinstance(each.node, ast.ImportFrom)
            and each.node.module == "__future__"
            and any(alias.name == "annotations" for alias in each.node.names)
            for each in self._statements
        )

    # -- tasks ---------------------------------------------------------------------------------
    def _make_tasks(self, flow: Any) -> None:
        for spec in flow.specs():
            self._make_task(spec)
            self._make_waiting()

    def _make_task(self, spec: Any) -> None:
        """Write the statement that makes a task; those of modules come with the flow."""
        function = inspect.unwrap(spec.function)
        if spec.made_by is None or spec.made_by[0] != "__main__":
            return
        _, file, line = spec.made_by
        code = getattr(function, "__code__", None)
        statement = self._statement_at(file, line, code)
        if statement is None:
            raise DefinitionError(
                f"task {spec.name!r} of workflow {self._workflow.name!r} is made by no cell whose "
                "text is known: define it in a cell of this notebook, or in a module"
            )
        self._emit(_unit_of([statement], ()), f"task {spec.name!r}")

    def _statement_at(self, file: str, line: int, code: CodeType | None) -> Statement | None:
        cell = self._session.cell_of(code) if code and code.co_filename == file else None
        cells = self._session.cells_of(file) if cell is None else [cell]
        return next(at_line(cells, line), None)

    # -- names ---------------------------------------------------------------------------------
    def _need(self, name: str, user: str) -> None:
        """Have a name made, with all that it needs when it is called."""
        waiting, self._waiting = self._waiting, []
        self._make(name, user)
        self._make_waiting()
        self._waiting = waiting

    def _make_waiting(self) -> None:
        while self._waiting:
            self._make(*self._waiting.pop(0))

    def _make(self, name: str, user: str) -> None:
        if name in self._made or name in self._open or not self._is_there(name, user):
            return
        for registry, filled in self._registries.items():
            if name in filled and registry not in self._open:
                self._make(registry, user)
        if name in self._made:
            return
        self._open[name] = None
        unit = self._unit(name, user)
        self._emit(unit, name if user == "the workflow" else f"{name} in {user}")
        del self._open[name]
        self._made[name] = None

    def _is_there(self, name: str, user: str) -> bool:
        """Tell whether a name is the notebook's; refuse those that IPython alone has."""
        value = self._names.get(name, self)
        if value is not self and self._session.hidden.get(name, self) is not value:
            return name not in _OF_EVERY_MODULE
        if name not in _NOT_ELSEWHERE:
            return False
        what = "a magic, or get_ipython()," if name == "get_ipython" else f"{name!r}"
        raise self._refused(
            user, f"uses {what} which only a notebook has", "write it in plain Python"
        )

    def _emit(self, unit: _Unit, user: str) -> None:
        """Write a unit below what it needs now, and note what it needs later."""
        for name in unit.now:
            self._need(name, user)
        text = "\n".join(unit.lines)
        if text not in self._emitted:
            self._emitted.add(text)
            if unit.is_data_of:
                self._data_lines[unit.is_data_of] = len(self._lines)
            self._lines += unit.lines
        for name in unit.then:
            self._need(name, user)
        self._waiting += [(name, user) for name in unit.later]

    def _unit(self, name: str, user: str) -> _Unit:
        value = self._names[name]
        imports = list(self._imports_of(name, value))
        if imports and is_flow(value):
            self._check_whole(value)
        if imports:
            return _Unit(imports)
        if isinstance(value, ModuleType):
            return _Unit([f"import {value.__name__} as {name}"])
        if is_flow(value):
            return self._flow(name, value)
        if self._home(value) == name or _is_definition(value):
            statements = self._statements_making(name, value)
            if statements:
                return _unit_of(self._with_changes(name, statements), (name,))
        if name in self._registries and (binding := self._binding(name)):
            begun = _unit_of([binding], (name,))
            begun.then = [each for each in self._registries[name] if each in self._names]
            return begun
        return self._data(name, value, user)

    def _imports_of(self, name: str, value: object) -> Iterator[str]:
        """Yield imports that bind a name to what it is now."""
        found: dict[str, None] = {}
        for statement in self._statements:
            for each in statement.imports(name):
                module = sys.modules.get(each.module)
                here = module if each.attribute is None else getattr(module, each.attribute, self)
                if here is value:
                    found[each.statement] = None
        yield from found

    def _data(self, name: str, value: object, user: str) -> _Unit:
        writer = Writer(lambda each: self._other_name(each, name))
        try:
            text = writer.write(value)
        except TooLargeError:
            raise self._refused(
                user,
                f"uses {name!r}, which is too large to be sent along",
                "return it from a task, or keep it in a file and pass its Path",
            ) from None
        except NotWritableError as error:
            binding = [each for each in self._statements if name in each.binds]
            if binding and binding[-1].is_display:
                return _unit_of(self._with_changes(name, binding[-1:]), (name,))
            raise self._not_writable(name, value, error.value, user) from None
        self._objects += [(name, each) for each in writer.objects]
        is_data_of = name if text not in writer.names else ""
        return _Unit([f"{name} = {text}"], now=writer.names, is_data_of=is_data_of)

    def _not_writable(self, name: str, value: object, part: object, user: str) -> DefinitionError:
        holds = "which holds " * (part is not value)
        older = older_definition(self._names, part)
        if older is None:
            instead = "return it from a task, or make it in a function that the task calls"
            return self._refused(user, f"uses {name!r}, {holds}{kind_of(part)}", instead)
        is_instance = isinstance(part, type)
        holds = "" if type(value) is part else "which holds "
        what = f"{holds}{'an instance' if is_instance else 'an older definition'} of {older!r}"
        what += " from before that class was defined again" * is_instance
        return self._refused(
            user, f"uses {name!r}, {what}", f"run the cell that makes {name!r} again"
        )

    def _other_name(self, value: object, name: str) -> str | None:
        if id(value) in self._shared:
            shared = self._shared[id(value)]
            return None if shared == name else shared
        if is_flow(value) or getattr(value, "__module__", None) == "__main__":
            found = self._home(value) or self._variable_of(value)
            return None if found == name else found
        return None

    def _home(self, value: object) -> str | None:
        """Return the name under which a function, class or flow of the notebook is found."""
        if is_flow(value):
            return self._variable_of(value)
        inner = value if isinstance(value, type) else _unwrapped(value)
        if getattr(inner, "__module__", None) != "__main__":
            return None
        name = getattr(inner, "__qualname__", None)
        return name if isinstance(name, str) and self._names.get(name, self) is value else None

    def _variable_of(self, flow: object) -> str | None:
        return next(
            (
                name
                for name, value in self._names.items()
                if value is flow and not _OF_HISTORY.fullmatch(name)
            ),
            None,
        )

    # -- flows ---------------------------------------------------------------------------------
    def _flow(self, name: str, flow: Any) -> _Unit:
        first = self._variable_of(flow) or name
        if first != name:
            return _Unit([f"{name} = {first}"], now=[first])
        self._flows.append(flow)
        kind = type(flow)
        is_known = self._names.get(kind.__name__) is kind
        made_by = kind.__name__ if is_known else f"{imported(kind.__module__)}.{kind.__name__}"
        unit = _Unit([f"{name} = {made_by}({flow.name!r})"])
        unit.now += [kind.__name__] if is_known else []
        for included, prefix, bind in flow.inclusions:
            inner = self._variable_of(included)
            if inner is None:
                raise DefinitionError(
                    f"flow {included.name!r}, which {flow.name!r} includes, is not a variable of "
                    "the notebook, so that other processes cannot be given it: assign it to one"
                )
            writer = Writer(lambda each: self._other_name(each, name))
            try:
                values = writer.write(bind)
            except NotWritableError:
                raise DefinitionError(
                    f"what {flow.name!r} gives {included.name!r} by bind= cannot be sent along"
                ) from None
            self._objects += [(name, each) for each in writer.objects]
            unit.lines.append(f"{name}.include({inner}, prefix={prefix!r}, bind={values})")
            unit.now += [inner, *writer.names]
        return unit

    def _check_whole(self, flow: Any) -> None:
        """Refuse a flow of a module that a cell has added tasks to."""
        for spec in flow.specs():
            if spec.made_by is not None and spec.made_by[0] == "__main__":
                raise DefinitionError(
                    f"task {spec.name!r} is of a cell, but {flow.name!r} is imported, so that "
                    "other processes have it without that task: make a Workflow in the notebook "
                    f"that includes {flow.name!r}, and define the task there"
                )

    # -- definitions -----------------------------------------------------------------------------
    def _statements_making(self, name: str, value: object) -> list[Statement]:
        """Return the statement that made a name what it is, after those that it builds on."""
        code = getattr(_unwrapped(value), "__code__", None)
        binding = [each for each in self._statements if name in each.binds]
        cell = self._session.cell_of(code) if isinstance(code, CodeType) else None
        if cell is not None and isinstance(code, CodeType) and not _builds_on(binding, name):
            made = next(at_line([cell], code.co_firstlineno), None)
            if made is not None and name in made.binds:
                return [made]
        found: list[Statement] = []
        while binding:
            found.insert(0, binding.pop())
            if name not in found[0].used_now:
                break
        return found

    def _with_changes(self, name: str, making: list[Statement]) -> list[Statement]:
        """Return statements that make a name, and later ones that add to what it is."""
        texts = [each.text for each in making]
        places = [n for n, each in enumerate(self._statements) if each.text in texts]
        after = self._statements[max(places, default=-1) + 1 :] if places else []
        added = {each.text: each for each in after if each.adds_to(name)}
        return [*making, *added.values()]

    def _refused(self, user: str, what: str, instead: str) -> DefinitionError:
        return DefinitionError(
            f"{user} of workflow {self._workflow.name!r} {what}, so that other processes do not "
            f"have it: {instead}; or use run_local(max_workers=1)"
        )


def _unit_of(statements: list[Statement], own: Iterable[str]) -> _Unit:
    lines = [line for each in statements for line in (f"\n# {each.place}", each.text)]
    now = dict.fromkeys(name for each in statements for name in each.used_now if name not in own)
    later = dict.fromkeys(name for each in statements for name in each.used_later)
    return _Unit(lines, [*now], later=[*later])


def older_definition(names: Mapping[str, Any], value: object) -> str | None:
    """Return the name of a function or class of cells that was defined again since."""
    inner: Any = value if isinstance(value, type) else _unwrapped(value)
    if not isinstance(inner, FunctionType | type) or inner.__module__ != "__main__":
        return None
    now = names.get(inner.__qualname__)
    is_another = now is not None and now is not value and type(_unwrapped(now)) is type(inner)
    return inner.__qualname__ if is_another else None


def _builds_on(binding: list[Statement], name: str) -> bool:
    return bool(binding) and name in binding[-1].used_now


def kind_of(value: object) -> str:
    """Say what a value is that cannot be taken along."""
    kind = type(value)
    if kind is FunctionType:
        return "a function that no cell defines under a name"
    module = kind.__module__.partition(".")[0]
    name = (
        kind.__qualname__ if module in ("builtins", "__main__") else f"{module}.{kind.__qualname__}"
    )
    article = "an" if name[0].lower() in "aeiou" else "a"
    return f"{article} {name} that was made in the notebook"


def _is_definition(value: object) -> bool:
    kind = type(value)
    return (
        isinstance(value, FunctionType | type)
        or kind.__module__ in _BY_STATEMENT
        or f"{kind.__module__}.{kind.__qualname__}" in _BY_STATEMENT
        or isinstance(_unwrapped(value), FunctionType)
    )


def is_flow(value: object) -> bool:
    """Tell whether a value is a flow or workflow."""
    # By its class's name, as the class itself is in a layer above.
    return any(
        base.__module__ == "reflow.flow" and base.__name__ == "Flow" for base in type(value).__mro__
    )


def _unwrapped(value: Any) -> object:
    try:
        return inspect.unwrap(value)
    except Exception:  # wrappers in a circle, objects that raise anything when asked
        return value
