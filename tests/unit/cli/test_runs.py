from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from reflow import Run, Workflow
from reflow.model.records import Instance
from reflow.stores import instances
from reflow.stores.orm import Row
from reflow.stores.rows import instance_record

from tests.unit.cli.conftest import CommandLine


@pytest.fixture
def good(squares: Workflow) -> Run:
    return squares.run_local("good")


@pytest.fixture
def bad(squares: Workflow) -> Run:
    return squares.run_local("bad", bad=2, on_error="continue")


# -- status ---------------------------------------------------------------------------------


def test_status_is_zero_for_a_failed_run_too(
    flow: CommandLine, reflow: CommandLine, squares: Workflow, bad: Run
) -> None:
    for said in (flow(squares, "status", bad.run_id), reflow("status", bad.run_id)):
        assert said.code == 0
        assert said.out.startswith(f"{bad.run_id}  FAILED")


def test_what_to_type_next_begins_with_what_was_typed(
    flow: CommandLine, reflow: CommandLine, squares: Workflow, bad: Run
) -> None:
    assert f"\nreflow retry {bad.run_id}" in reflow("status").out
    assert f"flow.py retry {bad.run_id}" in flow(squares, "status").out


def test_status_as_json_is_the_mapping_of_the_run(reflow: CommandLine, bad: Run) -> None:
    assert json.loads(reflow("status", bad.run_id, "--json").out) == bad.status(as_dict=True)


def test_status_of_one_task_shows_only_that(reflow: CommandLine, bad: Run) -> None:
    said = reflow("status", bad.run_id, "--task", "square", "--json")
    assert list(json.loads(said.out)["tasks"]) == ["square"]
    unknown = reflow("status", bad.run_id, "--task", "sqare")
    assert unknown.code == 2
    assert "did you mean 'square'?" in unknown.err


def test_status_with_errors_shows_the_traceback(reflow: CommandLine, bad: Run) -> None:
    assert "raise ValueError" not in reflow("status").out
    assert "raise ValueError" in reflow("status", "--errors").out


def test_without_an_id_the_newest_run_of_the_workflow_is_shown(
    flow: CommandLine, reflow: CommandLine, squares: Workflow, good: Run
) -> None:
    other = Workflow("other")

    @other.job()
    def nothing() -> None: ...

    newer = other.run_local("other")
    assert flow(squares, "status").out.startswith(good.run_id)
    assert reflow("status", "latest").out.startswith(newer.run_id)


def test_an_unknown_run_is_exit_code_two_with_the_nearest(reflow: CommandLine, good: Run) -> None:
    said = reflow("status", good.run_id[:-1])
    assert said.code == 2
    assert good.run_id in said.err
    assert len(said.err.splitlines()) == 1


def test_where_there_is_no_run_the_way_to_start_one_is_told(reflow: CommandLine) -> None:
    said = reflow("status")
    assert said.code == 2
    assert "reflow run FLOW.py" in said.err


@pytest.mark.parametrize(("which", "code"), [("good", 0), ("bad", 1)])
def test_watching_ends_with_the_run_and_tells_how_it_ended(
    reflow: CommandLine, request: pytest.FixtureRequest, which: str, code: int
) -> None:
    run: Run = request.getfixturevalue(which)
    said = reflow("status", run.run_id, "--watch")
    assert said.code == code
    assert f"{run.run_id}  {run.state}" in said.out


def test_json_cannot_be_watched(reflow: CommandLine, good: Run) -> None:
    assert reflow("status", "--json", "--watch").code == 2


# -- runs -----------------------------------------------------------------------------------


def test_runs_are_listed_newest_first(
    flow: CommandLine, squares: Workflow, good: Run, bad: Run
) -> None:
    lines = flow(squares, "runs").out.splitlines()
    assert [line.split()[:2] for line in lines[1:]] == [
        [bad.run_id, "FAILED"],
        [good.run_id, "SUCCESS"],
    ]


def test_more_runs_than_are_shown_are_hinted_at(reflow: CommandLine, good: Run, bad: Run) -> None:
    said = reflow("runs", "--last", "1")
    assert bad.run_id in said.out
    assert good.run_id not in said.out
    assert "--all" in said.out
    assert "--all" not in reflow("runs", "--all").out
    assert "--all" not in reflow("runs", "--last", "2").out


def test_runs_are_filtered_by_state_and_time(reflow: CommandLine, good: Run, bad: Run) -> None:
    found = json.loads(reflow("runs", "--status", "FAILED", "--json").out)
    assert [each["run_id"] for each in found] == [bad.run_id]
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    assert json.loads(reflow("runs", "--since", tomorrow, "--json").out) == []
    assert len(json.loads(reflow("runs", "--until", tomorrow, "--json").out)) == 2
    assert reflow("runs", "--since", tomorrow).out == "no run fits\n"


@pytest.mark.parametrize("words", [["--status", "FALED"], ["--since", "yesterday"]])
def test_a_filter_that_means_nothing_is_exit_code_two(
    reflow: CommandLine, words: list[str]
) -> None:
    said = reflow("runs", *words)
    assert said.code == 2
    assert words[1] in said.err


def test_a_flow_file_lists_the_runs_of_its_workflow(
    flow: CommandLine, reflow: CommandLine, good: Run
) -> None:
    other = Workflow("other")
    assert "no runs yet" in flow(other, "runs").out
    assert good.run_id in reflow("runs").out


# -- cancel and retry -----------------------------------------------------------------------


def test_with_nothing_to_do_cancel_and_retry_say_so_and_succeed(
    reflow: CommandLine, good: Run
) -> None:
    for command in ("cancel", "retry"):
        said = reflow(command, good.run_id)
        assert said.code == 0
        assert f"nothing to {command}; the run is SUCCESS" in said.out
    assert good.state == "SUCCESS"


def test_several_runs_are_not_cancelled_unasked(reflow: CommandLine, good: Run, bad: Run) -> None:
    said = reflow("cancel", good.run_id, bad.run_id)
    assert said.code == 2
    assert "--yes" in said.err
    assert reflow("cancel", good.run_id, bad.run_id, "--yes").code == 0


def test_naming_one_run_twice_is_naming_one_run(reflow: CommandLine, good: Run) -> None:
    assert reflow("cancel", good.run_id, good.run_id).code == 0


def test_the_latest_run_is_not_cancelled_unasked(reflow: CommandLine, good: Run) -> None:
    said = reflow("cancel", "latest")
    assert said.code == 2
    assert f"cancel {good.run_id} (SUCCESS)" in said.err
    assert "name the run by its id" in said.err
    assert reflow("cancel", "latest", "-y").code == 0


def test_one_unknown_run_cancels_none(reflow: CommandLine, good: Run) -> None:
    said = reflow("cancel", good.run_id, "squares-20200101-0000", "--yes")
    assert said.code == 2
    assert said.out == ""


def test_retry_of_a_foreground_run_runs_it_and_shows_how_it_ended(
    flow: CommandLine, squares: Workflow, bad: Run
) -> None:
    said = flow(squares, "retry", bad.run_id)
    assert said.code == 0
    assert "to be run again" in said.out
    assert f"{bad.run_id}  FAILED" in said.out


def test_retry_with_wait_tells_how_the_run_ended(
    flow: CommandLine, squares: Workflow, bad: Run
) -> None:
    said = flow(squares, "retry", bad.run_id, "--wait")
    assert said.code == 1
    shown = [line for line in said.out.splitlines() if line.endswith("  square  FAILED  3/4")]
    assert len(shown) == 1


def test_retry_of_a_foreground_run_shows_its_progress(
    flow: CommandLine, squares: Workflow, bad: Run
) -> None:
    told = flow(squares, "retry", bad.run_id).out.splitlines()
    assert any(line.endswith("  square  FAILED  3/4") for line in told)


@pytest.mark.parametrize(("which", "code"), [("good", 0), ("bad", 1)])
def test_following_tells_how_the_run_ended(
    reflow: CommandLine, request: pytest.FixtureRequest, which: str, code: int
) -> None:
    run: Run = request.getfixturevalue(which)
    said = reflow("follow", run.run_id)
    assert said.code == code
    assert f"{run.run_id}  {run.state}" in said.out


def test_an_unknown_task_changes_nothing(flow: CommandLine, squares: Workflow, bad: Run) -> None:
    for command in ("retry", "cancel"):
        said = flow(squares, command, bad.run_id, "--task", "squar")
        assert said.code == 2
        assert "did you mean 'square'?" in said.err


# -- logs -----------------------------------------------------------------------------------


@pytest.fixture
def logged(good: Run) -> Run:
    """A run with a log of each kind, as its workers would have left them."""
    folder = good.run_dir / "logs" / good.run_id
    for place, text in (
        ("numbers/0.1.log", "first\nsecond\nthird"),
        ("square/3.1.log", "a try that was lost\n"),
        ("square/3.2.log", "nine \N{SNOWMAN}\n"),
    ):
        path = folder / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return good


def test_the_log_of_a_task_is_printed_as_it_is(reflow: CommandLine, logged: Run) -> None:
    assert reflow("logs", logged.run_id, "numbers").out == "first\nsecond\nthird"


@pytest.mark.parametrize("words", [["square[3]"], ["square", "3"]])
def test_the_log_of_an_element_is_that_of_its_last_attempt(
    reflow: CommandLine, logged: Run, words: list[str]
) -> None:
    assert reflow("logs", "latest", *words).out == "nine \N{SNOWMAN}\n"


def test_tail_prints_the_last_lines(reflow: CommandLine, logged: Run) -> None:
    assert reflow("logs", "latest", "numbers", "--tail", "2").out == "second\nthird"


def test_path_prints_where_the_log_is(reflow: CommandLine, logged: Run) -> None:
    place = logged.run_dir / "logs" / logged.run_id / "numbers" / "0.1.log"
    assert reflow("logs", "latest", "numbers", "--path").out == f"{place}\n"


def test_an_array_task_needs_an_element_and_a_failed_one_is_proposed(
    reflow: CommandLine, bad: Run
) -> None:
    said = reflow("logs", bad.run_id, "square")
    assert said.code == 2
    assert "4 elements" in said.err
    assert f": reflow logs {bad.run_id} square 2 (it failed)" in said.err


def test_why_there_is_no_log_is_told(
    reflow: CommandLine, squares: Workflow, good: Run, bad: Run
) -> None:
    assert "was skipped" in reflow("logs", bad.run_id, "total").err
    again = squares.run_local("good")
    assert "came from the cache" in reflow("logs", again.run_id, "total").err


def test_why_an_element_has_no_log_is_read_from_its_own_row(
    reflow: CommandLine, good: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []

    def counted(task: str, row: Row) -> Instance:
        instance = instance_record(task, row)
        read.append(instance.index)
        return instance

    monkeypatch.setattr(instances, "instance_record", counted)
    assert "square[2] has no log: it printed nothing" in reflow("logs", "latest", "square", "2").err
    assert "it printed nothing" in reflow("logs", "latest", "square", "3", "--follow").err
    assert set(read) == {2, 3}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["squares"], "did you mean 'square'?"),
        (["square", "99"], "4 elements"),
        (["numbers[1]"], "'numbers' is no array task"),
    ],
)
def test_a_log_that_cannot_be_is_exit_code_two(
    reflow: CommandLine, logged: Run, words: list[str], message: str
) -> None:
    said = reflow("logs", "latest", *words)
    assert said.code == 2
    assert message in said.err


def test_without_a_task_the_logs_of_what_failed_are_listed(reflow: CommandLine, bad: Run) -> None:
    said = reflow("logs", bad.run_id)
    assert f"logs are in {bad.run_dir}" in said.out
    assert f"reflow logs {bad.run_id} square 2  # ValueError: 2 is bad" in said.out
