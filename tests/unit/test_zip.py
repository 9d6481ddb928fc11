"""Whether lists are zipped or multiplied is said wherever an array task is shown."""

# mypy: disable-error-code="empty-body"

from __future__ import annotations

from typing import Annotated

import pytest
from reflow import Result, Workflow
from reflow.report.drawing import draw_dot, draw_mermaid, draw_text
from reflow.report.preview import preview_lines
from reflow.runs.create import Wanted
from reflow.workflow import preview


@pytest.fixture
def grid() -> Workflow:
    wf = Workflow("grid")

    @wf.job()
    def rates() -> list[float]: ...
    @wf.job()
    def folds() -> list[int]: ...
    @wf.job(array=True)
    def fit(
        rate: Annotated[float, Result(step="rates")],
        fold: Annotated[int, Result(step="folds")],
        all_folds: Annotated[list[int], Result(step="folds")],
    ) -> float: ...
    @wf.job(array="product")
    def search(
        fold: Annotated[int, Result(step="folds")],
        rate: Annotated[float, Result(step="rates")],
    ) -> float: ...
    @wf.job(array="product")
    def lone(fold: Annotated[int, Result(step="folds")]) -> float: ...
    @wf.job(array=True)
    def double(fit: Annotated[float, Result(step="fit")]) -> float: ...
    @wf.job(array=True)
    def both(
        fit: Annotated[float, Result(step="fit")], double: Annotated[float, Result(step="double")]
    ) -> float: ...
    @wf.job(array=True)
    def mixed(
        fit: Annotated[float, Result(step="fit")], rate: Annotated[float, Result(step="rates")]
    ) -> float: ...

    return wf


def test_the_graph_names_the_arguments_that_are_zipped(grid: Workflow) -> None:
    graph = grid.graph()
    assert graph.zipped("fit") == ("rate", "fold")
    assert graph.zipped("mixed") == ("fit", "rate")


def test_one_list_and_chains_alone_are_not_called_zipped(grid: Workflow) -> None:
    graph = grid.graph()
    assert graph.zipped("double") == graph.zipped("both") == graph.zipped("rates") == ()


def test_drawings_say_zip_beside_each_of_them(grid: Workflow) -> None:
    graph = grid.graph()
    text = draw_text(graph, width=120)
    assert "rate ← rates (fan-out, zip); fold ← folds (fan-out, zip)" in text
    assert "all_folds ← folds (broadcast)" in text
    assert "fold ← folds (fan-out, product); rate ← rates (fan-out, product)" in text
    assert "lone[]    fold ← folds (fan-out)" in text
    assert 'fold: fan-out#44; zip"' in draw_mermaid(graph)
    assert "fold: fan-out, zip" in draw_dot(graph)


def test_the_description_lists_them(grid: Workflow) -> None:
    zipped = {task.name: task.zipped for task in grid.describe_typed().tasks}
    assert zipped["fit"] == ("rate", "fold")
    multiplied = {task.name: task.multiplied for task in grid.describe_typed().tasks}
    assert multiplied["search"] == ("fold", "rate")
    assert multiplied["fit"] == multiplied["lone"] == zipped["search"] == ()
    assert grid.describe()["tasks"][2]["zipped"] == ["rate", "fold"]  # type: ignore[index, call-overload]


def test_a_dry_run_says_that_it_is_not_every_combination(grid: Workflow, home: object) -> None:
    foreseen = preview(grid, Wanted(), "local")
    lines = preview_lines(foreseen, width=120, every_instance=False)
    shown = "\n".join(line.plain for line in lines)
    assert "zip: rate and fold are taken side by side" in shown
    assert "product: fold and rate are taken in every combination" in shown
