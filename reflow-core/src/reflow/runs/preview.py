"""What a run would do, found out without writing anything."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from reflow.codecs.codecs import Codecs
from reflow.dispatch.arguments import TaskArguments
from reflow.dispatch.cache import Cache
from reflow.dispatch.jobs.advice import advice_on_sharing
from reflow.dispatch.jobs.names import token
from reflow.dispatch.jobs.packing import Packing
from reflow.dispatch.jobs.requests import wave_request
from reflow.dispatch.modes import mode_of
from reflow.dispatch.pilots.fit import fits
from reflow.dispatch.pilots.requests import pilots_script
from reflow.dispatch.plan import Planner
from reflow.dispatch.tracked_run import TrackedRun, TrackedTask
from reflow.errors import DefinitionError
from reflow.execution.execute import annotation_of
from reflow.executors.contract import Executor
from reflow.model.canonical import loads
from reflow.model.durations import Durations
from reflow.model.graph import Graph
from reflow.model.pilots import Pilots
from reflow.model.records import Instance, Look, StoredOutput, SubmissionRecord, Taker, TaskRecord
from reflow.model.secrets import shown_text, without_passwords
from reflow.model.states import TaskState
from reflow.rundir.looks import RunLooks
from reflow.rundir.run_settings import RunSettings
from reflow.rundir.source_record import PlannedCode, RunSource, take_source
from reflow.rundir.wave_files import WaveSpec
from reflow.runs.create import record_of, tell_of_other_values
from reflow.stores.contract import Store
from reflow.wiring.overrides import configured_by_table

SHOWN = 200
"""Longest text of an argument that is shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PreviewInstance:
    """What would become of one element."""

    index: int
    action: str
    """`run` or `cached`."""
    arguments: Mapping[str, str]
    """What it would be given, as text."""
    why: str = ""


@dataclass(slots=True, kw_only=True)
class PreviewTask:
    """What would become of one task."""

    name: str
    array: bool
    size: int | None = None
    to_run: int | None = None
    cached: int | None = None
    unknown: bool = True
    """Its inputs are not known before something else has run."""
    reason: str = ""
    zipped: tuple[str, ...] = ()
    """The arguments that are taken from several lists side by side, item by item."""
    multiplied: tuple[str, ...] = ()
    """The arguments that are taken from several lists in every combination."""
    advice: str = ""
    """What it would save if its elements shared jobs."""
    configured: tuple[str, ...] = ()
    """What tables of the configuration say of it in place of its decorator."""
    fits: bool = True
    """The run's pilots can run it, if there are any; otherwise it has jobs of its own."""
    instances: list[PreviewInstance] = field(default_factory=list)
    groups: list[Mapping[str, Any]] = field(default_factory=list)
    """Why elements would run, or whose results they would take, as `explain` has it; only where
    that is wanted."""

    @property
    def may_run(self) -> bool:
        """Whether something of it would run, or is not known not to."""
        return self.unknown or bool(self.to_run)


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What a run would do."""

    tasks: list[PreviewTask]
    pilots: Pilots | None = None
    """The jobs in which the run is to run; None without them, or where nothing is left to run."""
    scripts: list[tuple[str, str]] = field(default_factory=list)
    """Title and text of the batch scripts that are known so far."""


class _Overlay:
    """A store that acts as if the run were recorded; what is written to it stays in memory."""

    def __init__(self, store: Store, graph: Graph) -> None:
        self._store = store
        self._graph = graph
        self.hits: dict[str, dict[int, StoredOutput]] = {name: {} for name in graph.tasks}

    def tasks(self, run_id: str) -> list[TaskRecord]:
        return [
            TaskRecord(name=name, ordinal=place, array=spec.array, size=None if spec.array else 1)
            for place, (name, spec) in enumerate(self._graph.tasks.items())
        ]

    def instances(self, run_id: str) -> list[Instance]:
        return []

    def next_submission_number(self, run_id: str) -> int:
        return 1

    def submissions(self, run_id: str) -> list[SubmissionRecord]:
        return []

    def outputs(self, run_id: str, task: str) -> Iterator[tuple[int, str, str | None]]:
        for index, hit in sorted(self.hits[task].items()):
            yield index, self._store.output(hit.key), hit.paths

    def output_keys(self, run_id: str, task: str) -> list[int]:
        return sorted(hit.key for hit in self.hits[task].values())

    def taken_by_kin(self, taker: Taker) -> set[int]:
        return self._store.taken_by_kin(taker)

    def durations(self, workflow: str, task: str) -> Durations | None:
        return self._store.durations(workflow, task)

    def previous_outputs(
        self, taker: Taker, wanted: Sequence[tuple[int, str]]
    ) -> dict[int, StoredOutput]:
        return self._store.previous_outputs(taker, wanted)

    def find_outputs(self, taker: Taker, looks: Sequence[Look]) -> dict[str, list[StoredOutput]]:
        return self._store.find_outputs(taker, looks)

    def output(self, key: int) -> str:
        return self._store.output(key)


def make_preview(
    store: Store,
    graph: Graph,
    settings: RunSettings,
    codecs: Codecs,
    executor: Executor,
    explain: bool = False,
) -> Preview:
    """Plan a run as far as cached results allow, with the scripts `executor` would submit.

    With `explain`, the elements of each task are compared with those of earlier runs.
    """
    overlay: Any = _Overlay(store, graph)
    tracked = TrackedRun(overlay, settings.run_id, graph)
    cache = Cache(overlay, settings, codecs, RunLooks(settings))
    source = take_source(graph, settings)
    tell_of_other_values(store, settings, source)
    tasks = {
        spec.name: PreviewTask(
            name=spec.name,
            array=spec.array,
            zipped=graph.zipped(spec.name),
            multiplied=graph.multiplied(spec.name),
            configured=configured_by_table(spec),
        )
        for spec in graph.tasks.values()
    }
    planner = Planner(tracked, time.time)
    while plan := planner.next():
        for task in plan.expand:
            tracked.expand(task, _arguments(tracked, settings, task, source, codecs).size)
        for name, ready in plan.ready.items():
            arguments = _arguments(tracked, settings, tracked.tasks[name], source, codecs)
            touched = _foresee(tasks[name], arguments, ready, tracked, cache, overlay, codecs)
            if explain:
                from reflow.runs.explain.planned import explain_planned
                from reflow.runs.explain.sides import Side

                tasks[name].groups += explain_planned(
                    store,
                    record_of(settings, graph),
                    Side(tracked, settings, source, arguments),
                    ready,
                    overlay.hits[name],
                    touched,
                )
    for shown in tasks.values():
        size = tracked.tasks[shown.name].size
        shown.size = size
        if shown.unknown and size != 0:
            waits = ", ".join(
                repr(step)
                for step in graph.tasks[shown.name].upstream
                if not tracked.tasks[step].succeeded
            )
            shown.reason = f"waits for {waits}"
        elif size == 0:
            shown.unknown, shown.to_run, shown.cached = False, 0, 0
            shown.reason = "no elements: what it goes through is empty"
        if settings.pilots is not None:
            resources = settings.config.defaults.fill(graph.tasks[shown.name].resources)
            shown.fits = fits(settings.pilots, resources, executor.name)
        if settings.pilots is None or not shown.fits:
            shown.advice = advice_on_sharing(
                graph.tasks[shown.name],
                settings.config.defaults,
                mode_of(executor),
                shown.to_run or 0,
                partial(store.durations, settings.workflow, shown.name),
            )
    left = [task for task in tasks.values() if task.may_run]
    return Preview(
        tasks=list(tasks.values()),
        pilots=settings.pilots if left else None,
        scripts=[
            *_pilots_script(left, settings, executor),
            *_scripts(tasks.values(), tracked, settings, executor),
        ],
    )


def begins_cached(
    store: Store, graph: Graph, settings: RunSettings, source: RunSource, codecs: Codecs
) -> bool:
    """Tell whether all tasks that wait for no other come from the cache."""
    overlay: Any = _Overlay(store, graph)
    tracked = TrackedRun(overlay, settings.run_id, graph)
    cache = Cache(overlay, settings, codecs, RunLooks(settings))
    for task in (each for each in tracked.tasks.values() if not each.upstream):
        try:
            arguments = _arguments(tracked, settings, task, source, codecs)
        except DefinitionError:
            # It fails without a job, and what the run says of that is said there.
            continue
        wanted = [
            (index, arguments.identity(arguments.values(index))) for index in range(arguments.size)
        ]
        found = cache.find(task.spec, wanted, set())
        if len(found) < len(wanted) or any(map(cache.is_touched, found.values())):
            return False
    return True


def _pilots_script(
    left: Sequence[PreviewTask], settings: RunSettings, executor: Executor
) -> Iterator[tuple[str, str]]:
    if settings.pilots is None or not any(task.fits for task in left):
        return
    jobs = settings.pilots.jobs
    text = pilots_script(settings, executor)
    if text:
        yield f"pilots: {jobs} job{'s' if jobs > 1 else ''}", text


def _scripts(
    tasks: Iterable[PreviewTask], tracked: TrackedRun, settings: RunSettings, executor: Executor
) -> Iterator[tuple[str, str]]:
    defaults = settings.config.defaults
    in_jobs = (task for task in tasks if task.to_run and not (settings.pilots and task.fits))
    for number, shown in enumerate(in_jobs, start=1):
        size, task = shown.to_run or 1, tracked.tasks[shown.name].spec
        durations = partial(tracked.store.durations, settings.workflow, task.name)
        resources = defaults.fill(task.resources)
        packing = Packing(task, defaults, mode_of(executor), None, durations)
        spec = WaveSpec(
            run_id=settings.run_id,
            task=shown.name,
            number=number,
            token=token(settings.run_id, number, shown.name),
            size=size,
            code="",
            common={},
            each=(),
            resources=resources,
            throttle=task.array_parallelism,
            pack=packing.pack(size, size, resources.time),
        )
        text = executor.script(wave_request(settings, spec))
        if text:
            yield f"{shown.name}: {_size(spec)}", text


def _size(spec: WaveSpec) -> str:
    elements = f"{spec.size} element{'s' if spec.size > 1 else ''}"
    pack = spec.pack
    if pack is None:
        return elements
    jobs = f"{elements} in {pack.hosts} job{'s' if pack.hosts > 1 else ''}"
    return f"{jobs}, {pack.at_once} at once in each" if pack.at_once > 1 else jobs


def _arguments(
    tracked: TrackedRun, settings: RunSettings, task: TrackedTask, source: RunSource, codecs: Codecs
) -> TaskArguments:
    return TaskArguments(tracked, settings, task, PlannedCode(source.code[task.name]), codecs)


def _foresee(
    shown: PreviewTask,
    arguments: TaskArguments,
    ready: Sequence[Instance],
    tracked: TrackedRun,
    cache: Cache,
    overlay: _Overlay,
    codecs: Codecs,
) -> dict[int, StoredOutput]:
    """Add to a task what would become of elements; return results whose contents decide."""
    touched: dict[int, StoredOutput] = {}
    identities = [arguments.identity(arguments.values(instance.index)) for instance in ready]
    wanted = [(item.index, identity) for item, identity in zip(ready, identities, strict=True)]
    used = set(overlay.output_keys("", shown.name))
    found = cache.find(arguments.task.spec, wanted, used)
    shown.unknown = False
    shown.to_run, shown.cached = shown.to_run or 0, shown.cached or 0
    missed = _why(cache, arguments.task)
    for instance, identity in zip(ready, identities, strict=True):
        instance.identity = identity
        hit, why = found.get(instance.index), missed
        if hit is not None and cache.is_touched(hit):
            why = f"files of the result of {hit.run_id} have other times: contents decide"
            touched[instance.index], hit = hit, None
        shown.to_run += hit is None
        shown.cached += hit is not None
        shown.instances.append(
            PreviewInstance(
                index=instance.index,
                action="run" if hit is None else "cached",
                arguments=_readable(arguments, instance, tracked, codecs),
                why=why if hit is None else f"from {hit.run_id}",
            )
        )
        tracked.move(instance, TaskState.SUBMITTED if hit is None else TaskState.SUCCESS)
        if hit is not None:
            overlay.hits[shown.name][instance.index] = hit
    return touched


def _readable(
    arguments: TaskArguments, instance: Instance, tracked: TrackedRun, codecs: Codecs
) -> dict[str, str]:
    """Return what an element would be given, as Python writes it."""
    task = arguments.task.spec
    specs = tracked.graph.tasks
    keywords = {item.argument: item.keyword(task.name) for item in task.parameters}
    return {
        name: shown_text(
            f"{name} {keywords.get(name, '')}",
            _shown(codecs.decode(loads(text), annotation_of(task, specs, name))),
        )
        for name, text in arguments.shown(instance.index).items()
    }


def _shown(value: object) -> str:
    text = repr(without_passwords(value))
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


def _why(cache: Cache, task: TrackedTask) -> str:
    if not task.spec.cache:
        return "cache=False"
    return "forced" if cache.bypassed(task.spec) else "no result yet for these inputs"
