"""When users are told that elements would better share jobs."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from reflow.config.schema import ResourceDefaults
from reflow.dispatch.jobs.advice import MANY, advice_on_sharing, note_advice
from reflow.dispatch.modes import BY_DISPATCH_JOBS, FOREGROUND, SUPERVISED, RunMode
from reflow.model.durations import Durations
from reflow.model.pilots import Pilots
from reflow.model.resources import Resources
from reflow.model.tasks import TaskSpec
from reflow.rundir.run_settings import RunSettings


def task(**given: Any) -> TaskSpec:
    return TaskSpec(name="square", function=print, **{"array": True, **given})


def advice(
    spec: TaskSpec,
    elements: int = 2000,
    mean: float | None = 0.05,
    defaults: ResourceDefaults | None = None,
    mode: RunMode = BY_DISPATCH_JOBS,
) -> str:
    known = None if mean is None else Durations(mean, mean)
    return advice_on_sharing(spec, defaults or ResourceDefaults(), mode, elements, lambda: known)


@pytest.mark.parametrize(
    ("elements", "mean", "said"),
    [
        (2000, 0.05, "2,000 jobs of about 0.05 s each; {} 20 jobs"),
        (MANY, 0.0001, "100 jobs of less than 0.01 s each; {} 8 jobs"),
        (5000, 59.0, "5,000 jobs of about 59 s each; {} 492 jobs"),
    ],
)
def test_many_short_elements_with_a_job_each_are_worth_a_line(
    elements: int, mean: float, said: str
) -> None:
    expected = said.format('per_job="auto" would make it')
    assert advice(task(), elements, mean) == f"square: {expected}"
    assert len(expected) < 80


@pytest.mark.parametrize(("elements", "mean"), [(MANY - 1, 0.05), (2000, 60.0), (2000, None)])
def test_nothing_is_said_of_few_or_long_elements_or_where_nothing_is_known(
    elements: int, mean: float | None
) -> None:
    assert advice(task(), elements, mean) == ""


@pytest.mark.parametrize(
    ("spec", "defaults"),
    [
        (task(per_job=1), ResourceDefaults()),
        (task(per_job="auto"), ResourceDefaults()),
        (task(at_once=2), ResourceDefaults()),
        (task(), ResourceDefaults(per_job=1)),
        (task(resources=Resources(nodes=2)), ResourceDefaults()),
        (TaskSpec(name="one", function=print), ResourceDefaults()),
    ],
)
def test_nothing_is_said_where_the_user_has_decided_or_nothing_can_be_shared(
    spec: TaskSpec, defaults: ResourceDefaults
) -> None:
    assert advice(spec, defaults=defaults) == ""


@pytest.mark.parametrize("mode", [FOREGROUND, SUPERVISED])
def test_nothing_is_said_on_one_machine(mode: RunMode) -> None:
    assert advice(task(), mode=mode) == ""


@pytest.mark.parametrize(
    ("pilots", "told"), [(None, True), (Pilots(jobs=2), False), (Pilots(jobs=2, queue="q"), False)]
)
def test_nothing_is_said_of_elements_that_pilots_run(
    tmp_path: Path, pilots: Pilots | None, told: bool
) -> None:
    assert bool(noted(tmp_path, task(), pilots)) is told


def test_elements_that_fit_no_pilot_are_worth_a_line(tmp_path: Path) -> None:
    assert noted(tmp_path, task(resources=Resources(cpus=8)), Pilots(jobs=2, cpus=4))


def noted(tmp_path: Path, spec: TaskSpec, pilots: Pilots | None) -> list[str]:
    """Return what is noted of 2,000 short elements."""
    settings = RunSettings(
        run_id="r",
        workflow="w",
        run_dir=tmp_path,
        store="sqlite:///m.db",
        executor="pond",
        python="python",
        working_directory=tmp_path,
        flow=None,
        parameters={},
        pilots=pilots,
    )
    notes: list[str] = []
    tracked: Any = SimpleNamespace(
        store=SimpleNamespace(durations=lambda workflow, name: Durations(0.05, 0.05)),
        note=lambda name, key, text: notes.append(text),
    )
    note_advice(tracked, settings, BY_DISPATCH_JOBS, spec, 2000)
    return notes
