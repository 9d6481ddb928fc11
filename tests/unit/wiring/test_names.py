"""Names of tasks, flows and workflows."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reflow.cli import launch
from reflow.errors import DefinitionError
from reflow.wiring.names import RESERVED_PARAMETERS, check_name, suggestion
from reflow.workflow import Workflow


@pytest.mark.parametrize(
    "name",
    [
        "prepare",
        "two words",
        "it's",
        '"quoted"',
        "100%",
        "$HOME",
        "`ls`",
        "données",
        "数据",
        "a;b",
        "<lambda>",
        "a\\b",
        "~",
    ],
)
def test_unusual_names_are_allowed(name: str) -> None:
    assert check_name("task", name) == name


@pytest.mark.parametrize(
    "name",
    ["", " ", " a", "a ", ".", "..", ".a", "-a", "a/b", "a\0b", "a\nb", "a[0]", "a,b", "x" * 151,
        "\ud800", "a\u202eb", 3, None],
)  # fmt: skip
def test_names_that_are_no_folder_or_no_word_are_refused(name: Any) -> None:
    with pytest.raises(DefinitionError, match="task"):
        check_name("task", name)


@given(st.text(max_size=200))
def test_every_allowed_name_is_the_name_of_one_folder(name: str) -> None:
    try:
        check_name("task", name)
    except DefinitionError:
        return
    assert Path("base", name, "file").parts == ("base", name, "file")
    assert len(f"{name}-20261122-abcd.1.log".encode()) < 255


@pytest.mark.parametrize("start", [Workflow.submit, Workflow.run_local, launch.run, launch.submit])
def test_whatever_a_run_is_started_with_is_reserved(start: Callable[..., Any]) -> None:
    own = set(inspect.signature(start).parameters) - {"parameters", "workflow", "context"}
    assert own >= {"run_dir", "force"}
    assert own <= RESERVED_PARAMETERS


def test_a_suggestion_is_the_nearest_name_or_all_there_is() -> None:
    assert suggestion("cpu", ["cpus", "mem"]) == "; did you mean 'cpus'?"
    assert suggestion("zzz", ["cpus", "mem"]) == "; there is 'cpus', 'mem'"
    assert suggestion("zzz", []) == "; there are none"
    assert suggestion("zzz", [f"a{i}" for i in range(20)]).endswith("'a9', ...")
