"""What is said about mistakes in tasks' options, and about workflows in two copies."""

# mypy: disable-error-code="empty-body"

from __future__ import annotations

import sys
import types
from typing import Any

import pytest
from reflow.errors import DefinitionError, OptionError, ReflowWarning
from reflow.workflow import Workflow


@pytest.mark.parametrize("keyword", ["qos", "constraint", "gres"])
def test_a_schedulers_own_option_as_a_keyword_is_pointed_to_options(keyword: str) -> None:
    given: dict[str, Any] = {keyword: "x"}
    with pytest.raises(OptionError, match=rf"options={{'\w+': {{'{keyword}': \.\.\.}}}}"):
        Workflow("w").job(**given)


@pytest.mark.parametrize(
    ("keyword", "ours"),
    [("retry", "retries"), ("memory", "mem"), ("walltime", "time"), ("cpu", "cpus")],
)
def test_a_word_of_other_programs_gets_ours(keyword: str, ours: str) -> None:
    given: dict[str, Any] = {keyword: 1}
    with pytest.raises(OptionError, match=f"did you mean '{ours}'"):
        Workflow("w").job(**given)


def with_options(name: str) -> Workflow:
    wf = Workflow("w")

    @wf.job(options={name: {"qos": "high"}})
    def one() -> int: ...

    return wf


def test_options_of_a_misspelt_scheduler_are_refused() -> None:
    with pytest.raises(DefinitionError, match=r"'one' has options for 'slrum'.*mean 'slurm'"):
        with_options("slrum").validate()


def test_options_for_a_plugin_that_is_not_here_are_only_warned_of() -> None:
    with pytest.warns(ReflowWarning, match="options for 'moonbase'"):
        with_options("moonbase").validate()


def test_options_for_known_schedulers_are_nothing_to_speak_of(
    recwarn: pytest.WarningsRecorder,
) -> None:
    for name in ("local", "slurm", "flux"):
        with_options(name).validate()
    assert not recwarn.list


def test_a_second_copy_of_the_workflow_that_has_the_tasks_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    module = types.ModuleType("pipeline")
    module.wf = with_options("local")  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pipeline", module)
    with pytest.raises(DefinitionError, match=r"no tasks, but a second copy .* pipeline"):
        Workflow("w").validate()


def test_without_a_second_copy_a_workflow_just_has_no_tasks() -> None:
    with pytest.raises(DefinitionError, match="has no tasks: decorate a function"):
        Workflow("w").validate()
