"""The source record of a run: fingerprints of its tasks' code, with their files and values.

It is taken once, when the run is submitted or retried, and never again: dispatchers read it in the
run directory. Workers compare it with what they have loaded, by the contents of files and by values
that were made at import.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import astuple, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reflow.errors import FlowImportError
from reflow.fingerprint.code.task_source import Definition, Given, TaskSource, Value
from reflow.fingerprint.code.unsaved import read_source
from reflow.model.canonical import digest
from reflow.model.secrets import shown_text
from reflow.model.tasks import TaskSpec
from reflow.rundir.files import damaged, read_bytes, write_whole
from reflow.rundir.layout import RunLayout

if TYPE_CHECKING:
    from reflow.model.graph import Graph
    from reflow.rundir.run_settings import RunSettings


@dataclass(frozen=True, slots=True)
class PlannedCode:
    """The fingerprint of one task's code, as planned."""

    code: str
    """The author's version, or the digest of the source."""
    source: str = ""
    """Name of the record (`RunSource`) with the details."""


@dataclass(frozen=True, slots=True)
class RunSource:
    """The source record of a run."""

    code: Mapping[str, str]
    """By task: the author's version, or the digest of its source."""
    tasks: Mapping[str, TaskSource] = field(default_factory=dict)
    """What each task is made of, except those with a version."""
    files: Mapping[str, str] = field(default_factory=dict)
    """Digest of each file's content, except files that were edited after they were loaded."""
    graph: Mapping[str, Any] = field(default_factory=dict)
    """The run's graph as data."""
    copy: str = ""
    """Name of the copy of the user's own code; empty where no other process needs one."""
    own: Mapping[str, str] = field(default_factory=dict)
    """Files to be copied, with the names of the modules; known only when the record is taken."""
    edited: frozenset[str] = frozenset()
    """Files that were edited after they were loaded; known only when the record is taken."""

    def write(self, layout: RunLayout) -> None:
        """Put the record into the run directory and in force. Raises `OSError`."""
        content = self._content()
        name = _name_of(content)
        # Workers use the time of that file as the time of submission.
        _write_new(layout.source_record(name), content)
        # The time of that file is when the record came into force.
        _write_new(layout.source, name.encode())

    def write_draft(self, draft: Path) -> None:
        """Write the record to a file, not in force. Raises `OSError`."""
        write_whole(draft, self._content())

    def _content(self) -> bytes:
        table = _Table()
        data = {
            "code": dict(self.code),
            "tasks": {
                name: {
                    "digest": source.digest,
                    "definitions": table.places(source.definitions),
                    "values": table.places(source.values),
                    "given": table.places(source.given),
                }
                for name, source in self.tasks.items()
            },
            "pieces": table.rows,
            "files": dict(self.files),
            "graph": dict(self.graph),
            "copy": self.copy,
        }
        return json.dumps(data).encode()

    @classmethod
    def read(cls, layout: RunLayout, name: str) -> RunSource:
        """Read back what `write` wrote. Raises `OSError`, for damaged data too."""
        path = layout.source_record(name)
        content = read_bytes(path)
        if _name_of(content) != name:
            raise damaged(path)
        return cls._of_content(content)

    @classmethod
    def read_draft(cls, draft: Path) -> RunSource:
        """Read back what `write_draft` wrote. Raises `OSError`."""
        return cls._of_content(read_bytes(draft))

    @classmethod
    def _of_content(cls, content: bytes) -> RunSource:
        data = json.loads(content)
        rows = data["pieces"]
        return cls(
            data["code"],
            {
                name: TaskSource(
                    found["digest"],
                    tuple(Definition(*rows[place]) for place in found["definitions"]),
                    tuple(Value(*rows[place]) for place in found["values"]),
                    tuple(Given(*rows[place]) for place in found.get("given", ())),
                )
                for name, found in data["tasks"].items()
            },
            data["files"],
            data["graph"],
            data["copy"],
        )


def _write_new(path: Path, content: bytes) -> None:
    """Write a file, but leave an existing file of the same content, and its time, alone."""
    if not path.exists() or read_bytes(path) != content:
        write_whole(path, content)


def _name_of(content: bytes) -> str:
    return digest(content)[:16]


def check_loaded_anew(source: RunSource) -> None:
    """Raise `FlowImportError` where a file was edited after this notebook imported it."""
    for file in sorted(source.edited):
        raise FlowImportError(
            f"{Path(file).name} was edited after this notebook has imported it, so that other "
            "processes would have it otherwise: load it again, with importlib.reload() or by "
            "restarting the notebook, and run the cells that import from it"
        )


def current_source(layout: RunLayout) -> str:
    """Return the name of the record in force. Raises `OSError`, for damaged data too."""
    name = read_bytes(layout.source)
    if not name.isalnum():
        raise damaged(layout.source)
    return name.decode()


def with_copy(source: RunSource, settings: RunSettings) -> RunSource:
    """Keep a copy of the code behind the record, if other processes are to load it.

    Raises `OSError`.
    """
    if settings.flow is None or settings.executor == "inline":
        return source
    from reflow.rundir.source_archive import freeze

    return replace(source, copy=freeze(source.own, settings.layout.copies))


class _Table:
    """Rows that many tasks share, each kept once."""

    def __init__(self) -> None:
        self._places: dict[tuple[str, ...], int] = {}

    def places(self, parts: Iterable[Any]) -> list[int]:
        return [self._places.setdefault(astuple(part), len(self._places)) for part in parts]

    @property
    def rows(self) -> list[list[str]]:
        return [list(row) for row in self._places]


def take_source(graph: Graph, settings: RunSettings) -> RunSource:
    """Fingerprint the tasks of a run, as this process has loaded them."""
    from reflow.rundir.graph_data import graph_as_data

    return replace(_take(graph.tasks.values(), settings), graph=graph_as_data(graph))


def _take(specs: Iterable[TaskSpec], settings: RunSettings) -> RunSource:
    from reflow.fingerprint.code.digest import Survey
    from reflow.rundir.source_archive import modules_by_place

    specs = list(specs)
    by_source = [spec for spec in specs if spec.version is None]
    flow_file = None if settings.flow is None else settings.flow.file
    whose = settings.config.source
    survey = Survey([spec.function for spec in by_source], flow_file, whose.own, whose.foreign)
    tasks = {spec.name: survey.look_at(spec.function, spec.ignore) for spec in by_source}
    code = {
        # Two workflows may well have a task "prepare" of version "1".
        spec.name: f"version {spec.version} in {settings.workflow}"
        if spec.version is not None
        else tasks[spec.name].digest
        for spec in specs
    }
    files = {each.file for source in tasks.values() for each in source.definitions}
    now = {file: _content(file) for file in files}
    contents = {
        file: now[file] for file in files if survey.contents.get(file, now[file]) == now[file]
    }
    own = survey.own_files(modules_by_place())
    return RunSource(code, tasks, contents, own=own, edited=frozenset(files - contents.keys()))


def _content(file: str) -> str:
    """Return the digest of a file's content; empty for anything but a readable file."""
    try:
        return digest(read_source(Path(file))) if os.path.isabs(file) else ""  # noqa: PTH117
    except OSError:
        return ""


# -- what a worker has ------------------------------------------------------------------------
def other_values(
    source: RunSource, task: str, function: object = None
) -> Iterator[tuple[str, str]]:
    """Yield notes, by name, on values that differ in this process.

    These are values made at import, and what the task's function was given when it was made.
    """
    yield from _other_top_level(source, task)
    yield from _other_given(source, task, function)


def _other_given(source: RunSource, task: str, function: object) -> Iterator[tuple[str, str]]:
    planned = source.tasks[task].given if task in source.tasks else ()
    if not planned:
        return
    modules = _modules_of({each.file for each in planned})
    for each in planned:
        if each.file and each.file not in modules:
            continue
        made = modules[each.file].get(each.function) if each.file else function
        own, shown = _given_here(made).get(each.name, ("", "not there"))
        if own != each.digest:
            now = shown_text(each.name, shown)
            whose = each.function or f"the function of task {task!r}"
            name = f"{each.function or task}: {each.name}"
            yield (
                name,
                f"the value {each.name!r} that {whose} was made with was "
                f"{each.told} where the run was submitted, and is {now} on "
                f"{os.uname().nodename}: results made with another value serve this run only. "
                "Make it a parameter, or give the task version=",
            )


_givens: dict[int, tuple[object, dict[str, tuple[str, str]]]] = {}
"""By function, what it was given: as this process found it first, as tasks may change it."""


def _given_here(function: object) -> dict[str, tuple[str, str]]:
    from reflow.fingerprint.code.given import given_to

    if id(function) not in _givens:
        _givens[id(function)] = function, given_to(function)
    return _givens[id(function)][1]


def _other_top_level(source: RunSource, task: str) -> Iterator[tuple[str, str]]:
    planned = source.tasks[task].values if task in source.tasks else ()
    if not planned:
        return
    from reflow.fingerprint.code.parts import part_of
    from reflow.fingerprint.code.plain import look_at

    modules = _modules_of({each.file for each in planned})
    for each in planned:
        if each.file not in modules:
            continue
        name, _, part = each.name.partition(".")
        try:
            value = modules[each.file][name]
            own = look_at(part_of(value, part) if part else value)
            missing = "no plain value"
        except KeyError:
            own, missing = None, "not set"
        if own is None or own.digest != each.digest:
            shown = shown_text(each.name, own.shown) if own else missing
            yield each.name, _difference(each.name, each.file, each.told, shown)


def _difference(name: str, file: str, submitted: str, own: str) -> str:
    return (
        f"{name} in {Path(file).name} was {submitted} where the run was submitted, and is {own} on "
        f"{os.uname().nodename}: results made with another value serve this run only. Make it a "
        f'parameter, give the task version=, or write ignore=["{name}"] if it does not matter'
    )


def _modules_of(files: set[str]) -> dict[str, dict[str, Any]]:
    """Return the globals of the modules that were loaded from files."""
    names = {os.path.basename(file) for file in files}  # noqa: PTH119
    found: dict[str, dict[str, Any]] = {}
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if isinstance(file, str) and os.path.basename(file) in names:  # noqa: PTH119
            real = os.path.realpath(file)
            if real in files:
                found.setdefault(real, vars(module))
    return found


# -- against the last run ---------------------------------------------------------------------
def values_that_differ(now: RunSource, before: RunSource) -> dict[str, list[str]]:
    """Return values that alone change tasks' fingerprints, as text, and the tasks concerned."""
    found: dict[str, list[str]] = {}
    for task, source in now.tasks.items():
        last = before.tasks.get(task)
        if last is None or last.digest == source.digest or _statements(last) != _statements(source):
            continue
        former = {(each.file, each.name): each for each in last.values}
        for each in source.values:
            old = former.get((each.file, each.name))
            if old is not None and old.digest != each.digest:
                name = f"{each.name} in {Path(each.file).name}"
                text = f"{name} is {each.told}, and was {old.told}"
                if each.told == old.told:  # its attributes, or the order of an array
                    text = f"{name} is another {each.told} than it was"
                found.setdefault(text, []).append(task)
    return found


def _statements(source: TaskSource) -> set[tuple[str, str, str]]:
    """Return what a task is made of but for values and folders, which hosts mount elsewhere."""
    found = {(Path(each.file).name, each.name, each.digest) for each in source.definitions}
    return found | {(Path(each.file).name, each.name, each.statements) for each in source.values}
