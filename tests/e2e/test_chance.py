"""Elements of equal inputs, whose functions may draw random numbers."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from reflow.model.lineage import VARIABLE
from reflow.runs.create import Wanted
from reflow.workflow import preview

from tests.e2e.support import SECONDS, WAYS, FlowFile, fake_scheduler

Flows = Callable[..., FlowFile]

BOOTSTRAP = """
    wf = Workflow("bootstrap")

    @wf.job()
    def plan(count: int = 5) -> list[int]:
        did("plan")
        return [100] * count

    @wf.job(array=True)
    def sample(size: Annotated[int, Result(step="plan")]) -> str:
        did("sample")
        return os.urandom(8).hex()

    @wf.job()
    def gather(values: Annotated[list[str], Result(step="sample")]) -> list[str]:
        did("gather")
        return values
"""


@pytest.fixture
def bootstrap(flow_file: Flows) -> FlowFile:
    return flow_file(BOOTSTRAP)


def drawn(run: Any) -> list[str]:
    """The values of a run, all of which differ."""
    values: list[str] = run.result("sample")
    assert len(set(values)) == len(values)
    return values


@pytest.mark.parametrize("way", WAYS)
def test_an_unchanged_rerun_gives_the_same_list_and_runs_nothing(
    bootstrap: FlowFile, way: str
) -> None:
    first = drawn(bootstrap.run(way))
    bootstrap.forget()
    for _ in range(2):
        again = bootstrap.run(way)
        assert drawn(again) == again.result("gather") == first
    assert bootstrap.calls == {}


def test_a_list_that_has_grown_keeps_what_it_had(bootstrap: FlowFile) -> None:
    first = drawn(bootstrap.run(count=3))
    grown = drawn(bootstrap.run(count=5))
    assert grown[:3] == first
    assert bootstrap.calls == {"plan": 2, "sample": 5, "gather": 2}
    bootstrap.forget()
    assert drawn(bootstrap.run(count=4)) == grown[:4]
    assert drawn(bootstrap.run(count=5)) == grown
    assert bootstrap.calls == {"plan": 1, "gather": 1}


def test_results_of_older_runs_are_used_where_the_newest_has_too_few(
    bootstrap: FlowFile,
) -> None:
    older = drawn(bootstrap.run(count=3))
    newest = drawn(bootstrap.run(count=2, force_tasks=["sample"]))
    both = drawn(bootstrap.run(count=5))
    assert both[:2] == newest
    assert both[2] == older[2]
    assert set(both[3:]) == set(older[:2])


def test_a_preview_foresees_which_are_left_to_run(
    flow_file: Flows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REFLOW_EXECUTOR", "local")
    flow = flow_file(
        BOOTSTRAP.replace(
            'did("sample")',
            """did("sample")
        ran = Path("{here}/journal").read_text().count("sample")
        assert ran <= 3 or Path("{here}/ok").exists(), "bad luck\"""",
        )
    )
    assert flow.run().state == "FAILED"
    (flow.folder / "ok").touch()
    flow.forget()
    (_, sample, _) = preview(flow.load(), Wanted()).tasks
    assert [each.action for each in sample.instances] == ["cached"] * 3 + ["run"] * 2
    drawn(flow.run())
    assert flow.calls == {"sample": 2, "gather": 1}


@pytest.mark.parametrize("way", WAYS)
def test_an_element_that_is_retried_is_not_given_the_value_of_another(
    flow_file: Flows, way: str
) -> None:
    flow = flow_file(
        """
        wf = Workflow("hole")

        @wf.job()
        def plan() -> list[int]:
            return [100] * 4

        @wf.job(array=True, retries=1)
        def sample(size: Annotated[int, Result(step="plan")]) -> str:
            for number in range(9):
                try:
                    Path("{here}", f"ran{number}").touch(exist_ok=False)
                    break
                except FileExistsError:
                    continue
            assert number not in (1, 4), "bad luck"
            return os.urandom(8).hex()
        """
    )
    run = flow.run(way)
    if run.state != "SUCCESS":
        run.retry()
        run.wait(timeout=60)
    assert len(drawn(run)) == 4


@pytest.mark.parametrize("way", WAYS)
def test_elements_that_are_planned_one_after_the_other_are_each_computed(
    flow_file: Flows, way: str
) -> None:
    flow = flow_file(
        """
        wf = Workflow("within")

        @wf.job()
        def plan() -> list[int]:
            return list(range(6))

        @wf.job(array=True)
        def prepare(number: Annotated[int, Result(step="plan")]) -> int:
            if number == 5:
                wait_for("{here}/go")
            return 100

        @wf.job(array=True)
        def sample(size: Annotated[int, Result(step="prepare")]) -> str:
            Path("{here}/go").touch()
            did("sample")
            return os.urandom(8).hex()
        """
    )
    if way == "inline":
        (flow.folder / "go").touch()
    first = drawn(flow.run(way))
    assert flow.calls == {"sample": 6}
    assert drawn(flow.run(way)) == first
    assert flow.calls == {"sample": 6}


NESTED = """
    inside = Workflow("inside")

    @inside.job()
    def draw(size: int = 100) -> str:
        did("draw")
        return os.urandom(8).hex()

    wf = Workflow("outside")

    @wf.job()
    def plan() -> list[int]:
        return [100] * 4

    @wf.job(array=True, cache=False)
    def sample(size: Annotated[int, Result(step="plan")]) -> str:
        run = inside.run_local(run_dir=None, max_workers=1)
        return run.result("draw")
"""


@pytest.mark.parametrize("way", WAYS)
def test_elements_share_nothing_by_way_of_runs_that_they_start(flow_file: Flows, way: str) -> None:
    flow = flow_file(NESTED)
    first = drawn(flow.run(way))
    assert flow.calls == {"draw": 4}
    # The same element of a later run takes what its run had.
    assert drawn(flow.run(way)) == first
    assert flow.calls == {"draw": 4}


def test_a_new_element_starts_no_run_that_takes_what_anothers_run_took(flow_file: Flows) -> None:
    flow = flow_file(NESTED)
    first = drawn(flow.run())
    flow.replace("return [100] * 4", "return [100] * 6")
    assert drawn(flow.run())[:4] == first
    assert flow.calls == {"draw": 6}


def test_what_an_element_started_before_it_failed_is_used_again(flow_file: Flows) -> None:
    flow = flow_file(
        NESTED.replace(
            'return run.result("draw")',
            """if not Path("{here}/failed").exists():
            Path("{here}/failed").touch()
            raise ValueError("bad luck")
        return run.result("draw")""",
        ).replace("cache=False", "cache=False, retries=1")
    )
    drawn(flow.run())
    assert flow.calls == {"draw": 4}


def test_what_an_element_is_told_of_itself_is_gone_after_it(flow_file: Flows) -> None:
    flow_file(NESTED).run()
    assert VARIABLE not in os.environ


AFTER = """
    wf = Workflow("refreshed")

    @wf.job(OPTIONS)
    def refresh() -> int:
        did("refresh")
        return 0

    @wf.job(after=["refresh"])
    def query() -> int:
        did("query")
        return 1
"""


def test_what_comes_after_a_task_that_ran_again_runs_again(flow_file: Flows) -> None:
    flow = flow_file(AFTER.replace("OPTIONS", "cache=False"))
    flow.run()
    flow.run()
    assert flow.calls == {"refresh": 2, "query": 2}


def test_what_comes_after_a_cached_task_does_not_run_again(flow_file: Flows) -> None:
    flow = flow_file(AFTER.replace("OPTIONS", ""))
    flow.run()
    flow.run()
    assert flow.calls == {"refresh": 1, "query": 1}
    flow.run(force_tasks=["refresh"])
    flow.run()
    assert flow.calls == {"refresh": 2, "query": 2}


def test_jobs_of_a_scheduler_that_dispatch_keep_equal_elements_apart(
    flow_file: Flows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flow = flow_file(
        BOOTSTRAP
        + """
    @wf.job(after=["sample"])
    def publish() -> None:
        did("publish")
"""
    )
    lists = []
    with fake_scheduler("slurm", tmp_path, monkeypatch):
        for _ in range(2):
            run = flow.load().submit(executor="slurm", count=3)
            run.wait(timeout=SECONDS)
            lists.append(drawn(run))
    assert lists[0] == lists[1]
    assert flow.calls == {"plan": 1, "sample": 3, "gather": 1, "publish": 1}


def test_results_of_another_user_are_taken_only_where_all_are_shared(
    bootstrap: FlowFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("os.geteuid", lambda: os.getuid() + 1)
        theirs = drawn(bootstrap.run(count=4))
    own = drawn(bootstrap.run(count=4))
    assert not set(own) & set(theirs)
    monkeypatch.setenv("REFLOW_STORE_SHARE", "all")
    bootstrap.forget()
    both = drawn(bootstrap.run(count=8))
    assert (both[:4], both[4:]) == (own, theirs)
    assert bootstrap.calls == {"plan": 1, "gather": 1}
