"""What tasks return is handed on as their annotations say, in every way to run."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from reflow.errors import DefinitionError
from reflow.model.states import RunState

from tests.e2e.support import WAYS, FlowFile, failed, fake_scheduler, until

Flows = Callable[..., FlowFile]

NEARLY = """
from collections import Counter

import numpy as np

wf = Workflow("nearly")


@wf.job()
def mean() -> float:
    return np.mean([1.0, 2.0])


@wf.job()
def letters() -> dict[str, int]:
    return Counter("aab")


@wf.job()
def numbers() -> list[int]:
    return (1, np.int64(2))


@wf.job(array=True)
def half(number: Annotated[int, Result(step="numbers")]) -> float:
    return np.float32(number / 2)


@wf.job()
def seen(
    mean: Annotated[float, Result(step="mean")],
    letters: Annotated[dict[str, int], Result(step="letters")],
    numbers: Annotated[list[int], Result(step="numbers")],
    halves: Annotated[list[float], Result(step="half")],
) -> list[str]:
    return [repr(mean), repr(letters), repr(numbers), repr(halves)]
"""
SEEN = ["1.5", "{'a': 2, 'b': 1}", "[1, 2]", "[0.5, 1.0]"]


@pytest.mark.parametrize("way", WAYS)
def test_values_that_equal_what_is_promised_are_handed_on_as_that(
    flow_file: Flows, way: str
) -> None:
    run = flow_file(NEARLY).run(way)
    assert failed(run) == {}
    assert run.result("seen") == SEEN


def test_jobs_of_a_scheduler_hand_them_on_so_too(
    flow_file: Flows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with fake_scheduler("slurm", tmp_path, monkeypatch):
        run = flow_file(NEARLY).load().submit(run_dir="run", executor="slurm")
        until(lambda: run.state is not RunState.RUNNING)
        assert failed(run) == {}
        assert run.result("seen") == SEEN


@pytest.mark.parametrize("way", WAYS)
def test_what_can_never_be_stored_is_refused_before_anything_runs(
    flow_file: Flows, way: str
) -> None:
    flow = flow_file("""
        class Thing:
            pass

        wf = Workflow("promise")

        @wf.job()
        def slow() -> int:
            did("slow")
            return 1

        @wf.job()
        def make(number: Annotated[int, Result(step="slow")]) -> list[Thing]:
            return [Thing()] * number
    """)
    with pytest.raises(DefinitionError, match=r"'make' returns list\[Thing\], but .* Path"):
        flow.run(way)
    assert not flow.calls


@pytest.mark.parametrize("way", WAYS)
def test_a_set_where_a_list_is_promised_names_the_task_that_returned_it(
    flow_file: Flows, way: str
) -> None:
    run = flow_file("""
        wf = Workflow("wrong")

        @wf.job()
        def make() -> list[int]:
            return {1, 2}

        @wf.job(array=True)
        def use(x: Annotated[int, Result(step="make")]) -> int:
            return x
    """).run(way)
    assert run.state is RunState.FAILED
    assert "'make' returned a set" in run.failure_text()


def test_what_cannot_be_stored_shows_the_line_that_returned_it_and_is_not_tried_again(
    flow_file: Flows,
) -> None:
    flow = flow_file(
        """
        wf = Workflow("late")

        class Thing:
            pass

        @wf.job(retries=3)
        def make():
            did("make")
            if not Thing:
                return None
            try:
                return Thing()
            finally:
                did("")

        @wf.job(retries=3)
        def several(first: bool = True):
            did("several")
            if first:
                return [Thing()]
            return Thing()
        """
    )
    run = flow.run()
    text = flow.path.read_text().splitlines()
    shown = {each["task"]: each["traceback"] for each in run.status()["failed_instances"]}
    for task, line in (("make", "        return Thing()"), ("several", "def several(")):
        at = next(at for at, found in enumerate(text) if found.startswith(line)) + 1
        if task == "several":
            at -= 1  # its decorator
        assert f'File "{flow.path}", line {at}, in {task}' in shown[task]
        assert "reflow/" not in shown[task]
        assert "UnstorableValueError" in shown[task] or "UnstorablePartError" in shown[task]
    assert flow.calls == {"make": 1, "several": 1}


PICKLED = """
from reflow import Pickled

wf = Workflow("forests")


class Forest:
    def __init__(self, trees):
        self.trees = trees


@wf.job()
def grow() -> list[Annotated[Forest, Pickled()]]:
    did("grow")
    return [Forest(1), Forest(2)]


@wf.job(array=True)
def prune(forest: Annotated[Forest, Result(step="grow")]) -> Annotated[Forest, Pickled()]:
    did("prune")
    return Forest(forest.trees * 10)


@wf.job()
def count(forests: Annotated[list[Forest], Result(step="prune")]) -> int:
    return sum(forest.trees for forest in forests)
"""


@pytest.mark.parametrize("way", WAYS)
def test_values_that_annotations_pickle_are_handed_on(flow_file: Flows, way: str) -> None:
    flow = flow_file(PICKLED)
    run = flow.run(way)
    assert run.result("count") == 30
    assert [forest.trees for forest in run.result("prune")] == [10, 20]
    flow.forget()
    assert flow.run(way).result("count") == 30
    assert not flow.calls


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_pickled_values_of_another_user_are_never_taken(flow_file: Flows) -> None:
    flow = flow_file(PICKLED)
    run = flow.run()
    for path in Path(run.run_dir).rglob("*.pickle"):
        os.chown(path, 12345, -1)
    flow.forget()
    assert flow.run().result("count") == 30
    assert flow.calls == {"grow": 1, "prune": 2}
