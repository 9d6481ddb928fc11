"""What people write in a signature."""

from __future__ import annotations

import copy
import os
from pathlib import Path
from typing import Any

import pytest
from reflow.errors import DefinitionError
from reflow.wiring.markers import Param, Result, RunDir


def prepare(run_dir: RunDir = RunDir()) -> list[str]:  # noqa: B008
    (run_dir / "made").mkdir()
    with open(os.path.join(run_dir, "made", "file"), "w") as file:  # noqa: PTH118, PTH123
        file.write("text")
    return [path.name for path in run_dir.glob("*/*")]


def test_a_function_called_directly_works_in_the_current_directory(tmp_path: Path) -> None:
    assert prepare() == ["file"]
    assert (tmp_path / "made" / "file").read_text() == "text"


def test_a_function_called_directly_takes_any_path(tmp_path: Path) -> None:
    folder = tmp_path / "other"
    folder.mkdir()
    assert prepare(run_dir=folder) == ["file"]  # type: ignore[arg-type]


def test_an_untouched_run_dir_reads_as_the_current_directory() -> None:
    marker: Any = RunDir()
    assert os.fspath(marker) == f"{marker}" == str(Path.cwd())
    assert marker.exists()
    assert repr(copy.deepcopy(marker)) == "RunDir()"
    assert isinstance(marker, os.PathLike)


@pytest.mark.parametrize("short", ["s", "-s"])
def test_a_short_flag_is_a_letter_with_or_without_its_dash(short: str) -> None:
    assert Param(short=short).short == "-s"


@pytest.mark.parametrize("short", ["", "-", "--s", "st", "1", "é", "-st", 3])
def test_any_other_short_flag_is_refused(short: Any) -> None:
    with pytest.raises(DefinitionError, match="one letter"):
        Param(short=short)


@pytest.mark.parametrize("options", [{"namespace": "locl"}, {"help": 3}])
def test_a_parameter_says_only_what_means_something(options: Any) -> None:
    with pytest.raises(DefinitionError, match="Param"):
        Param(**options)


def test_a_result_names_one_step_or_several() -> None:
    assert Result(step="a").steps == ("a",)
    assert Result(steps=["a", "b"]).steps == ("a", "b")
    assert Result(step="a", broadcast=True).broadcast


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"step": "a", "steps": ["b"]},
        {"step": ["a", "b"]},
        {"step": int},
        {"steps": [prepare, prepare]},
        {"steps": []},
        {"steps": "ab"},
        {"steps": ["a", "a"]},
        {"steps": ["a", 1]},
        {"steps": 5},
        {"step": "a", "broadcast": "yes"},
    ],
)
def test_a_result_that_names_nothing_or_too_much_is_refused(options: Any) -> None:
    with pytest.raises(DefinitionError, match="Result"):
        Result(**options)


def test_markers_read_as_they_are_written() -> None:
    assert repr(Result(steps=["a", "b"])) == "Result(steps=['a', 'b'], broadcast=False)"
    assert repr(Result(step="a")) == "Result(step='a', broadcast=False)"
    assert repr(Param(help="h")) == "Param(help='h', short=None, namespace='global')"
    assert repr(Param(each=True)).endswith("namespace='global', each=True)")


@pytest.mark.parametrize("least", [-1, 1.5, -0.1, True, "0.9"])
def test_a_minimum_is_a_share_or_a_number_of_elements(least: Any) -> None:
    with pytest.raises(DefinitionError, match="min_success"):
        Result(step="a", allow_failed=True, min_success=least)
    with pytest.raises(DefinitionError, match="needs allow_failed=True"):
        Result(step="a", min_success=0.5)
    kept = Result(step="a", allow_failed=True, min_success=0.5)
    assert repr(kept).endswith("allow_failed=True, min_success=0.5)")


def test_groups_are_of_one_step_and_one_array_task() -> None:
    assert repr(Result(step="a", per="b")).endswith("per='b')")
    with pytest.raises(DefinitionError, match="name or function of an array"):
        Result(step="a", per=3)  # type: ignore[arg-type]
    with pytest.raises(DefinitionError, match="for one step"):
        Result(steps=["a", "b"], per="c")
    with pytest.raises(DefinitionError, match="for one step"):
        Result(step="a", broadcast=True, per="c")
