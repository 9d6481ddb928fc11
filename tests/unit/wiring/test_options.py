"""The options of a task."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from reflow.errors import DefinitionError, OptionError, ParameterError, ReflowError
from reflow.model.resources import Resources
from reflow.model.tasks import TaskOptions
from reflow.wiring.options import JobOptions, read_options


def test_nothing_said_is_one_cpu_and_no_retries() -> None:
    assert read_options({}) == TaskOptions(resources=Resources(cpus=1))


def test_every_option_arrives() -> None:
    def verify(value: object) -> bool:
        return True

    options = read_options(
        {
            "array": True,
            "array_parallelism": 5,
            "cpus": 2,
            "time": "00:10:00",
            "mem": "4G",
            "gpus": 1,
            "nodes": 3,
            "after": ["a", "b", "a"],
            "version": 2,
            "cache": False,
            "verify": verify,
            "files": "exists",
            "retries": 3,
            "retry_mem": 2,
            "retry_time": 1.5,
            "queue": "short",
            "account": "physics",
            "options": {"slurm": {"qos": "high", "exclude": ("a", "b"), "nice": 3}},
        }
    )
    assert options == TaskOptions(
        array=True,
        array_parallelism=5,
        resources=Resources(
            cpus=2,
            time=timedelta(minutes=10),
            mem=4 * 1024**3,
            gpus=1,
            nodes=3,
            queue="short",
            account="physics",
            options={"slurm": {"qos": "high", "exclude": ["a", "b"], "nice": 3}},
        ),
        after=("a", "b"),
        version="2",
        cache=False,
        verify=verify,
        files="exists",
        retries=3,
        retry_mem=2.0,
        retry_time=1.5,
    )


def test_partition_is_another_word_for_queue() -> None:
    assert read_options({"partition": "short"}) == read_options({"queue": "short"})
    with pytest.raises(OptionError, match="queue and partition"):
        read_options({"partition": "short", "queue": "short"})


@pytest.mark.parametrize(
    ("typo", "meant"),
    [("cpu", "cpus"), ("memory", "mem"), ("Time", "time"), ("retrys", "retries"), ("gpu", "gpus")],
)
def test_an_unknown_option_suggests_the_nearest(typo: str, meant: str) -> None:
    with pytest.raises(TypeError, match=f"'{typo}'; did you mean '{meant}'"):
        read_options({typo: 4})


BAD: dict[str, list[Any]] = {
    "array": ["yes", 1, None],
    "cpus": [0, -1, 1.5, "4", True, None],
    "gpus": [-1, "1", True],
    "nodes": [0, "2"],
    "per_job": [0, -1, 1.5, "many", "4", True],
    "at_once": [0, -1, "2", True],
    "time": ["10:00", "soon", 0, -5, 1.5, True],
    "mem": ["4X", "", 0, -1, 1.5, True],
    "after": [3, [3], {"a": 1}, None],
    "version": ["", 1.5, True],
    "cache": [1, "no", None],
    "verify": ["yes", True],
    "files": ["size", True, 1],
    "ignore": [3, [3], "", "a b", ["SCRATCH", ""], {"SCRATCH": 1}],
    "retries": [-1, 1.5, True, None],
    "retry_mem": [0.5, "2", True, float("nan"), float("inf")],
    "retry_time": [0, "2", False],
    "queue": ["", " ", 3, "a\nb"],
    "partition": ["", 3],
    "account": ["", 3],
    "options": [
        3,
        {"slurm": "qos"},
        {3: {}},
        {"slurm": {3: "x"}},
        {"slurm": {"x": object()}},
        {"slurm": {"x": float("nan")}},
        {"slurm": {"x": {}}},
    ],
}


@pytest.mark.parametrize(
    ("option", "value"), [(option, value) for option, values in BAD.items() for value in values]
)
def test_a_value_that_cannot_be_used_is_an_error_naming_the_option(option: str, value: Any) -> None:
    with pytest.raises(ParameterError, match=option):
        read_options({option: value})


def test_every_option_has_bad_values_tried_above() -> None:
    others = {"name", "array_parallelism"}
    assert set(BAD) | others == set(JobOptions.__annotations__)


def test_array_parallelism_is_for_array_tasks() -> None:
    with pytest.raises(DefinitionError, match="array=True"):
        read_options({"array_parallelism": 5})
    with pytest.raises(ParameterError, match="array_parallelism"):
        read_options({"array_parallelism": 0, "array": True})


def test_option_errors_are_errors_of_reflow() -> None:
    with pytest.raises(ReflowError):
        read_options({"cpu": 4})
    with pytest.raises(ReflowError):
        read_options({"cpus": "4"})


def test_an_array_task_goes_through_lists_side_by_side_or_in_every_combination() -> None:
    def read(array: object) -> tuple[bool, str]:
        options = read_options({"array": array})
        return options.array, options.combination

    assert read(True) == read("zip") == (True, "zip")
    assert read("product") == (True, "product")
    assert read(False) == (False, "zip")
    with pytest.raises(ParameterError, match="'zip' or 'product'"):
        read("cross")
