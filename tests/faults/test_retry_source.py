"""Retries after the source was edited: what is computed anew, what is kept, and what is said."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from reflow.errors import FlowImportError, ReflowWarning
from reflow.executors.local import LocalExecutor
from reflow.rundir.layout import RunLayout
from reflow.rundir.source_record import current_source

from tests.cli_e2e.terminal import Terminal
from tests.e2e.support import FlowFile, counts, until
from tests.faults.scripted_scheduler import Folder, ScriptedExecutor

Flows = Callable[..., FlowFile]
Start = Callable[[FlowFile], Any]
WAYS = ("inline", "pool", "background", "dispatch jobs")

FLOW = """
    wf = Workflow("mixed")

    @wf.job()
    def items() -> list[int]:
        return [0, 1, 2]

    @wf.job(array=True)
    def work(x: Annotated[int, Result(step="items")]) -> int:
        did(f"work-{x}")
        return 10 // (x - 1) + 100

    @wf.job()
    def total(xs: Annotated[list[int], Result(step="work")]) -> int:
        did("total")
        return sum(xs)
"""


@pytest.fixture
def failed(
    flow_file: Flows, scheduler: Folder, request: pytest.FixtureRequest
) -> tuple[FlowFile, Any, Callable[[Any], str]]:
    """A flow of which one element failed, its run, and what waits for the run's end."""
    flow = flow_file(FLOW)

    def ended(run: Any) -> str:
        until(lambda: run.state != "RUNNING" and not scheduler.in_queue())
        return str(run.state)

    if request.param == "dispatch jobs":
        run = flow.load().submit(executor=ScriptedExecutor(folder=str(scheduler.path)))
    else:
        run = flow.run(request.param)
    assert ended(run) == "FAILED"
    assert counts(run, "work") == {"SUCCESS": 2, "FAILED": 1}
    flow.forget()
    flow.replace("10 // (x - 1) + 100", "x")
    return flow, run, ended


in_all_ways = pytest.mark.parametrize("failed", WAYS, indirect=True)
in_one_way = pytest.mark.parametrize("failed", ["background"], indirect=True)


@in_all_ways
def test_what_succeeded_with_the_old_source_is_computed_anew(failed: Any) -> None:
    flow, run, ended = failed
    run = flow.load().open_run(run.run_id)
    assert run.retry() == 1 + 2 + 1
    assert ended(run) == "SUCCESS"
    assert run.result("total") == 3
    assert flow.calls == {"work-0": 1, "work-1": 1, "work-2": 1, "total": 1}
    assert not [note for note in run.status().get("notes", ()) if "source" in note]


@in_all_ways
def test_what_is_kept_of_the_old_source_is_named_in_status(failed: Any) -> None:
    flow, run, ended = failed
    run = flow.load().open_run(run.run_id)
    assert run.retry(changed=False) == 2
    assert ended(run) == "SUCCESS"
    assert run.result("work") == [90, 1, 110]
    [note] = [note for note in run.status()["notes"] if "source" in note]
    assert "2 of 3 have results of the source before" in note
    assert f"reflow retry {run.run_id} --changed" in note
    assert run.retry(changed=True) == 2
    assert ended(run) == "SUCCESS"
    assert run.result("total") == 3


@in_one_way
def test_a_function_is_asked_what_is_to_become_of_results_of_the_old_source(failed: Any) -> None:
    flow, run, ended = failed
    asked = []

    def keeps_them(counts: object) -> bool:
        asked.append(counts)
        return False

    run = flow.load().open_run(run.run_id)
    run.retry(changed=keeps_them)
    assert asked == [{"work": 2}]
    assert ended(run) == "SUCCESS"
    assert run.result("work") == [90, 1, 110]


@in_one_way
def test_an_edit_that_does_not_count_leaves_everything(failed: Any) -> None:
    flow, run, ended = failed
    flow.replace("return x", "return 10 // (x - 1) + 100  # the same")
    run = flow.load().open_run(run.run_id)
    assert run.retry() == 2
    assert ended(run) == "FAILED"
    assert flow.calls == {"work-1": 1}


@in_one_way
def test_results_that_other_runs_have_taken_over_stay_what_they_were(failed: Any) -> None:
    flow, run, ended = failed
    flow.replace("return x", "return 10 // (x - 1) + 100")
    other = flow.run("inline")
    assert flow.calls == {"work-1": 1}
    flow.replace("return 10 // (x - 1) + 100", "return x")
    run = flow.load().open_run(run.run_id)
    run.retry()
    assert ended(run) == "SUCCESS"
    assert run.result("work") == [0, 1, 2]
    assert sorted(text for _, text, _ in other._store.outputs(other.run_id, "work")) == [
        "110",
        "90",
    ]


@pytest.mark.parametrize("failed", WAYS[1:], indirect=True)
@pytest.mark.parametrize("edit", ["def half(", "raise RuntimeError('half')", "sys.exit(3)"])
def test_a_flow_that_cannot_be_loaded_is_refused_and_nothing_changes(
    failed: Any, edit: str
) -> None:
    flow, run, ended = failed
    whole = flow.path.read_text()
    flow.path.write_text(f"{whole}\n{edit}\n")
    before = run.status()
    with pytest.raises(FlowImportError):
        run.retry()
    assert run.status() == before
    flow.path.write_text(whole)
    run.retry()
    assert ended(run) == "SUCCESS"
    assert run.result("total") == 3


@pytest.mark.parametrize("failed", WAYS[1:], indirect=True)
def test_a_flow_that_is_gone_is_taken_from_the_last_copy(failed: Any) -> None:
    flow, run, ended = failed
    flow.path.unlink()
    with pytest.warns(ReflowWarning, match=r"flow\.py is gone: .* the copy of its source"):
        assert run.retry() == 2
    assert ended(run) == "FAILED"
    assert flow.calls == {"work-1": 1}


@in_one_way
def test_a_flow_that_has_lost_a_task_is_refused(failed: Any) -> None:
    flow, run, _ = failed
    flow.replace("def total(", "def other(")
    with pytest.raises(FlowImportError, match="no task 'total' any more"):
        run.retry()


@in_all_ways
def test_who_decides_for_nothing_when_asked_changes_nothing(failed: Any) -> None:
    flow, run, _ = failed
    run = flow.load().open_run(run.run_id)
    layout = RunLayout(run.run_dir, run.run_id)

    def everything() -> object:
        files = {path: path.read_bytes() for path in layout.root.glob("*") if path.is_file()}
        return run.status(as_dict=True), run.store.requests(run.run_id), files

    def interrupted(counts: object) -> bool:
        raise KeyboardInterrupt

    before = everything()
    with pytest.raises(KeyboardInterrupt):
        run.retry(changed=interrupted)
    assert everything() == before
    assert not flow.calls


@in_one_way
@pytest.mark.parametrize("answer", ["no", "ctrl-c"])
def test_a_question_at_a_terminal_that_is_not_answered_changes_nothing(
    failed: Any, answer: str
) -> None:
    flow, run, _ = failed
    layout = RunLayout(run.run_dir, run.run_id)
    before = current_source(layout)
    with Terminal("-m", "reflow", "retry", run.run_id) as terminal:
        terminal.wait_for("[anew/keep/no]")
        if answer == "no":
            terminal.type_line("maybe")
            terminal.wait_for("please type anew, keep or no")
            terminal.type_line("no")
        else:
            terminal.press_ctrl_c()
        assert terminal.end() == 130
    assert "2 of 'work'" in terminal.shown
    assert current_source(layout) == before
    assert run.state == "FAILED"
    assert not flow.calls


def test_a_list_that_has_another_length_after_an_edit_says_what_to_do(flow_file: Flows) -> None:
    flow = flow_file(FLOW)
    run = flow.run("background")
    flow.forget()
    flow.replace("10 // (x - 1) + 100", "x")
    flow.replace("[0, 1, 2]", "[0, 1, 2, 3]")
    run = flow.load().open_run(run.run_id)
    run.retry()
    assert run.wait(timeout=60) == "FAILED"
    message = run.status(as_dict=True)["run"]["message"]
    assert "'work' goes through has 4 elements now, and had 3" in message
    assert "start a new run" in message
    assert flow.run("background").result("total") == 6


AT_WORK = """
    wf = Workflow("at_work")

    @wf.job()
    def items() -> list[int]:
        return [0, 1, 2]

    @wf.job(array=True)
    def work(x: Annotated[int, Result(step="items")]) -> str:
        did(f"old-{x}")
        assert x != 0, "a mistake"
        wait_for("{here}/go")
        return f"old-{x}"

    @wf.job()
    def joined(xs: Annotated[list[str], Result(step="work")]) -> str:
        return " ".join(xs)
"""


def test_jobs_of_earlier_waves_keep_their_source_and_what_they_give_is_named(
    flow_file: Flows,
) -> None:
    flow = flow_file(AT_WORK)
    run = flow.load().submit(executor=LocalExecutor(slots=1))
    until(lambda: flow.calls["old-1"] and counts(run, "work").get("FAILED"))
    source = flow.path.read_text().replace("old-{x}", "new-{x}")
    flow.path.write_text(source.replace('    assert x != 0, "a mistake"\n', ""))
    # One runs, and one waits in the queue.
    assert run.retry() == 2
    (flow.folder / "go").touch()
    assert run.wait(timeout=60) == "SUCCESS"
    assert run.result("joined") == "new-0 old-1 old-2"
    [note] = [note for note in run.status(as_dict=True)["notes"] if "source before" in note]
    assert "2 of 3 have, or will have, results of the source before" in note
    assert run.retry(changed=True) == 2
    assert run.wait(timeout=60) == "SUCCESS"
    assert run.result("joined") == "new-0 new-1 new-2"


REWIRED = """
    wf = Workflow("rewired")

    @wf.job()
    def items() -> list[int]:
        return [0, 1, 2]

    @wf.job(array=True)
    def work(x: Annotated[int, Result(step="items")]) -> int:
        did(f"work-{x}")
        if x:
            wait_for("{here}/go")
        return x

    @wf.job()
    def total() -> int:
        return sum(xs)
"""


def test_what_is_wired_to_running_elements_by_an_edit_waits_for_all_of_them(
    flow_file: Flows,
) -> None:
    flow = flow_file(REWIRED)
    run = flow.load().submit(executor=LocalExecutor(slots=2))
    until(lambda: flow.calls["work-1"] and counts(run, "total").get("FAILED"))
    flow.replace("total()", 'total(xs: Annotated[list[int], Result(step="work")])')
    assert run.retry() == 1
    until(lambda: not run.store.requests(run.run_id))
    (flow.folder / "go").touch()
    assert run.wait(timeout=60) == "SUCCESS"
    assert run.result("total") == 3
