"""Running a task's function on one position, in whatever kind of worker."""

from __future__ import annotations

import os
import resource
import signal
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from reflow.codecs.codecs import Codecs
from reflow.codecs.stored_result import StoredResult, encode_result, may_refer
from reflow.codecs.value_files import ValueFiles
from reflow.errors import (
    FlowImportError,
    MissingFileError,
    TaskInterrupted,
    UnstorableValueError,
)
from reflow.execution.memory import lacked_memory, peak_memory, reset_peak
from reflow.model.canonical import loads
from reflow.model.lineage import VARIABLE, below
from reflow.model.outcomes import Outcome
from reflow.model.states import FailureCause, TaskState
from reflow.model.tasks import ParameterInput, ResultInput, RunDirInput, TaskSpec
from reflow.rundir.error_text import (
    failure_text,
    summary,
    traceback_of_return,
    traceback_text,
)
from reflow.rundir.file_states import Recorded
from reflow.rundir.layout import WaveLayout
from reflow.rundir.results import HOST, ResultRecord
from reflow.rundir.run_settings import RunSettings
from reflow.rundir.shared_outputs import shared_outputs
from reflow.rundir.source_record import RunSource, current_source, other_values
from reflow.rundir.wave_files import InputReader, InputRecord, WaveSpec
from reflow.scratch import enter as enter_scratch
from reflow.wiring.types import element_of

if TYPE_CHECKING:
    from reflow.execution.element_files import ElementFiles
    from reflow.execution.witness import States

_Ended = tuple[dict[str, Any], dict[str, Any]]
"""Fields of the outcome of a call, and of the result record around it."""


def plugin_codecs(settings: RunSettings | None = None) -> Codecs:
    """Return codecs that look for plugins only when no built-in codec knows a type.

    With the settings of a run, they wait for the files of its values and check them as it says.
    """

    def from_plugins() -> Any:
        from reflow.plugins.registry import registry

        return registry().codecs()

    if settings is None:
        return Codecs(from_plugins)
    return Codecs(from_plugins, check_files=settings.verify, patience=settings.latency)


def annotation_of(task: TaskSpec, tasks: Mapping[str, TaskSpec], argument: str) -> Any:
    """Return the annotations, its own and its producers', that give an argument's classes.

    Raises `FlowImportError` for an argument that the task does not have.
    """
    for item in task.inputs:
        if item.argument != argument:
            continue
        if isinstance(item, ParameterInput):
            return element_of(item.annotation) if item.each else item.annotation
        if isinstance(item, ResultInput):
            return (item.annotation, *(tasks[step].returns for step in item.steps))
    raise FlowImportError(f"task {task.name!r} has no argument {argument!r} any more")


class Execution:
    """A wave that is ready to run: its function is loaded and its shared arguments decoded."""

    def __init__(
        self,
        layout: WaveLayout,
        settings: RunSettings,
        spec: WaveSpec,
        tasks: Mapping[str, TaskSpec],
        codecs: Codecs,
        differences: Callable[[], Sequence[tuple[str, str]]] = tuple,
    ) -> None:
        """Prepare a wave; `differences` returns notes on how this process differs."""
        self._differences = differences
        self.settings = settings
        self.spec = spec
        if spec.task not in tasks:
            raise FlowImportError(
                f"loading the flow does not make the task {spec.task!r} here; it makes "
                f"{', '.join(map(repr, tasks))}"
            )
        self._task = tasks[spec.task]
        self._tasks = tasks
        self._codecs = codecs
        self._reader = InputReader(layout.inputs)
        self._each = {name: self._annotation(name) for name in spec.each}
        self._fixed: dict[str, Any] = {
            item.argument: settings.run_dir
            for item in self._task.inputs
            if isinstance(item, RunDirInput)
        }
        self._shared_outputs = shared_outputs(
            self._task, tasks.values(), spec.common, settings, codecs
        )
        self.values = ValueFiles(settings.layout.files, settings.layout.values(spec.number))
        self._scratch = str(settings.layout.scratch(spec.task))
        self._shared: list[tuple[str, Any, Any]] = []
        """Name, data and annotation of what is made anew for each element that may change it."""
        for name, text in spec.common.items():
            data, annotation = loads(text), self._annotation(name)
            if isinstance(data, list | dict):
                self._shared.append((name, data, annotation))
            else:
                self._fixed[name] = codecs.decode(data, annotation)

    @cached_property
    def _files(self) -> ElementFiles:
        from reflow.execution.element_files import ElementFiles

        return ElementFiles(self.settings, self._task)

    def _annotation(self, argument: str) -> Any:
        return annotation_of(self._task, self._tasks, argument)

    def record(self, position: int) -> InputRecord:
        """Return the planned input of a position."""
        return self._reader.read(position)

    def run(
        self,
        position: int,
        record: InputRecord,
        log: str = "",
        native_id: str = "",
        printed: Callable[[], str] = str,
    ) -> ResultRecord:
        """Call the function and return its result. Never raises for what the task does.

        `printed` returns the end of what the element has printed. The traceback in the result is
        complete, for the log; `ResultRecord.bounded` returns what is to be published.
        """
        reset_peak()
        started, before = time.time(), resource.getrusage(resource.RUSAGE_SELF)
        outer = os.environ.get(VARIABLE)
        # Within the `try` from the start: a signal may come at any point of it.
        try:
            enter_scratch(f"{self._scratch}/{record.index}.{record.attempt}")
            _set_lineage(
                below(self.settings.lineage, self.settings.run_id, self.spec.task, record.index)
            )
            outcome, more = self._confirmed(record.candidate) or self._called(record)
        except KeyboardInterrupt:
            # Only where the function runs in the user's own process, which is theirs to end.
            raise
        except BaseException as error:
            outcome, more = _failed(error, printed)
        finally:
            enter_scratch(None)
            _set_lineage(outer)
        differences = tuple(self._differences())
        after = resource.getrusage(resource.RUSAGE_SELF)
        return ResultRecord(
            position=position,
            outcome=Outcome(
                task=self.spec.task,
                index=record.index,
                attempt=record.attempt,
                native_id=native_id,
                host=HOST,
                log=log,
                started_at=started,
                ended_at=time.time(),
                peak_memory=peak_memory(),
                cpu_time=after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
                **outcome,
            ),
            other_values=bool(differences),
            notes=(*differences, *more.pop("notes", ())),
            **more,
        )

    def _confirmed(self, candidate: str) -> _Ended | None:
        """Compare the files of a stored result; return its fields if they are the same."""
        if not candidate:
            return None
        from reflow.execution.element_files import confirmed

        paths = confirmed(self.settings, candidate)
        if paths is None:
            return None
        return {"state": TaskState.SUCCESS, "paths": paths}, {"confirmed": True}

    def _called(self, record: InputRecord) -> _Ended:
        """Call the function, and find out what becomes of the files that it is given."""
        process = os.getpid()
        expected = self._expected(record)
        if expected:
            self._files.before(expected)
        try:
            arguments = self._arguments(record)
        except MissingFileError as error:
            return _without_input(error)
        try:
            value = self._task.function(**arguments)
        finally:
            if os.getpid() != process:
                # A fork that the function made, and that returned as well.
                os._exit(0)
        try:
            outcome = self._sealed(value, record)
        except UnstorableValueError as error:
            return _unstorable(self._task.function, error)
        return outcome, self._files.changes() if expected else {}

    def _arguments(self, record: InputRecord) -> dict[str, Any]:
        """Decode the arguments of an element. Raises `MissingFileError`."""
        arguments = dict(self._fixed)
        for name, data, annotation in self._shared:
            arguments[name] = self._codecs.decode(data, annotation)
        for (name, annotation), text in zip(self._each.items(), record.texts, strict=True):
            arguments[name] = self._codecs.decode(loads(text), annotation)
        return arguments

    def _expected(self, record: InputRecord) -> States:
        """Return the recorded states of files that only this element has, by argument."""
        own = dict(zip(self._each, record.states, strict=False))
        if not self._task.array:
            own |= self.spec.states
        return {name: states for name, states in own.items() if states}

    def _sealed(self, value: Any, record: InputRecord) -> dict[str, Any]:
        sealed = encode_result(
            value,
            self._task.returns,
            self.settings.run_dir,
            self._codecs,
            self.settings.layout.files,
            self.values,
        )
        return {
            "state": TaskState.SUCCESS,
            "output": sealed.output,
            "paths": self._paths(sealed, record),
            "bound_dir": sealed.bound_dir,
        }

    def _paths(self, sealed: StoredResult, record: InputRecord) -> str | None:
        """Return the text to be recorded of files that were returned or written to."""
        returned = sealed.places
        own = self._written(record, self._task.outputs - self._shared_outputs)
        shared = self._written(record, self._shared_outputs)
        if returned or own or shared:
            return self._files.recorded(returned, own, shared, sealed.held)
        return Recorded(held=sealed.held).text()

    def _written(self, record: InputRecord, arguments: Collection[str]) -> list[str]:
        """Return paths in arguments that the task writes to."""
        if not arguments:
            return []
        texts = {**self.spec.common, **dict(zip(self._each, record.texts, strict=True))}
        return [
            path
            for name in sorted(arguments)
            if may_refer(texts[name])
            for path in self._codecs.places(loads(texts[name]))
        ]

    def close(self) -> None:
        """Close files."""
        self._reader.close()
        self.values.close()


def _set_lineage(lineage: str | None) -> None:
    """Set the lineage of the runs that this process starts."""
    os.environ.pop(VARIABLE, None)
    if lineage is not None:
        os.environ[VARIABLE] = lineage


def load_execution(
    layout: WaveLayout,
    settings: RunSettings,
    spec: WaveSpec,
    codecs: Codecs,
) -> Execution:
    """Prepare a wave in a process that loads the flow by itself, from the wave's copy.

    Values that are made at import, and modules that were not copied, may differ from those at
    submission; then the results say so. Raises `FlowImportError` where the copy cannot be loaded.
    """
    from reflow.execution.frozen import copied_folders
    from reflow.execution.late_modules import LateModules

    source = RunSource.read(settings.layout, spec.source)
    tasks = load_into_worker(settings, source)
    loaded = tasks.get(spec.task)
    values = tuple(other_values(source, spec.task, loaded and loaded.function))
    late = LateModules(
        copied_folders(), settings.layout.source_record(spec.source).stat().st_mtime_ns
    )
    return Execution(
        layout, settings, spec, tasks, codecs, lambda: (*values, *late.notes().items())
    )


def _without_input(error: MissingFileError) -> _Ended:
    """Return a result's fields where a file that bytes of an argument lay in is gone."""
    outcome = {"state": TaskState.FAILED, "cause": FailureCause.ERROR, "error": summary(error)}
    return outcome, {"missing": error.path}


def _unstorable(function: Callable[..., Any], error: UnstorableValueError) -> _Ended:
    """Return a result's fields where what a function returned cannot be stored."""
    outcome = {
        "state": TaskState.FAILED,
        "cause": FailureCause.ERROR,
        "error": summary(error),
        "traceback": traceback_of_return(function, error),
    }
    return outcome, {"lasting": True}


def _failed(error: BaseException, printed: Callable[[], str]) -> _Ended:
    """Return a result's fields for an exception."""
    if isinstance(error, TaskInterrupted):
        cause = FailureCause.SIGNAL
    elif lacked_memory(error):
        cause = FailureCause.MEMORY
    else:
        cause = FailureCause.ERROR
    text = failure_text(error, printed)
    outcome = {
        "state": TaskState.FAILED,
        "cause": cause,
        "error": text.error,
        "traceback": text.traceback,
    }
    return outcome, {
        "last_output": text.last_output,
        "interrupted": isinstance(error, TaskInterrupted),
    }


def failure_of_all(
    task: str, record: InputRecord, position: int, error: BaseException, native_id: str, log: str
) -> ResultRecord:
    """Return the result of a position whose wave could not be prepared."""
    now = time.time()
    says_all = isinstance(error, FlowImportError) and not error.__cause__
    outcome = Outcome(
        task=task,
        index=record.index,
        attempt=record.attempt,
        state=TaskState.FAILED,
        cause=FailureCause.ERROR,
        error=summary(error),
        traceback="" if says_all else traceback_text(error),
        started_at=now,
        ended_at=now,
        native_id=native_id,
        host=HOST,
        log=log,
    )
    return ResultRecord(position=position, outcome=outcome)


def interrupt_on_signals(meant: Callable[[], bool] = lambda: True) -> None:
    """Make SIGTERM and SIGINT reach the task's function as `TaskInterrupted`.

    `meant` is called when a signal comes; it returns False where the element that the signal was
    sent for has ended already.
    """
    process = os.getpid()

    def interrupt(number: int, frame: object) -> None:
        if os.getpid() != process:
            # In a fork of the task's, such as a pool's worker, which its parent ends by a signal.
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        elif meant():
            name = signal.Signals(number).name
            raise TaskInterrupted(f"the job was sent {name}", number)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, interrupt)


def ignore_signals() -> None:
    """Ignore signals, so that a result that is there already gets published."""
    interrupt_on_signals(lambda: False)


def load_tasks(settings: RunSettings) -> Mapping[str, TaskSpec]:
    """Return the flow's tasks, loaded from the run's copy by a process that does not run them.

    Raises `FlowImportError` where the flow cannot be loaded here.
    """
    from reflow.execution.flow_loading import resolve

    if settings.flow is None:
        raise FlowImportError(f"run {settings.run_id} is known to the process that started it only")
    _use_copy(settings, RunSource.read(settings.layout, current_source(settings.layout)))
    return {spec.name: spec for spec in resolve(settings.flow).specs()}


def load_into_worker(settings: RunSettings, source: RunSource) -> Mapping[str, TaskSpec]:
    """Return the flow's tasks, loaded from a copy by a process that runs them.

    Raises `FlowImportError` where the flow cannot be loaded here.
    """
    from reflow.execution.flow_loading import resolve_in_worker
    from reflow.execution.frozen import hand_on_main, other_python
    from reflow.rundir.series import check_series

    if settings.flow is None:
        raise FlowImportError(f"run {settings.run_id} can only run in the process that started it")
    check_series(settings)
    _use_copy(settings, source)
    try:
        workflow = resolve_in_worker(settings.flow)
    except FlowImportError as error:
        difference = other_python()
        raise FlowImportError(f"{error}; {difference}" if difference else str(error)) from (
            error.__cause__
        )
    hand_on_main(settings.flow.path)
    return {spec.name: spec for spec in workflow.specs()}


def _use_copy(settings: RunSettings, source: RunSource) -> None:
    from reflow.execution.frozen import use_copy

    archive = settings.layout.copies / f"{source.copy}.zip"
    try:
        use_copy(archive)
    except (ImportError, OSError, ValueError, LookupError) as error:
        raise FlowImportError(
            f"the copy of the flow's source cannot be read on this machine: {archive}: {error}"
        ) from error
