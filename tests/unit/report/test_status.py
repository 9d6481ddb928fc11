from __future__ import annotations

import io
import shlex
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from reflow.report.status import (
    BAR_WIDTH,
    MOST_FAILURES,
    alike,
    fitting,
    next_steps,
    print_status,
    progress_bar,
    status_lines,
)

from tests.unit.report.statuses import RUN_ID, failed, status, task

NOW = datetime(2026, 11, 22, 8, 0, 5, tzinfo=UTC)


def shown(mapping: dict[str, Any], *, errors: bool = False, width: int = 80) -> str:
    lines = status_lines(mapping, errors=errors, width=width, command="reflow", now=NOW)
    return "\n".join(line.plain for line in lines)


def test_the_run_comes_first_with_its_state_and_how_long_it_took() -> None:
    text = shown(status("SUCCESS", {"prepare": task("SUCCESS", SUCCESS=1)}))
    assert text.startswith(f"{RUN_ID}  SUCCESS  after 2 min 3 s\n")
    assert "/scratch/demo" in text.splitlines()[1]


def test_a_run_that_goes_on_says_since_when() -> None:
    assert f"{RUN_ID}  RUNNING  for 5.0 s" in shown(status("RUNNING", {}))


def test_parameters_are_shown() -> None:
    text = shown(status("SUCCESS", {}, parameters={"unit": "C", "months": [1, 2]}))
    assert "unit=C  months=[1, 2]" in text


@pytest.mark.parametrize(
    ("running", "queued", "at_once", "said"),
    [
        (3, 1, 6, "convert: 3 jobs running, 1 queued; up to 6 elements at once"),
        (1, 0, 1, "convert: 1 job running; up to 1 element at once"),
        (0, 1200, 0, "convert: 1,200 jobs queued"),
    ],
)
def test_jobs_and_the_elements_that_share_them_are_told_apart(
    running: int, queued: int, at_once: int, said: str
) -> None:
    jobs = {"running": running, "queued": queued, "at_once": at_once}
    sharing = {"convert": task("RUNNING", 48, array=True, RUNNING=48) | {"jobs": jobs}}
    assert said in shown(status("RUNNING", sharing)).splitlines()


@pytest.mark.parametrize(
    ("running", "queued", "at_once", "said"),
    [
        (3, 1, 96, "3 pilots running, 1 queued; 96 elements at once"),
        (1, 0, 1, "1 pilot running; 1 element at once"),
        (1, 0, 0, "1 pilot running"),
        (0, 4, 0, "4 pilots queued"),
    ],
)
def test_pilots_are_told_in_one_line(running: int, queued: int, at_once: int, said: str) -> None:
    pilots = {"running": running, "queued": queued, "at_once": at_once}
    text = shown(status("RUNNING", {"convert": task("RUNNING")}) | {"pilots": pilots})
    assert said in text.splitlines()


@pytest.mark.parametrize("pilots", [None, {"running": 0, "queued": 0, "at_once": 0}])
def test_nothing_is_said_of_pilots_where_there_are_none(pilots: dict[str, int] | None) -> None:
    text = shown(status("RUNNING", {"convert": task("RUNNING")}) | {"pilots": pilots})
    assert "pilot" not in text


@pytest.mark.parametrize("jobs", [None, {"running": 0, "queued": 0, "at_once": 0}])
def test_nothing_is_said_of_jobs_where_none_is_shared(jobs: dict[str, int] | None) -> None:
    assert " job" not in shown(status("RUNNING", {"convert": task("RUNNING") | {"jobs": jobs}}))


def test_there_is_a_column_for_each_state_that_occurs_and_for_no_other() -> None:
    tasks = {
        "prepare": task("SUCCESS", SUCCESS=1),
        "convert": task("RUNNING", 48, array=True, SUCCESS=40, RUNNING=2, SUBMITTED=6),
    }
    lines = shown(status("RUNNING", tasks)).splitlines()
    header = next(line for line in lines if line.startswith("task"))
    assert header.split() == ["task", "state", "done", "running", "queued"]
    convert = next(line for line in lines if line.startswith("convert"))
    assert [word for word in convert.split() if not set(word) <= set("━─╍")] == [
        "convert",
        "RUNNING",
        "40/48",
        "2",
        "6",
    ]


def test_the_size_of_an_array_task_that_is_not_known_is_a_question_mark() -> None:
    text = shown(status("RUNNING", {"convert": task("PENDING", None, array=True)}))
    assert "0/?" in text


def test_the_table_fits_eighty_columns_with_every_state_in_it() -> None:
    counts = dict.fromkeys(
        ["SUCCESS", "FAILED", "RUNNING", "SUBMITTED", "PENDING", "CANCELLED", "SKIPPED"], 10000
    )
    tasks = {"a_task_with_quite_a_name": task("RUNNING", 70000, array=True, **counts)}
    text = shown(status("RUNNING", tasks))
    assert max(map(len, text.splitlines())) <= 80


def test_the_bar_tells_success_failure_and_rest_apart() -> None:
    bar = progress_bar(task("RUNNING", 4, array=True, SUCCESS=2, FAILED=1, PENDING=1))
    quarter = BAR_WIDTH // 4
    assert bar.plain == "━" * 2 * quarter + "╍" * quarter + "─" * quarter


def test_one_failure_in_many_is_visible_in_the_bar() -> None:
    bar = progress_bar(task("FAILED", 10000, array=True, SUCCESS=9999, FAILED=1))
    assert bar.plain == "━" * (BAR_WIDTH - 1) + "╍"


def test_a_failure_comes_with_cause_error_log_and_what_to_type() -> None:
    tasks = {"convert": task("FAILED", 3, array=True, SUCCESS=2, FAILED=1)}
    text = shown(status("FAILED", tasks, [failed("convert", 2, "ValueError: bad month")]))
    assert "convert[2]  ERROR" in text
    assert "  ValueError: bad month" in text
    assert f"/scratch/demo/logs/{RUN_ID}/convert/2.1.log" in text
    assert f"reflow retry {RUN_ID} " in text
    assert f"reflow logs {RUN_ID} convert 2 " in text
    assert f"reflow status {RUN_ID} --errors" in text


def test_elements_that_failed_alike_are_told_once() -> None:
    tasks = {"convert": task("FAILED", 9, array=True, FAILED=5, SUCCESS=4)}
    failures = [failed("convert", index, "ValueError: bad") for index in (1, 2, 3, 8)]
    text = shown(status("FAILED", tasks, [*failures, failed("convert", 5, "OSError: full")]))
    assert "convert[1-3, 8]  ERROR  4 elements" in text
    assert text.count("ValueError: bad") == 1
    assert "convert[5]  ERROR" in text


def test_errors_that_differ_by_numbers_only_are_told_once() -> None:
    tasks = {"convert": task("FAILED", 9, array=True, FAILED=9)}
    failures = [failed("convert", index, f"ValueError: day {index} is bad") for index in range(9)]
    text = shown(status("FAILED", tasks, failures))
    assert "convert[0-8]  ERROR  9 elements" in text
    assert "ValueError: day 0 is bad (others: with other numbers)\n" in text
    assert "day 1" not in text


def test_many_kinds_of_failure_are_counted_beyond_the_first() -> None:
    kinds = "abcdefghijklmnopqrstuvwxyz"[: MOST_FAILURES + 7]
    failures = [failed("convert", index, f"error {kind}") for index, kind in enumerate(kinds)]
    tasks = {"convert": task("FAILED", 17, array=True, FAILED=17)}
    text = shown(status("FAILED", tasks, failures))
    assert f"error {kinds[MOST_FAILURES - 1]}" in text
    assert f"error {kinds[MOST_FAILURES]}\n" not in text
    assert "and 7 more failed instances" in text


def test_failures_that_the_mapping_leaves_out_are_counted() -> None:
    tasks = {"convert": task("FAILED", 5000, array=True, FAILED=5000)}
    text = shown(status("FAILED", tasks, [failed("convert", 0, "bad")]))
    assert "4,999 more failed instances" in text


def test_errors_are_shown_with_their_traceback() -> None:
    failures = [failed("publish", None, "ValueError: bad", traceback="Traceback\n  File x\nbad")]
    mapping = status("FAILED", {"publish": task("FAILED", FAILED=1)}, failures)
    assert "File x" not in shown(mapping)
    assert "    Traceback\n      File x\n    bad\n" in shown(mapping, errors=True)


def test_where_there_is_no_traceback_the_end_of_the_log_is_shown(tmp_path: Path) -> None:
    log = tmp_path / "0.1.log"
    log.write_text("".join(f"line {number}\n" for number in range(100)))
    failures = [failed("publish", None, "killed", cause="MEMORY", log=log.name)]
    mapping = status(
        "FAILED", {"publish": task("FAILED", FAILED=1)}, failures, run_dir=str(tmp_path)
    )
    text = shown(mapping, errors=True)
    assert "    line 99\n" in text
    assert "line 50" not in text


def test_a_log_that_is_gone_is_said_to_be(tmp_path: Path) -> None:
    mapping = status(
        "FAILED",
        {"publish": task("FAILED", FAILED=1)},
        [failed("publish", None, "killed")],
        run_dir=str(tmp_path),
    )
    assert "(its log cannot be read: No such file or directory)" in shown(mapping, errors=True)


def test_attempts_after_the_first_are_shown_when_all_ended_well() -> None:
    tried = {**task("SUCCESS", 2, array=True, SUCCESS=2), "retries": 2}
    assert "convert was tried again: 2 further attempts" in shown(
        status("SUCCESS", {"convert": tried})
    )


def test_a_pending_reason_and_notes_are_shown_whole() -> None:
    waiting = {**task("PENDING", PENDING=1), "reason": "Resources"}
    mapping = status("RUNNING", {"convert": waiting})
    mapping["notes"] = ["no dispatch is queued: type 'reflow retry " + RUN_ID + "'" + " x" * 40]
    text = shown(mapping)
    assert "convert waits: Resources" in text
    assert mapping["notes"][0] in text


def test_names_with_blanks_and_quotes_can_be_pasted() -> None:
    mapping = status("FAILED", {}, [failed("it's here", 3, "bad")], run_id="my runs-20261122-a1b2")
    commands = [command for command, _ in next_steps(mapping, "python flow.py")]
    words = ["python", "flow.py", "logs", "my runs-20261122-a1b2", "it's here", "3"]
    assert words in [shlex.split(command) for command in commands]


@pytest.mark.parametrize(
    ("state", "words"),
    [("RUNNING", ["--watch", "cancel"]), ("CANCELLED", ["retry"]), ("SUCCESS", [])],
)
def test_what_to_type_next_depends_on_the_state(state: str, words: list[str]) -> None:
    commands = " ".join(command for command, _ in next_steps(status(state, {}), "reflow"))
    assert [word for word in ("--watch", "cancel", "retry") if word in commands] == words


def test_tasks_under_way_stay_visible_on_a_low_terminal() -> None:
    tasks = {f"done{place}": task("SUCCESS", SUCCESS=1) for place in range(20)}
    tasks["now"] = task("RUNNING", RUNNING=1)
    tasks.update({f"later{place}": task("PENDING") for place in range(20)})
    names = list(fitting(tasks, 11))
    assert names == ["now", *(f"later{place}" for place in range(9))]


def test_what_waits_in_a_queue_gives_way_to_what_runs_and_what_failed() -> None:
    tasks = {f"queued{place}": task("SUBMITTED", SUBMITTED=1) for place in range(9)}
    tasks["bad"] = task("FAILED", FAILED=1)
    tasks.update({f"now{place}": task("RUNNING", RUNNING=1) for place in range(3)})
    assert list(fitting(tasks, 6)) == ["queued0", "bad", "now0", "now1", "now2"]
    assert list(fitting(tasks, 3)) == ["bad", "now0"]


def test_a_low_terminal_shows_the_newest_successes() -> None:
    tasks = {f"done{place}": task("SUCCESS", SUCCESS=1) for place in range(5)}
    assert list(fitting(tasks, 4)) == ["done2", "done3", "done4"]


def test_failures_are_grouped_in_the_order_of_their_first() -> None:
    groups = alike([failed("b", 4, "x"), failed("a", None, "y"), failed("b", 2, "x")])
    assert [group.label for group in groups] == ["b[2, 4]", "a"]


def printed(mapping: dict[str, Any]) -> str:
    file = io.StringIO()
    print_status(mapping, file=file)
    return file.getvalue()


def test_a_file_gets_plain_lines_of_any_length() -> None:
    long = "word " * 100
    mapping = status("FAILED", {"a": task("FAILED", FAILED=1)}, [failed("a", None, long)])
    text = printed(mapping)
    assert "\x1b" not in text
    assert long.strip() in text
    assert all(line == line.rstrip() for line in text.splitlines())


def test_escape_sequences_in_what_tasks_say_do_not_reach_the_terminal() -> None:
    text = printed(status("FAILED", {}, [failed("a", None, "bad \x1b]0;title\x07 \x9b2J")]))
    assert "bad �]0;title �2J" in text
