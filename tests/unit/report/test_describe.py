"""Descriptions of workflows."""

from __future__ import annotations

import json
import math
from datetime import date, timedelta
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import pytest
from reflow.flow import Flow
from reflow.report.describe import WorkflowDescription, describe
from reflow.wiring.graph import build_graph
from reflow.wiring.markers import Param, Result, RunDir
from reflow.wiring.rules import builtin_type_rules


class Colour(Enum):
    RED = "red"


def described(flow: Flow) -> WorkflowDescription:
    return describe(build_graph(flow.name, flow.specs(), builtin_type_rules()))


@pytest.fixture
def flow() -> Flow:
    flow = Flow("weather")

    @flow.job(time=timedelta(days=1, hours=2), mem="4G", options={"slurm": {"exclude": ("a",)}})
    def prepare(
        start: Annotated[date, Param(help="First day", short="-s")],
        run_dir: RunDir = RunDir(),  # noqa: B008
    ) -> list[str]:
        """List the work.

        All of it.
        """
        return []

    @flow.array_job(name="my task", array_parallelism=4, after="prepare", verify=bool, retries=1)
    def each(
        item: Annotated[str, Result(step="prepare")],
        colours: Annotated[list[Colour], Param(namespace="local")] = [Colour.RED],  # noqa: B006
    ) -> str:
        return item

    return flow


def test_a_description_is_json_and_tells_everything(flow: Flow) -> None:
    as_dict: dict[str, Any] = described(flow).as_dict()
    assert json.loads(json.dumps(as_dict, allow_nan=False)) == as_dict
    assert as_dict["name"] == "weather"
    prepare, each = as_dict["tasks"]
    assert prepare["name"] == "prepare"
    assert prepare["summary"] == "List the work."
    assert prepare["function"].endswith(":flow.<locals>.prepare")
    assert prepare["returns"] == "list[str]"
    assert prepare["inputs"] == [
        {"argument": "start", "source": "parameter", "type": "date", "parameter": "start"},
        {"argument": "run_dir", "source": "run-dir", "type": "Path"},
    ]
    assert prepare["resources"] == {
        "cpus": 1,
        "time": "1-02:00:00",
        "mem": 4 * 1024**3,
        "gpus": 0,
        "nodes": 1,
        "queue": None,
        "account": None,
        "options": {"slurm": {"exclude": ["a"]}},
    }
    assert each["name"] == "my task"
    assert (each["array"], each["array_parallelism"]) == (True, 4)
    assert each["edges"] == [
        {"step": "prepare", "argument": "item", "mode": "fan-out", "rule": "fan-out"}
    ]
    assert each["inputs"][0]["steps"] == ["prepare"]
    assert each["after"] == ["prepare"]
    assert (each["verify"], each["retries"], each["cache"]) == (True, 1, True)
    assert as_dict["parameters"] == [
        {
            "name": "start",
            "flag": "--start",
            "short": "-s",
            "type": "date",
            "choices": [],
            "required": True,
            "default": None,
            "help": "First day",
            "namespace": "global",
            "tasks": ["prepare"],
        },
        {
            "name": "my_task_colours",
            "flag": "--my-task-colours",
            "short": None,
            "type": "list[Colour]",
            "choices": ["RED"],
            "required": False,
            "default": ["RED"],
            "help": "",
            "namespace": "local",
            "tasks": ["my task"],
        },
    ]


def test_the_typed_description_says_the_same(flow: Flow) -> None:
    description = described(flow)
    assert [task.name for task in description.tasks] == ["prepare", "my task"]
    assert description.tasks[1].edges[0].rule == "fan-out"
    assert description.parameters[0].required


@pytest.mark.parametrize(
    ("annotation", "default", "shown"),
    [
        (float, math.inf, "inf"),
        (float, 1.5, 1.5),
        (Path, Path("a"), "a"),
        (date, date(2025, 1, 31), "2025-01-31"),
        (int | None, None, None),
        (bool, True, True),
        (Colour, Colour.RED, "RED"),
    ],
)
def test_defaults_are_json(annotation: Any, default: Any, shown: Any) -> None:
    def task(x): ...  # type: ignore[no-untyped-def]

    task.__annotations__["x"] = annotation
    task.__defaults__ = (default,)
    flow = Flow("flow")
    flow.job(task)
    assert described(flow).parameters[0].default == shown
    json.dumps(described(flow).as_dict(), allow_nan=False)
