"""What an element was given: from the files of its wave, or found anew in the store."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from reflow.codecs.codecs import Codecs
from reflow.dispatch.arguments import Wired
from reflow.errors import NotReadyError, ReflowError
from reflow.fingerprint.files.states import State
from reflow.model.canonical import dumps, loads
from reflow.model.json import Json
from reflow.model.records import Instance, RunRecord
from reflow.model.tasks import TaskSpec
from reflow.rundir.graph_data import graph_of_data
from reflow.rundir.looks import RunLooks
from reflow.rundir.run_settings import RunSettings
from reflow.rundir.source_record import RunSource
from reflow.rundir.wave_files import InputReader, WaveSpec
from reflow.runs.explain.sides import Sides
from reflow.stores.contract import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class ElementInputs:
    """The arguments of one element, as stored texts, and the source that it is called with."""

    task: TaskSpec
    """As data: its function is not loaded."""
    source: str
    """Name of the source record."""
    common: Mapping[str, str]
    each: Mapping[str, str]
    states: tuple[State, ...] = field(default=())
    """What was recorded of the files among them; without those that the task writes to."""


def inputs_of(
    store: Store,
    record: RunRecord,
    settings: RunSettings,
    instance: Instance,
    name: str,
    codecs: Codecs,
) -> ElementInputs:
    """Return what an element was given, or would have been; `name` is how users know it.

    Raises `NotReadyError` where its inputs are not known, or are not there any more.
    """
    if instance.identity is None:
        raise NotReadyError(
            f"{name} of {record.run_id} was not given anything: it is "
            f"{instance.state}, and its inputs are not known"
        )
    return _of_wave(settings, instance) or _of_store(store, record, instance, name, codecs)


def _of_wave(settings: RunSettings, instance: Instance) -> ElementInputs | None:
    """Return what the last attempt was given; None where its wave's files are not there."""
    if instance.wave is None or instance.position is None or instance.source is not None:
        return None
    layout = settings.layout.wave(instance.wave)
    try:
        spec = WaveSpec.read(layout)
        task = graph_of_data(RunSource.read(settings.layout, spec.source).graph).tasks[spec.task]
        reader = InputReader(layout.inputs)
        try:
            given = reader.read(instance.position)
        finally:
            reader.close()
    except (OSError, LookupError, ValueError):
        return None
    if given.index != instance.index or spec.task != instance.task:
        return None
    own = [state for states in given.states for state in states]
    shared = [state for states in spec.states.values() for state in states]
    return ElementInputs(
        task=task,
        source=spec.source,
        common=spec.common,
        each=dict(zip(spec.each, given.texts, strict=True)),
        states=(*shared, *own),
    )


def _of_store(
    store: Store, record: RunRecord, instance: Instance, name: str, codecs: Codecs
) -> ElementInputs:
    sides = Sides(store, record, instance.task, codecs)
    side = sides.of(instance)
    if side is None:
        raise NotReadyError(f"{instance.task} of {record.run_id} has no inputs: {sides.trouble}")
    arguments = side.arguments
    try:
        values: tuple[Wired, ...] = arguments.values(instance.index)
    except (LookupError, AssertionError, ReflowError) as error:
        raise NotReadyError(f"inputs of {name} of {record.run_id} are gone: {error}") from error
    own = [state for states in arguments.states(values) for state in states]
    shared = [state for states in arguments.common_states.values() for state in states]
    return ElementInputs(
        task=arguments.task.spec,
        source=arguments.planned.source,
        common=arguments.common,
        each=dict(zip(arguments.each, (value.text for value in values), strict=True)),
        states=(*shared, *own),
    )


def changed_files(settings: RunSettings, states: tuple[State, ...]) -> Iterator[str]:
    """Yield how files of arguments are not as they were when the element was given them."""
    looks = RunLooks(settings)
    for state in dict.fromkeys(states):
        now = looks.state(state.place, state.mode)
        if not now.agrees_with(state):
            how = "it is gone" if now.kind == "missing" else now.difference(state)
            yield f"{state.place} is not as it was: {how}"


# -- where a task writes ----------------------------------------------------------------------
def redirected(text: str, working_directory: Path, into: Path) -> str:
    """Return a stored value with its paths below a folder, which has the same folders then.

    `/data/plots/a.png` becomes `INTO/data/plots/a.png`. A folder that is there is made there,
    without what it holds.
    """

    def walk(data: Json) -> Json:
        if isinstance(data, list):
            return [walk(item) for item in data]
        if not isinstance(data, dict):
            return data
        path = data.get("$path")
        if len(data) == 1 and isinstance(path, str):
            return {"$path": str(_below(into, working_directory / path))}
        return {key: walk(part) for key, part in data.items()}

    return dumps(walk(loads(text)))


def _below(into: Path, place: Path) -> Path:
    there = into.joinpath(*place.parts[1:])
    (there if place.is_dir() else there.parent).mkdir(parents=True, exist_ok=True)
    return there
