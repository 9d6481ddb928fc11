"""Collecting a run's report from the store, and from files of the run directory.

The tries are read once, one after the other, and a few numbers are kept of each, so that the
memory needed grows little with the run. Nothing of the run is executed or imported: rows, and text
of its folder, are all that is read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from reflow.errors import ReflowError
from reflow.model.attempts import Attempt, impossible_times, with_possible_times
from reflow.model.graph import Graph
from reflow.model.outcomes import Outcome
from reflow.model.records import RunRecord, TaskRecord
from reflow.model.resources import Resources
from reflow.model.secrets import is_secret, without_passwords
from reflow.model.states import TaskState
from reflow.rundir.graph_data import graph_of_data, graph_of_records
from reflow.rundir.layout import RunLayout
from reflow.rundir.ownership import user_name
from reflow.rundir.run_settings import read_settings
from reflow.rundir.source_record import RunSource
from reflow.runs.reporting.contents import (
    Asked,
    AttemptRow,
    Edge,
    Head,
    ParameterReport,
    RunReport,
    TaskReport,
)
from reflow.runs.reporting.distribution import distribution
from reflow.runs.reporting.measures import Measures, TaskMeasures
from reflow.runs.reporting.provenance import Provenance, read_provenance
from reflow.runs.reporting.source_changes import is_fit, read_source, source_report
from reflow.runs.status import status_of
from reflow.stores.contract import ReadsAttempts, Store, TellsOrigins

_LOOKED_BACK = 10
"""How many earlier runs are looked at for one whose source can be read."""
_LONGEST_ERROR = 300


def collect(store: Store, run_id: str, now: datetime | None = None) -> RunReport:
    """Collect the report of a run, as it is recorded. Raises `NotFoundError`."""
    from reflow import __version__

    now = now or datetime.now(UTC)
    record = store.run(run_id)
    tasks = store.tasks(run_id)
    layout = RunLayout(record.run_dir, run_id)
    source = read_source(record)
    graph = _graph(record, tasks, source)
    asked = {} if source is None else _asked(record, graph)
    measures = measure(store, record, asked, now)
    arrays = frozenset(task.name for task in tasks if task.array)
    last, last_source = _last_run(store, record)
    provenance = read_provenance(layout)
    status = status_of(store, run_id)
    head = _head(record, measures, now, provenance)
    return RunReport(
        made_at=now.isoformat(timespec="seconds"),
        reflow=__version__,
        run=head,
        edges=tuple(_edges(graph)),
        tasks=tuple(_tasks(store, run_id, status["tasks"], measures, asked)),
        timeline=measures.timeline(_axis(head, record)),
        failures=tuple(measures.failures.groups(arrays, record.run_dir)),
        failed_attempts=measures.failures.attempts,
        attempts=tuple(_row(each, measures, arrays) for each in measures.rows),
        attempts_in_all=measures.attempts,
        parameters=tuple(_parameters(record, last)),
        source=None if source is None else source_report(source, last_source, last),
        provenance=provenance,
        notes=(*status["notes"], *filter(None, [impossible_times(measures.impossible)])),
        graph=graph,
    )


def measure(
    store: Store, record: RunRecord, asked: Mapping[str, Resources], now: datetime
) -> Measures:
    """Read the tries of a run, once."""
    submitted = submission_times(store, record.run_id)
    measures = Measures(record.created_at.timestamp(), submitted, asked)
    for attempt in ended_attempts(store, record.run_id):
        possible = with_possible_times(attempt, record, now)
        measures.impossible += possible is not attempt
        measures.add(possible)
    measures.finish()
    return measures


def submission_times(store: Store, run_id: str) -> dict[int, float]:
    """Return when the waves of a run were submitted, by number, in seconds since the epoch."""
    return {
        each.number: each.submitted_at.timestamp()
        for each in store.submissions(run_id, open_only=False)
        if each.submitted_at is not None
    }


def asked_of_run(store: Store, record: RunRecord) -> dict[str, Resources]:
    """Return what the tasks of a run ask for; empty where the run directory does not tell."""
    source = read_source(record)
    if source is None:
        return {}
    return _asked(record, _graph(record, store.tasks(record.run_id), source))


def ended_attempts(store: Store, run_id: str) -> Iterator[Attempt]:
    """Yield the tries that have ended, in order of task, index and attempt.

    Of a store that keeps none, it is the last try of each instance, without times.
    """
    if isinstance(store, ReadsAttempts):
        yield from store.attempts(run_id)
        return
    for instance in store.instances(run_id, states=[TaskState.SUCCESS, TaskState.FAILED]):
        if instance.attempt and instance.source is None:
            outcome = Outcome(
                task=instance.task,
                index=instance.index,
                attempt=instance.attempt,
                state=instance.state,
                cause=instance.cause,
                error=instance.error,
                native_id=instance.native_id,
            )
            yield Attempt(
                outcome=outcome,
                wave=instance.wave,
                mem_scale=instance.mem_scale,
                time_scale=instance.time_scale,
            )


def _graph(record: RunRecord, tasks: list[TaskRecord], source: RunSource | None) -> Graph:
    """Return the graph, or only its tasks where the run directory has none of use."""
    try:
        graph = None if source is None else graph_of_data(source.graph)
    except (ReflowError, LookupError, ValueError, TypeError, AttributeError):
        graph = None
    # A damaged record might have other tasks than the run.
    if graph is None or list(graph.tasks) != [task.name for task in tasks]:
        return graph_of_records(record, tasks)
    return graph


def _asked(record: RunRecord, graph: Graph) -> dict[str, Resources]:
    """Return what tasks ask for, with the defaults of the configuration as it was."""
    found = {name: spec.resources for name, spec in graph.tasks.items()}
    try:
        if not is_fit(RunLayout(record.run_dir, record.run_id).settings):
            return found
        defaults = read_settings(record.run_dir, record.run_id).config.defaults
        return {name: defaults.fill(resources) for name, resources in found.items()}
    except (ReflowError, OSError, LookupError, ValueError, TypeError, AttributeError):
        return found


def _edges(graph: Graph) -> Iterator[Edge]:
    for name, spec in graph.tasks.items():
        for edge in graph.edges[name]:
            yield Edge(source=edge.step, target=name, argument=edge.argument, mode=edge.mode.value)
        for step in spec.after:
            yield Edge(source=step, target=name, argument=None, mode="after")


def _head(
    record: RunRecord, measures: Measures, now: datetime, provenance: Provenance | None
) -> Head:
    finished = record.finished_at
    spans = measures.spans
    return Head(
        run_id=record.run_id,
        workflow=record.workflow,
        state=str(record.state),
        message=record.message,
        tags=record.tags,
        user="" if record.uid is None else user_name(record.uid),
        uid=record.uid,
        host="" if provenance is None else provenance.host,
        run_dir=str(record.run_dir),
        executor=record.executor,
        created_at=record.created_at.isoformat(),
        finished_at=None if finished is None else finished.isoformat(),
        seconds=max(((finished or now) - record.created_at).total_seconds(), 0.0),
        busy_seconds=spans.busy_seconds,
        waiting_seconds=spans.waiting_seconds,
        element_seconds=spans.element_seconds,
        cpu_seconds=measures.cpu_seconds,
    )


def _axis(head: Head, record: RunRecord) -> float:
    return head.seconds if record.finished_at is not None or not record.state.final else 0.0


def _tasks(
    store: Store,
    run_id: str,
    status: Mapping[str, Mapping[str, Any]],
    measures: Measures,
    asked: Mapping[str, Resources],
) -> Iterator[TaskReport]:
    origins = store.origins(run_id) if isinstance(store, TellsOrigins) else {}
    for name, task in status.items():
        measured = measures.tasks.get(name) or TaskMeasures()
        resources = asked.get(name)
        yield TaskReport(
            name=name,
            array=task["array"],
            state=task["state"],
            size=task["size"],
            counts=task["counts"],
            cached=task["cached"],
            cached_from=origins.get(name, {}),
            retries=task["retries"],
            asked=None if resources is None else _asked_of(resources),
            duration=distribution(measured.duration),
            waiting=distribution(measured.waiting),
            peak_memory=distribution(measured.peak_memory),
            cpu=distribution(measured.cpu),
            duration_share=distribution(measured.duration_share, bins=0),
            memory_share=distribution(measured.memory_share, bins=0),
            cpu_share=distribution(measured.cpu_share, bins=0),
        )


def _asked_of(resources: Resources) -> Asked:
    return Asked(
        cpus=resources.cpus,
        mem=resources.mem,
        time=None if resources.time is None else resources.time.total_seconds(),
        gpus=resources.gpus,
        nodes=resources.nodes,
        queue=resources.queue,
        account=resources.account,
    )


def _row(attempt: Attempt, measures: Measures, arrays: frozenset[str]) -> AttemptRow:
    outcome = attempt.outcome
    started, ended = outcome.started_at, outcome.ended_at
    return AttemptRow(
        task=outcome.task,
        array=outcome.task in arrays,
        index=outcome.index,
        attempt=outcome.attempt,
        state=str(outcome.state),
        cause=str(outcome.cause or ""),
        error=outcome.error[:_LONGEST_ERROR],
        host=outcome.host,
        native_id=outcome.native_id,
        started_at=None if started is None else datetime.fromtimestamp(started, UTC).isoformat(),
        waiting=measures.waiting(attempt),
        seconds=None if started is None or ended is None else max(ended - started, 0.0),
        peak_memory=outcome.peak_memory,
        cpu_seconds=outcome.cpu_time,
    )


def _last_run(store: Store, record: RunRecord) -> tuple[RunRecord | None, RunSource | None]:
    """Return the newest run of the workflow before this one, and its source.

    The source is that of the newest whose source can be read.
    """
    earlier = store.list_runs(
        graph_name=record.workflow, until=record.created_at, limit=_LOOKED_BACK
    )
    earlier = [each for each in earlier if each.run_id != record.run_id]
    for each in earlier:
        source = read_source(each)
        if source is not None:
            return each, source
    return (earlier[0] if earlier else None), None


def _parameters(record: RunRecord, last: RunRecord | None) -> Iterator[ParameterReport]:
    before = {} if last is None else last.parameters
    for name, value in record.parameters.items():
        told = ParameterReport(
            name=name,
            value=without_passwords(value),
            hidden=is_secret(name),
            changed=name in before and before[name] != value,
        )
        if told.hidden:
            yield replace(told, value=None)
        elif told.changed:
            yield replace(told, previous=without_passwords(before[name]))
        else:
            yield told
