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
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

from reflow.errors import DefinitionError
from reflow.fingerprint.code.source_file import SourceFile
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


def written(session: Session, workflow: Any) -> Written:
    """Return the module that makes a workflow anew. Raises `DefinitionError`, by name."""
    return _Module(session, workflow).write()


class _Module:
    def __init__(self, session: Session, workflow: Any) -> None:
        self._session = session
        self._workflow = workflow
        self._names = session.names
        self._statements = statements_of(session.cells)
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
        names = tuple(name for name in self._made if name not in memories)
        return Written(self._text(), names, variable)

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
            binding = [each for each in self._statements if name in each.binds]
            if not binding or not source.is_changed_by_functions(name):
                continue
            after = self._statements[self._statements.index(binding[-1]) + 1 :]
            is_as_begun = not any(name in each.used_now for each in after if not each.defines)
            if binding[-1].is_display and not binding[-1].used_now and is_as_begun:
                found[name] = binding[-1]
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
            is_inside = error.value is not value
            raise self._refused(
                user,
                f"uses {name!r}, {'which holds ' * is_inside}{_kind_of(error.value)}",
                "return it from a task, or make it in a function that the task calls",
            ) from None
        return _Unit([f"{name} = {text}"], now=writer.names, is_data_of=name)

    def _other_name(self, value: object, name: str) -> str | None:
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
    return _Unit(lines, [*now], [*later])


def _builds_on(binding: list[Statement], name: str) -> bool:
    return bool(binding) and name in binding[-1].used_now


def _kind_of(value: object) -> str:
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
