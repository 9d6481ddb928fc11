"""One task of a run as it was planned: what can be read of it in the store and the run directory.

Only rows and text are read, so that a user may look at the runs of others: the graph and the source
record are data, the copy of the source is text, and no value is decoded.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Protocol

from reflow.codecs.codecs import Codecs
from reflow.dispatch.arguments import TaskArguments
from reflow.dispatch.tracked_run import RunOfTasks, TrackedTask
from reflow.errors import ReflowError
from reflow.execution.frozen import Copy
from reflow.model.graph import Graph
from reflow.model.records import Instance, RunRecord
from reflow.rundir.files import read_bytes
from reflow.rundir.graph_data import graph_of_data
from reflow.rundir.layout import RunLayout
from reflow.rundir.run_settings import RunSettings, read_settings
from reflow.rundir.source_record import PlannedCode, RunSource, current_source
from reflow.rundir.wave_files import WaveSpec
from reflow.stores.contract import Store

UNREADABLE = (ReflowError, OSError, ValueError, LookupError, TypeError, AssertionError)
"""What reading the remains of a run may raise, whoever has written or removed what."""


@dataclass(frozen=True)
class RecordedRun:
    """A run's tasks, without their elements: enough to find the arguments by."""

    store: Store
    run_id: str
    tasks: Mapping[str, TrackedTask]

    @classmethod
    def read(cls, store: Store, run_id: str, graph: Graph) -> RecordedRun:
        """Read the tasks that the graph and the store have of a run."""
        return cls(
            store,
            run_id,
            {
                record.name: TrackedTask(
                    graph.tasks[record.name], graph.edges[record.name], record.size, record.state
                )
                for record in store.tasks(run_id)
                if record.name in graph.tasks
            },
        )


@dataclass(frozen=True)
class Side:
    """One of the two tasks that are compared: its run, its source, its arguments."""

    tracked: RunOfTasks
    settings: RunSettings
    source: RunSource
    arguments: TaskArguments

    @property
    def task(self) -> str:
        """The task's name."""
        return self.arguments.task.name

    @property
    def size(self) -> int:
        """How many elements the task has."""
        return self.arguments.size

    def identity(self, index: int) -> str | None:
        """Return what an element counts by; None where that cannot be told."""
        try:
            return self.arguments.identity_at(index) if index < self.size else None
        except UNREADABLE:
            return None

    @cached_property
    def _copy(self) -> Copy | None:
        if not self.source.copy:
            return None
        try:
            return Copy(self.settings.layout.copies / f"{self.source.copy}.zip")
        except (ImportError, OSError, ValueError, LookupError, TypeError):
            return None

    def text(self, file: str) -> str | None:
        """Return the text of a file as the run has it; None where it was not kept."""
        try:
            if self._copy is not None and (place := self._copy.place(file)) is not None:
                return self._copy.source(place).decode()
            # Without a copy: the file itself, if it is still what it was.
            content = read_bytes(Path(file))
            same = sha256(content).hexdigest() == self.source.files.get(file)
            return content.decode() if same else None
        except (OSError, ValueError):
            return None


class TaskSides(Protocol):
    """What is known of the task that is explained."""

    trouble: str
    """Why nothing of the run but its rows can be read; empty where it can."""

    @property
    def settings(self) -> RunSettings | None:
        """The settings of the run; None where they cannot be read."""
        ...

    def of(self, instance: Instance) -> Side | None:
        """Return the side that an element was planned with; None where nothing can be read."""
        ...

    def of_wave(self, wave: int) -> Side | None:
        """Return the side that a wave was planned with; None where that cannot be read."""
        ...


class Planned:
    """The only side of a task of a run that is not recorded."""

    trouble = ""

    def __init__(self, side: Side) -> None:
        self._side = side

    @property
    def settings(self) -> RunSettings:
        """The settings that the run would have."""
        return self._side.settings

    def of(self, instance: Instance) -> Side:
        """Return the side."""
        return self._side

    def of_wave(self, wave: int) -> None:
        """Return None: nothing has been submitted."""


class Sides:
    """The sides of one task of a run: one for each source record that was in force."""

    def __init__(self, store: Store, record: RunRecord, task: str, codecs: Codecs) -> None:
        self._store = store
        self._record = record
        self._task = task
        self._codecs = codecs
        self._layout = RunLayout(record.run_dir, record.run_id)
        self._known: dict[str, Side | None] = {}
        self._waves: dict[int, str] = {}
        self.trouble = ""
        """Why nothing of the run but its rows can be read; empty where it can."""

    @cached_property
    def settings(self) -> RunSettings | None:
        """The settings of the run; None where they cannot be read."""
        try:
            return read_settings(self._record.run_dir, self._record.run_id)
        except ReflowError as error:
            self.trouble = str(error).partition(". Was it")[0]
            return None

    def of(self, instance: Instance) -> Side | None:
        """Return the side whose identity of an element is the recorded one.

        Where there is none, that of the source that is in force; None where nothing can be read.
        """
        first: Side | None = None
        for name in self._likeliest(instance):
            side = self._side(name)
            if side is None:
                continue
            first = first or side
            if instance.identity in (None, side.identity(instance.index)):
                return side
        return first

    def of_wave(self, wave: int) -> Side | None:
        """Return the side that a wave was planned with; None where that cannot be read."""
        name = self._planned(wave)
        return self._side(name) if name in self._names else None

    def _likeliest(self, instance: Instance) -> Iterator[str]:
        """Yield the names of source records, first that of the wave of an element."""
        if len(self._names) > 1 and instance.wave is not None:
            planned = self._planned(instance.wave)
            if planned in self._names:
                yield planned
        yield from self._names

    def _planned(self, wave: int) -> str:
        """Return the name of the source record that a wave was planned with."""
        if wave not in self._waves:
            try:
                self._waves[wave] = WaveSpec.read(self._layout.wave(wave)).source
            except OSError:
                self._waves[wave] = ""
        return self._waves[wave]

    @cached_property
    def _names(self) -> list[str]:
        """The names of the source records, first of the one in force."""
        try:
            found = [current_source(self._layout), *self._layout.source_records()]
        except OSError as error:
            self.trouble = self.trouble or (
                f"the run directory of {self._record.run_id} cannot be read: {error.filename}: "
                f"{error.strerror}"
            )
            return []
        return list(dict.fromkeys(found))

    def _side(self, name: str) -> Side | None:
        if name not in self._known:
            self._known[name] = self._read(name)
        return self._known[name]

    def _read(self, name: str) -> Side | None:
        settings = self.settings
        if settings is None:
            return None
        try:
            source = RunSource.read(self._layout, name)
            graph = graph_of_data(source.graph)
            tracked = RecordedRun.read(self._store, self._record.run_id, graph)
            planned = PlannedCode(source.code[self._task], name)
            task = tracked.tasks[self._task]
            arguments = TaskArguments(tracked, settings, task, planned, self._codecs)
        except UNREADABLE as error:
            self.trouble = str(error)
            return None
        return Side(tracked, settings, source, arguments)


def outputs_of(side: Side, step: str) -> Iterator[tuple[int, str, str | None]]:
    """Yield what a step of the run gave: index, text, and what is recorded of its files."""
    yield from side.tracked.store.outputs(side.tracked.run_id, step)
