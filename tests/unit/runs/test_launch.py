from __future__ import annotations

from pathlib import Path

import pytest
from reflow import Pilots, Workflow
from reflow.runs.create import Wanted
from reflow.runs.preview import Preview
from reflow.workflow import preview

from tests.unit.executors.batch.pond import PondExecutor


@pytest.fixture
def workflow() -> Workflow:
    wf = Workflow("w")

    @wf.job()
    def one() -> int:
        return 1

    return wf


def test_an_executor_object_is_given_the_templates_beside_the_configuration(
    workflow: Workflow, home: Path
) -> None:
    folder = home / ".config" / "reflow" / "templates"
    folder.mkdir(parents=True)
    executor = PondExecutor()

    preview(workflow, Wanted(), executor)

    assert executor.settings == {"templates": str(folder)}


def test_an_executor_object_keeps_the_templates_that_it_has(workflow: Workflow, home: Path) -> None:
    (home / ".config" / "reflow" / "templates").mkdir(parents=True)
    executor = PondExecutor(templates="/mine")

    preview(workflow, Wanted(), executor)

    assert executor.templates == "/mine"


# -- pilots --------------------------------------------------------------------------------
@pytest.fixture
def sizes() -> Workflow:
    """Tasks that ask for one CPU, for four, and for another queue."""
    wf = Workflow("sizes")

    @wf.job()
    def small() -> int:
        return 1

    @wf.job(cpus=4, time="00:10:00")
    def large() -> int:
        return 1

    @wf.job(after="small", queue="deep")
    def elsewhere() -> int:
        return 1

    return wf


def previewed(workflow: Workflow, pilots: Pilots | None) -> Preview:
    return preview(workflow, Wanted(pilots=pilots), PondExecutor())


def test_a_dry_run_shows_the_script_of_pilots_and_of_what_does_not_fit_them(
    sizes: Workflow,
) -> None:
    asked = Pilots(jobs=3, cpus=2)
    shown = previewed(sizes, asked)
    assert shown.pilots == asked
    assert {task.name: task.fits for task in shown.tasks} == {
        "small": True,
        "large": False,
        "elsewhere": False,
    }
    assert [title for title, _ in shown.scripts] == ["pilots: 3 jobs", "large: 1 element"]
    assert "reflow.execution.pool.pilot" in shown.scripts[0][1]


def test_without_pilots_a_dry_run_shows_the_scripts_of_tasks(sizes: Workflow) -> None:
    shown = previewed(sizes, None)
    assert shown.pilots is None
    assert [title for title, _ in shown.scripts] == ["small: 1 element", "large: 1 element"]


def test_what_comes_from_the_cache_needs_no_pilots(workflow: Workflow) -> None:
    workflow.run_local()
    shown = previewed(workflow, Pilots(jobs=3))
    assert (shown.pilots, shown.scripts) == (None, [])


def test_pilots_that_nothing_fits_have_no_script(workflow: Workflow, home: Path) -> None:
    configured = home / ".config" / "reflow" / "config.toml"
    configured.parent.mkdir(parents=True)
    configured.write_text('[defaults]\ntime = "02:00:00"\n')
    shown = previewed(workflow, Pilots(jobs=3, time="01:00:00"))
    assert shown.pilots == Pilots(jobs=3, time="01:00:00")
    assert [title for title, _ in shown.scripts] == ["one: 1 element"]
