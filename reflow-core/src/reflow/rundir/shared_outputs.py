"""Places that several instances of a run write to, such as one folder for all plots.

Each instance changes what the others have left there, so the state of such a place says nothing
about whether any one of them would write the same again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from itertools import product

from reflow.codecs.codecs import Codecs
from reflow.codecs.stored_result import may_refer
from reflow.model.canonical import loads
from reflow.model.tasks import ParameterInput, ResultInput, TaskSpec
from reflow.rundir.file_states import places_in
from reflow.rundir.run_settings import RunSettings


def shared_outputs(
    task: TaskSpec,
    others: Iterable[TaskSpec],
    common: Collection[str],
    settings: RunSettings,
    codecs: Codecs,
) -> frozenset[str]:
    """List the arguments by which a task is told to write where other instances write, too.

    `common` are the arguments that all elements of the task are given alike.
    """
    found = set(task.outputs & set(common)) if task.array else set()
    if not task.outputs - found:
        return frozenset(found)
    given = {name: _places(text, settings, codecs) for name, text in _given(task, settings).items()}
    for other in others:
        if other.name == task.name or not other.outputs:
            continue
        theirs = [
            place
            for text in _given(other, settings).values()
            for place in _places(text, settings, codecs)
        ]
        found.update(name for name, places in given.items() if _overlap(places, theirs))
        steps = {step for item in _wired(other) for step in item.steps}
        found.update(item.argument for item in _wired(task) if not steps.isdisjoint(item.steps))
    return frozenset(found)


def _given(task: TaskSpec, settings: RunSettings) -> Mapping[str, str]:
    """Return the texts of the parameters that say where a task writes, by argument."""
    return {
        item.argument: settings.parameters.get(item.keyword(task.name), "null")
        for item in task.inputs
        if isinstance(item, ParameterInput) and item.output
    }


def _wired(task: TaskSpec) -> list[ResultInput]:
    return [item for item in task.results if item.output]


def _places(text: str, settings: RunSettings, codecs: Codecs) -> list[str]:
    paths = codecs.places(loads(text)) if may_refer(text) else []
    return places_in(paths, settings.working_directory)


def _overlap(one: Iterable[str], other: Iterable[str]) -> bool:
    """Tell whether a place of one is a place of the other, or above or below one of them."""
    return any(
        f"{a}/".startswith(f"{b}/") or f"{b}/".startswith(f"{a}/") for a, b in product(one, other)
    )
