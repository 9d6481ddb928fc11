"""CPUs, GPUs and threads of elements that share a machine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from reflow.executors.processes import usable_cpus

from tests.e2e.support import FlowFile, fake_scheduler, until

Flows = Callable[..., FlowFile]
WAYS = ("pool", "background")


@pytest.fixture(autouse=True)
def nothing_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine's own settings of threads and GPUs do not count here."""
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "CUDA_VISIBLE_DEVICES"):
        monkeypatch.delenv(name, raising=False)


ALONE = """
    wf = Workflow("alone")

    @wf.job()
    def items() -> list[int]:
        return [0, 1, 2]

    @wf.job(array=True, cpus=CPUS)
    def work(x: Annotated[int, Result(step="items")]) -> int:
        with open("{here}/alone", "x"):
            time.sleep(0.3)
        os.unlink("{here}/alone")
        return x
"""


@pytest.mark.parametrize("way", WAYS)
def test_elements_that_ask_for_the_whole_machine_run_one_after_the_other(
    flow_file: Flows, way: str
) -> None:
    run = flow_file(ALONE.replace("CPUS", str(max(2, usable_cpus())))).run(way)
    assert run.status(as_dict=True)["failed_instances"] == []
    assert run.result("work") == [0, 1, 2]


GPUS = """
    wf = Workflow("gpus")

    @wf.job()
    def items() -> list[int]:
        return list(range(6))

    @wf.job(array=True, gpus=1)
    def train(x: Annotated[int, Result(step="items")]) -> str:
        mine = os.environ["CUDA_VISIBLE_DEVICES"]
        with open(f"{here}/{mine}", "x"):
            time.sleep(0.1)
        os.unlink(f"{here}/{mine}")
        return mine
"""


@pytest.mark.parametrize("way", WAYS)
def test_each_element_has_a_gpu_of_its_own(
    flow_file: Flows, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-a,GPU-b")
    run = flow_file(GPUS.replace('f"{here}', '"{here}" f"')).run(way)
    assert run.status(as_dict=True)["failed_instances"] == []
    assert set(run.result("train")) <= {"GPU-a", "GPU-b"}


THREADS = """
    import json
    LOADED_WITH = os.environ.get("OMP_NUM_THREADS")
    IMPORT
    wf = Workflow("threads")

    @wf.job(cpus=1)
    def small() -> list[str | None]:
        return [LOADED_WITH, os.environ.get("OMP_NUM_THREADS")]

    @wf.job(cpus=2)
    def large(before: Annotated[list[str | None], Result(step="small")]) -> list[str | None]:
        return [LOADED_WITH, os.environ.get("OMP_NUM_THREADS")]
"""


@pytest.fixture(params=[*WAYS, "jobs"])
def run_threads(
    request: pytest.FixtureRequest, flow_file: Flows, tmp_path: Path, monkeypatch: Any
) -> Iterator[Callable[[str], Any]]:
    """Run the flow above one way, with a line among its imports."""

    def run(line: str = "") -> Any:
        flow = flow_file(THREADS.replace("IMPORT", line))
        if request.param != "jobs":
            return flow.run(request.param)
        started = flow.load().submit(executor="slurm")
        until(lambda: started.state.final)
        return started

    if request.param == "jobs":
        with fake_scheduler("slurm", tmp_path, monkeypatch):
            yield run
    else:
        yield run


def test_threads_follow_cpus_where_libraries_are_loaded(run_threads: Callable[[str], Any]) -> None:
    pytest.importorskip("numpy")
    run = run_threads("import numpy")
    assert run.result("small") == ["1", "1"]
    assert run.result("large") == ["2", "2"]


@pytest.mark.parametrize("way", WAYS)
def test_threads_that_the_user_has_set_stay(
    flow_file: Flows, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    run = flow_file(THREADS.replace("IMPORT", "")).run(way)
    assert run.result("small") == run.result("large") == ["7", "7"]


def test_threads_that_the_flow_sets_itself_stay(run_threads: Callable[[str], Any]) -> None:
    run = run_threads('os.environ["OMP_NUM_THREADS"] = "5"')
    assert run.result("small")[1] == run.result("large")[1] == "5"
