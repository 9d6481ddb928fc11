from __future__ import annotations

from pathlib import Path

import pytest
from reflow import Workflow
from reflow.runs.create import Wanted
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
