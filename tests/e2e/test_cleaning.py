"""What `clean`, `rm` and `invalidate` remove, and what they never touch."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from reflow.cli.main import main
from reflow.errors import NotFoundError, NotReadyError
from reflow.model.cleaning import Extent
from reflow.model.states import TaskState
from reflow.runs.cleaning.clean import clean_run

from tests.e2e.support import FlowFile

FLOW = """
    import numpy as np

    wf = Workflow("tide")

    @wf.job()
    def heights(count: int = 3) -> list[int]:
        did("heights")
        print("measured")
        return list(range(count))

    @wf.job(array=True)
    def curve(x: Annotated[int, Result(step="heights")]) -> np.ndarray:
        did(f"curve-{x}")
        return np.full(200_000, x)

    @wf.job()
    def report(
        xs: Annotated[list[np.ndarray], Result(step="curve")], run_dir: RunDir = RunDir()
    ) -> float:
        did("report")
        (run_dir / "report.txt").write_text("mine")
        return float(sum(x.sum() for x in xs))
"""


@pytest.fixture
def flow(flow_file: Callable[..., FlowFile]) -> FlowFile:
    return flow_file(FLOW)


def reflow(*words: str) -> int:
    """Type a command; return its exit code."""
    with pytest.raises(SystemExit) as ended:
        main(words)
    code = ended.value.code
    assert isinstance(code, int)
    return code


def files_of(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def own_files(run: Any) -> list[Path]:
    """The files that reflow has in a run's directory for that run."""
    roots = (run.run_dir / ".reflow" / run.run_id, run.run_dir / "logs" / run.run_id)
    return [path for root in roots for path in root.rglob("*") if path.is_file()]


def has_run(store: Any, run_id: str) -> bool:
    try:
        store.run(run_id)
    except NotFoundError:
        return False
    return True


def test_clean_removes_logs_and_keeps_what_the_cache_can_use(flow: FlowFile) -> None:
    run = flow.run(run_dir=flow.folder / "out")
    flow.forget()

    assert reflow("clean", "--keep-last", "0", "--yes") == 0

    assert {path.suffix for path in own_files(run)} == {".json", ".npy"}
    assert not (flow.folder / "out" / "logs").exists()
    again = flow.run(run_dir=flow.folder / "out")
    assert again.result("report") == 200_000 * 3
    assert flow.calls == {}


def test_what_tasks_wrote_by_themselves_stays(flow: FlowFile) -> None:
    run = flow.run(run_dir=flow.folder / "out")
    (flow.folder / "out" / "logs" / "mine.log").write_text("mine")

    run.remove()

    left = {name for name in files_of(flow.folder / "out") if not name.startswith(".reflow/source")}
    assert left == {"report.txt", "logs/mine.log"}


def test_clean_with_results_makes_the_next_run_compute(flow: FlowFile) -> None:
    flow.run()
    flow.forget()

    assert reflow("clean", "--keep-last", "0", "--results", "--yes") == 0

    flow.run()
    assert flow.calls == {"heights": 1, "curve-0": 1, "curve-1": 1, "curve-2": 1, "report": 1}


def test_a_result_that_a_kept_run_has_taken_over_stays(flow: FlowFile) -> None:
    first = flow.run()
    second = flow.run()

    first.remove()

    assert second.result("report") == 200_000 * 3
    assert second.result("curve", 2)[0] == 2
    assert has_run(second.store, first.run_id)


def test_a_result_is_offered_further_after_the_run_that_made_it_was_removed(
    flow: FlowFile,
) -> None:
    first = flow.run()
    second = flow.run()
    flow.forget()
    first.remove()

    third = flow.run()

    assert flow.calls == {}
    second.remove()
    assert third.result("report") == 200_000 * 3


def test_what_stayed_for_others_goes_with_the_last_of_them(flow: FlowFile) -> None:
    first = flow.run()
    second = flow.run()
    store = second.store
    first.remove()
    assert has_run(store, first.run_id)

    second.remove()

    assert not has_run(store, first.run_id)
    assert not has_run(store, second.run_id)
    assert own_files(first) == []


def test_a_cleaned_run_that_took_results_over_keeps_them_for_the_cache(flow: FlowFile) -> None:
    first = flow.run()
    flow.run()
    flow.forget()
    first.remove()

    assert reflow("clean", "--keep-last", "0", "--yes") == 0

    flow.run()
    assert flow.calls == {}


def test_a_run_that_failed_is_cleaned_up_with_its_records(flow: FlowFile) -> None:
    flow.replace('did("report")', 'raise ValueError("ebb")')
    run = flow.run()

    assert reflow("clean", "--failed", "--yes") == 0

    store = run.store
    assert store.contents(run.run_id).instances == 4
    states = {attempt.outcome.state for attempt in store.attempts(run.run_id)}
    assert states == {TaskState.SUCCESS}
    assert store.submissions(run.run_id, open_only=False) == []


@pytest.mark.parametrize("ask", ["result", "results", "log_path", "retry"])
def test_what_is_asked_of_a_cleaned_run_is_answered_in_a_sentence(flow: FlowFile, ask: str) -> None:
    run = flow.run()
    clean_run(run.store, run.store.run(run.run_id), Extent.FILES)

    with pytest.raises(NotFoundError, match=f"{run.run_id} was cleaned up on 2"):
        getattr(run, ask)(*(["report"] if ask != "retry" else []))


def test_status_says_when_a_run_was_cleaned_up(
    flow: FlowFile, capsys: pytest.CaptureFixture[str]
) -> None:
    run = flow.run()
    clean_run(run.store, run.store.run(run.run_id), Extent.FILES)
    capsys.readouterr()

    run.status()

    assert "it was cleaned up on 2" in capsys.readouterr().out


def test_a_running_run_is_not_removed(flow: FlowFile) -> None:
    run = flow.run()
    lease = run.store.acquire(run.run_id, {"host": "elsewhere", "boot": "other", "pid": 1})
    assert lease is not None

    with pytest.raises(NotReadyError, match="process 1 on elsewhere is at it"):
        run.remove()

    assert own_files(run) != []


def test_another_users_run_is_not_removed(
    flow: FlowFile, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = flow.run()
    before = own_files(run)
    monkeypatch.setattr(os, "geteuid", lambda: 12_345)

    assert reflow("rm", run.run_id, "--yes") == 2
    assert reflow("clean", "--keep-last", "0", "--results", "--yes") == 0

    assert own_files(run) == before
    assert has_run(run.store, run.run_id)
    assert "1 run of other users: left alone\n" in capsys.readouterr().out


def test_files_of_another_user_are_told_of_before_the_question(
    flow: FlowFile, capsys: pytest.CaptureFixture[str]
) -> None:
    run = flow.run()
    (run.run_dir / ".reflow" / run.run_id).chmod(0o777)

    assert reflow("rm", run.run_id) == 2

    printed = capsys.readouterr()
    assert f"left alone:\n  {run.run_id}: " in printed.out
    assert "must be confirmed" not in printed.err


def test_a_run_whose_run_directory_is_not_there_is_not_forgotten_silently(
    flow: FlowFile, capsys: pytest.CaptureFixture[str]
) -> None:
    run = flow.run()
    run.run_dir.rename(flow.folder / "unmounted")

    assert reflow("rm", run.run_id) == 2

    assert has_run(run.store, run.run_id)
    said = " ".join(capsys.readouterr().out.split())
    assert "not mounted, the files of" in said
    assert "stay there, and nothing will know of them" in said


def test_the_newest_runs_of_each_workflow_stay(flow: FlowFile) -> None:
    runs = [flow.run(count=count) for count in (1, 2, 3)]

    assert reflow("clean", "--keep-last", "2", "--results", "--yes") == 0

    store = runs[0].store
    cleaned = [store.run(run.run_id).cleaned_at is not None for run in runs]
    assert cleaned == [True, False, False]


def test_runs_of_one_run_directory_do_not_touch_each_other(flow: FlowFile) -> None:
    runs = [flow.run(run_dir=flow.folder / "out", count=count, force=True) for count in range(10)]

    for run in runs[::4]:
        run.remove()

    for number, run in enumerate(runs):
        assert bool(own_files(run)) == (number % 4 != 0)
        if number % 4:
            assert run.result("report") == 200_000 * sum(range(number))
    assert (flow.folder / "out" / "logs" / "latest").resolve().name == runs[-1].run_id


def test_nothing_is_removed_without_an_answer(
    flow: FlowFile, capsys: pytest.CaptureFixture[str]
) -> None:
    run = flow.run()

    assert reflow("rm", run.run_id) == 2
    assert reflow("rm", run.run_id, "--dry-run") == 0
    assert reflow("clean", "--keep-last", "0", "--dry-run") == 0

    assert "add --yes" in capsys.readouterr().err
    assert run.result("report") == 200_000 * 3


# -- invalidate ------------------------------------------------------------------------------
def test_an_element_that_was_invalidated_is_computed_by_the_next_run(flow: FlowFile) -> None:
    flow.run()
    run = flow.run(force=True)
    flow.forget()

    assert reflow("invalidate", run.run_id, "curve[1]") == 0

    flow.run()
    assert flow.calls == {"curve-1": 1}


def test_what_was_invalidated_is_said_in_lines_that_fit(
    flow: FlowFile, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = flow.run()
    monkeypatch.setenv("COLUMNS", "60")
    assert reflow("invalidate", run.run_id, "report") == 0
    lines = capsys.readouterr().out.splitlines()
    assert "1 result" in lines[-1]
    assert max(map(len, lines)) <= 60


def test_a_run_that_is_not_there_is_named(
    flow: FlowFile, capsys: pytest.CaptureFixture[str]
) -> None:
    flow.run()
    assert reflow("status", "nothing") == 2
    assert "there is no run 'nothing'" in capsys.readouterr().err


def test_what_comes_after_other_values_is_computed_again(flow: FlowFile) -> None:
    flow.replace("np.full(200_000, x)", "np.full(200_000, x) + time.time()")
    run = flow.run()
    flow.forget()

    assert run.invalidate("curve", [0, 2]) == 2

    flow.run()
    assert flow.calls == {"curve-0": 1, "curve-2": 1, "report": 1}


def test_ranges_and_whole_tasks_are_invalidated(flow: FlowFile) -> None:
    run = flow.run(count=5)
    flow.forget()

    assert reflow("invalidate", run.run_id, "curve", "0-1,3", "heights") == 0

    flow.run(count=5)
    assert flow.calls == {"heights": 1, "curve-0": 1, "curve-1": 1, "curve-3": 1}


def test_other_elements_of_equal_arguments_keep_their_results(
    flow_file: Callable[..., FlowFile],
) -> None:
    flow = flow_file("""
        import random

        wf = Workflow("chance")

        @wf.job()
        def seeds() -> list[int]:
            return [7] * 6

        @wf.job(array=True)
        def draw(x: Annotated[int, Result(step="seeds")]) -> float:
            did("draw")
            return random.random()
    """)
    before = flow.run().result("draw")
    run = flow.run()
    flow.forget()

    run.invalidate("draw", 2)

    after = flow.run().result("draw")
    assert flow.calls == {"draw": 1}
    assert [index for index in range(6) if after[index] != before[index]] == [2]


def test_an_element_that_is_not_there_is_an_error(
    flow: FlowFile, capsys: pytest.CaptureFixture[str]
) -> None:
    run = flow.run()

    assert reflow("invalidate", run.run_id, "curve[3]") == 2
    assert "has 3 elements; there is no 3" in capsys.readouterr().err
    with pytest.raises(NotFoundError, match="there is no 3"):
        run.invalidate("curve", 3)


def test_a_database_on_a_server_is_cleaned_up_too(
    flow: FlowFile, postgres_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = flow.run(store=postgres_url), flow.run(store=postgres_url)
    flow.forget()
    first.remove()
    assert second.result("report") == 200_000 * 3

    assert reflow("clean", "--keep-last", "0", "--results", "--yes", "--store", postgres_url) == 0

    assert "cleaned up: " in capsys.readouterr().out
    assert not has_run(second.store, first.run_id)
    third = flow.run(store=postgres_url)
    assert flow.calls == {"heights": 1, "curve-0": 1, "curve-1": 1, "curve-2": 1, "report": 1}
    flow.forget()
    assert reflow("invalidate", third.run_id, "curve", "1", "--store", postgres_url) == 0
    flow.run(store=postgres_url)
    assert flow.calls == {"curve-1": 1}
    assert reflow("usage", "--store", postgres_url) == 0
    for run in (first, second, third):
        run.store.close()
