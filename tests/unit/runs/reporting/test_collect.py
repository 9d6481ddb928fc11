"""The data of a report, from runs that are recorded."""

from __future__ import annotations

import json
import os
from datetime import timedelta
from pathlib import Path

import pytest
from reflow.config.schema import Config
from reflow.model.attempts import impossible_times
from reflow.model.canonical import digest
from reflow.model.graph import Graph
from reflow.model.states import RunState, TaskState
from reflow.model.tasks import TaskSpec
from reflow.rundir.layout import RunLayout
from reflow.runs.reporting.collect import collect
from reflow.runs.reporting.contents import RunReport, TaskReport
from reflow.runs.tuning.tune import tune

from tests.unit.runs.reporting.recorded import CREATED, RUN, SUBMITTED, failed, record, succeeded


def square(report: RunReport) -> TaskReport:
    return next(task for task in report.tasks if task.name == "square")


def test_durations_and_waiting_are_measured_from_submission_and_start(tmp_path: Path) -> None:
    store = record(tmp_path, [succeeded(0, 12.0, 15.0), succeeded(1, 20.0, 25.0)])
    task = square(collect(store, RUN))
    assert task.duration is not None
    assert task.waiting is not None
    assert (task.duration.min, task.duration.max) == pytest.approx((3.0, 5.0))
    assert (task.waiting.min, task.waiting.max) == pytest.approx((2.0, 10.0))


def test_the_time_of_a_run_is_split_into_running_waiting_and_neither(tmp_path: Path) -> None:
    # Submitted at 10; running from 12 to 15, and from 20 to 25. The second waits all the while.
    store = record(tmp_path, [succeeded(0, 12.0, 15.0), succeeded(1, 20.0, 25.0)])
    head = collect(store, RUN).run
    assert head.busy_seconds == pytest.approx(8.0)
    assert head.waiting_seconds == pytest.approx(20.0 - SUBMITTED - 3.0)
    assert head.element_seconds == pytest.approx(8.0)


def test_a_worker_whose_clock_is_behind_has_not_waited(tmp_path: Path) -> None:
    store = record(tmp_path, [succeeded(0, 9.0, 15.0)])
    task = square(collect(store, RUN))
    assert task.waiting is not None
    assert task.waiting.min == 0.0


def test_times_that_cannot_be_are_left_out_and_counted(tmp_path: Path) -> None:
    outcomes = [
        succeeded(0, 12.0, 15.0),
        succeeded(1, 12.0 - 90_000_000, 15.0),  # the clock jumped while it ran
        succeeded(2, 400.0, 15.0),
        succeeded(3, 12.0 - 90_000_000, 15.0 - 90_000_000),  # it was wrong all the while
    ]
    report = collect(record(tmp_path, outcomes), RUN)
    task = square(report)
    assert task.duration is not None
    assert task.duration.count == 1
    assert task.duration.max == pytest.approx(3.0)
    assert report.run.busy_seconds == report.run.element_seconds == pytest.approx(3.0)
    assert report.timeline is not None
    assert [bar.index for bar in report.timeline.bars or ()] == [0]
    assert "3 attempts have impossible times" in report.notes[-1]
    assert report.attempts_in_all == 4


def test_what_should_be_asked_for_is_not_learnt_from_impossible_times(tmp_path: Path) -> None:
    outcomes = [succeeded(index, 12.0, 15.0) for index in range(20)]
    outcomes[7] = succeeded(7, 12.0 - 90_000_000, 15.0)
    tasks = {"square": TaskSpec(name="square", function=print, array=True)}
    graph = Graph(name="sums", tasks=tasks, edges={"square": ()}, parameters={})
    found = tune(record(tmp_path, outcomes), graph, Config(), None)
    (proposal,) = found.proposals
    assert {change.option: change.proposed for change in proposal.changes}["time"] == "00:02:00"
    assert found.notes == (impossible_times(1),)


def test_failures_that_differ_by_numbers_only_stand_together(tmp_path: Path) -> None:
    outcomes = [failed(index, f"row {index} of 0x{index:x}") for index in range(3)]
    store = record(tmp_path, [*outcomes, failed(3, "no such file")], state=RunState.FAILED)
    groups = collect(store, RUN).failures
    assert [(each.message, each.indices) for each in groups] == [
        ("row 0 of 0x0", ((0, 2),)),
        ("no such file", ((3, 3),)),
    ]


def test_an_attempt_that_was_made_good_is_told_apart(tmp_path: Path) -> None:
    store = record(
        tmp_path, [succeeded(0, 20.0, 25.0, attempt=2)], earlier=[failed(0, "lost", attempt=1)]
    )
    report = collect(store, RUN)
    (group,) = report.failures
    assert (group.attempts, group.elements) == (1, 0)
    assert (report.failed_attempts, report.attempts_in_all) == (1, 2)
    assert square(report).duration is not None
    assert square(report).duration.count == 1  # type: ignore[union-attr]


def test_a_failure_is_shown_with_the_end_of_its_log(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "0.1.log"
    log.parent.mkdir()
    log.write_text("x" * 100_000 + "\nbegin\nthe last line\n")
    store = record(tmp_path, [failed(0, "bad", log="logs/0.1.log")])
    (group,) = collect(store, RUN).failures
    assert group.tail == "begin\nthe last line"


def test_a_log_that_leads_out_of_the_run_directory_is_not_read(tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    run_dir.mkdir()
    (tmp_path / "private").write_text("mine")
    (run_dir / "0.1.log").symlink_to(tmp_path / "private")
    outcomes = [failed(0, "by link", log="0.1.log"), failed(1, "by dots", log="../private")]
    store = record(tmp_path, outcomes, run_dir=run_dir)
    assert [group.tail for group in collect(store, RUN).failures] == ["", ""]


def test_of_many_attempts_those_that_failed_and_took_longest_are_listed(tmp_path: Path) -> None:
    outcomes = [succeeded(index, 11.0, 12.0 + index / 1000) for index in range(2000)]
    outcomes[7] = failed(7, "bad")
    store = record(tmp_path, outcomes, state=RunState.RUNNING)
    report = collect(store, RUN, now=CREATED + timedelta(seconds=30))
    assert report.attempts_in_all == 2000
    assert len(report.attempts) <= 400
    assert report.attempts[0].index == 7
    assert report.attempts[1].index == 1999
    assert report.timeline is not None
    assert report.timeline.bars is None
    assert max(report.timeline.tasks["square"]) > 1000


def test_a_secret_parameter_is_hidden_and_a_changed_one_shown_with_its_old_value(
    tmp_path: Path,
) -> None:
    before = {"token": "old", "count": 1, "same": 0}
    record(tmp_path, [], run_id="sums-1", created_at=CREATED - timedelta(days=1), parameters=before)
    store = record(tmp_path, [], parameters={"token": "new", "count": 2, "same": 0})
    report = collect(store, RUN)
    token, count, same = report.parameters
    assert (token.hidden, token.changed, token.value, token.previous) == (True, True, None, None)
    assert (count.changed, count.value, count.previous) == (True, 2, 1)
    assert not same.changed
    assert "new" not in json.dumps(report.as_json())


def test_a_run_without_its_run_directory_still_has_a_report(tmp_path: Path) -> None:
    store = record(tmp_path, [succeeded(0, 12.0, 15.0)], run_dir=tmp_path / "gone")
    report = collect(store, RUN)
    assert report.source is None
    assert report.provenance is None
    assert [task.asked for task in report.tasks] == [None, None]
    assert list(report.graph.tasks) == ["numbers", "square"]


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"code": 1}', "\x00"])
def test_files_of_a_run_that_others_spoilt_are_left_out(tmp_path: Path, content: str) -> None:
    layout = RunLayout(tmp_path, RUN)
    layout.root.mkdir(parents=True)
    # A pipe that nobody ever writes to must not hold the reader up.
    os.mkfifo(layout.settings)
    layout.source.write_text(name := digest(content)[:16])
    layout.source_record(name).write_text(content)
    os.mkfifo(layout.provenance)
    report = collect(record(tmp_path, [succeeded(0, 12.0, 15.0)]), RUN)
    assert (report.source, report.provenance) == (None, None)


def test_a_source_that_is_a_pipe_is_left_out(tmp_path: Path) -> None:
    layout = RunLayout(tmp_path, RUN)
    layout.root.mkdir(parents=True)
    os.mkfifo(layout.source)
    assert collect(record(tmp_path, []), RUN).source is None


def test_a_run_of_nothing_has_a_report(tmp_path: Path) -> None:
    report = collect(record(tmp_path, []), RUN)
    assert report.timeline is None
    assert square(report).duration is None
    assert square(report).size == 0


def test_a_running_run_is_reported_up_to_now(tmp_path: Path) -> None:
    store = record(tmp_path, [succeeded(0, 12.0, 15.0)], state=RunState.RUNNING)
    report = collect(store, RUN, now=CREATED + timedelta(minutes=5))
    assert report.run.seconds == 300.0
    assert report.timeline is not None
    assert report.timeline.seconds == 300.0


def test_json_has_every_field_but_the_graph(tmp_path: Path) -> None:
    data = collect(record(tmp_path, [failed(0, "bad")]), RUN).as_json()
    assert next(iter(data)) == "version"
    assert data["version"] == 1
    assert set(data) == {*RunReport.__dataclass_fields__} - {"graph"}
    assert json.loads(json.dumps(data))["failures"][0]["indices"] == [[0, 0]]
    assert TaskState.FAILED in json.dumps(data)
