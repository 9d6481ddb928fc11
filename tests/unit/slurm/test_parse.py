"""Reading squeue and sacct, on what real ones have printed."""

from __future__ import annotations

import pytest
from reflow.model.states import FailureCause, JobState
from reflow_slurm.memory import told_by
from reflow_slurm.parse import (
    accounting_rows,
    queue_rows,
    statuses,
)
from reflow_slurm.states import STATES

from tests.unit.slurm.recordings import Answer, answer, answers, steps

ALL = list(answers())
CUT = [item for item in ALL if "..." in item.text or item.text.count("[") > item.text.count("]")]


def states(text: str, native_id: str, queue: bool = True) -> dict[int | None, JobState]:
    """How a job, or each index of an array, stands by an answer."""
    found: dict[int | None, JobState] = {}
    for row in (queue_rows if queue else accounting_rows)(text):
        for status in statuses(row, {native_id}, ()):
            for position in [None] if status.positions is None else status.positions:
                found[position] = status.state
    return found


def causes(text: str, *native_ids: str) -> list[FailureCause | None]:
    by_id = {row.array_id: row for row in accounting_rows(text)}
    return [next(iter(statuses(by_id[one], {one}, ()))).cause for one in native_ids]


def test_there_are_recordings_to_read() -> None:
    assert len(ALL) > 60
    assert {item.in_queue for item in ALL} == {True, False}


@pytest.mark.parametrize("item", ALL, ids=lambda item: f"{item.scene}: {item.command[:60]}")
def test_every_recorded_line_is_read_whole(item: Answer) -> None:
    read = queue_rows if item.in_queue else accounting_rows
    if item in CUT:
        with pytest.raises(ValueError, match="is not a complete list of indices"):
            list(read(item.text))
        return

    rows = list(read(item.text))

    assert len(rows) == item.rows
    for row in rows:
        assert row.array_id.isdigit()
        assert STATES.look_up(row.state) in STATES.states


def test_lists_that_squeue_cuts_short_are_among_the_recordings() -> None:
    assert {item.scene for item in CUT} == {"array-long-sparse-list-truncated"}


def test_pending_elements_are_one_line_and_running_ones_have_their_own() -> None:
    assert states(answer("array-limit-pending-running", "-j 24"), "24") == {
        0: JobState.RUNNING,
        1: JobState.RUNNING,
        **dict.fromkeys(range(2, 10), JobState.QUEUED),
    }


def test_an_element_is_known_by_the_arrays_id_although_it_has_one_of_its_own() -> None:
    text = answer("array-limit-pending-running", "-t all -j 24")

    assert len(states(text, "24")) == 10
    assert states(text, "24_3") == {None: JobState.FAILED}
    # The last to start has the array's own id; 28 is 24_3's and nobody's handle.
    assert states(text, "28") == {}


def test_a_long_list_of_indices_is_read_to_its_end() -> None:
    text = answer("array-long-sparse-list-truncated", "SLURM_BITSTR_LEN=0 squeue")
    assert len(states(text, "1250")) == 125
    assert states(answer("array-long-sparse-list-truncated", "-j 1251"), "1251").keys() == set(
        range(1, 200, 2)
    )


def test_accounting_has_waiting_elements_that_were_cancelled_as_one_record() -> None:
    text = answer("array-cancel-parts", "sacct")

    assert states(text, "41", queue=False) == dict.fromkeys(
        [0, 1, 2, 3, 6, 8, 9], JobState.CANCELLED
    )


def test_an_element_cancelled_alone_before_it_started_is_in_no_answer() -> None:
    for part, queue in (("squeue -h -r -t all", True), ("sacct -X -n -P -o", False)):
        found = states(answer("array-element-cancelled-pending", part, -1), "2", queue)
        assert set(found) == {0, 4}


def test_the_arrays_record_without_index_speaks_of_no_element() -> None:
    (row,) = accounting_rows("124|124|COMPLETED|0:0|node01|None")
    assert row.indices is None


def test_accounting_says_why_jobs_failed() -> None:
    outcomes = answer("outcomes-exit-codes-and-signals", "sacct")
    ids = [str(number) for number in range(13, 24)]

    assert causes(outcomes, *ids) == [
        None,
        *[FailureCause.EXIT_CODE] * 3,
        *[FailureCause.SIGNAL] * 3,
        *[FailureCause.EXIT_CODE] * 2,
        FailureCause.SUBMIT,
        None,
    ]
    assert causes(answer("timeout", "sacct"), "2") == [FailureCause.WALLTIME]
    assert causes(answer("out-of-memory-cgroup", "sacct"), "1", "2") == [FailureCause.MEMORY] * 2
    assert causes(answer("requeue-and-node-failure", "sacct"), "113") == [FailureCause.NODE]


def test_accounting_cannot_tell_exit_130_from_exit_2() -> None:
    row = next(
        row
        for row in accounting_rows(answer("outcomes-exit-codes-and-signals", "sacct"))
        if row.array_id == "15"
    )
    (status,) = statuses(row, {"15"}, ())
    assert "exit code 2 or 130" in status.reason


def test_accounting_that_was_away_is_not_believed_that_nothing_was_wrong() -> None:
    text = answer("controller-down", "sacct", -1)
    assert causes(text, "131") == [None]


@pytest.mark.parametrize(
    ("wait_status", "code", "signal", "cause"),
    [
        ("768", 3, None, FailureCause.EXIT_CODE),
        ("33280", 130, None, FailureCause.EXIT_CODE),
        ("65280", 255, None, FailureCause.EXIT_CODE),
        ("9", None, 9, FailureCause.SIGNAL),
        ("139", None, 11, FailureCause.SIGNAL),
        ("4021", None, None, FailureCause.SUBMIT),
        ("125", None, None, FailureCause.MEMORY),
        ("3:0", 3, None, FailureCause.EXIT_CODE),
        ("0:15", None, 15, FailureCause.SIGNAL),
    ],
)
def test_the_queue_tells_exit_codes_as_wait_does(
    wait_status: str, code: int | None, signal: int | None, cause: FailureCause
) -> None:
    (row,) = queue_rows(f"5|5|N/A|FAILED|{wait_status}|node01|NonZeroExitCode|")
    (status,) = statuses(row, {"5"}, ())
    assert (status.exit_code, status.signal, status.cause) == (code, signal, cause)


def test_a_kill_by_polled_memory_is_told_from_other_kills() -> None:
    log = next(
        step["stdout"]
        for step in steps("out-of-memory-polled")
        if step["command"].startswith("cat ")
    )
    killed = told_by(log)
    rows = list(accounting_rows(answer("out-of-memory-polled", "DerivedExitCode")))

    assert killed == {"118"}
    assert [status.cause for status in statuses(rows[0], {"118"}, killed)] == [FailureCause.MEMORY]
    assert [status.cause for status in statuses(rows[0], {"118"}, ())] == [FailureCause.SIGNAL]


def test_other_lines_of_a_log_accuse_nobody() -> None:
    assert told_by("Job 12 exceeded memory limit\nStepId=13.batch being killed") == set()


def test_what_can_never_start_is_recorded_as_impossible() -> None:
    text = answer("rejected-submissions", "%i|%P|%T|%r")
    impossible = {
        row.array_id
        for row in queue_rows(text)
        for status in statuses(row, {row.array_id}, ())
        if status.impossible
    }
    assert impossible == {"85", "86", "89", "90"}


def test_what_waits_for_a_dependency_that_failed_is_impossible() -> None:
    text = answer("dependencies", "-t all")
    found = {
        row.array_id: next(iter(statuses(row, {row.array_id}, ()))) for row in queue_rows(text)
    }
    assert found["62"].impossible
    assert found["72"].state is JobState.CANCELLED
    assert not found["63"].impossible


def test_headings_of_clusters_are_no_jobs() -> None:
    assert list(queue_rows("CLUSTER: main\n")) == []


@pytest.mark.parametrize("text", ["5|5|N/A|FAILED|x|h|r|", "5|5|a-b|RUNNING|0|h|r|"])
def test_a_line_that_cannot_be_read_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        list(queue_rows(text))


def test_a_reason_may_be_empty() -> None:
    (row,) = queue_rows("5|5|N/A|RUNNING|0|node01||")
    assert (row.state, row.host, row.reason) == ("RUNNING", "node01", "")


def test_a_record_of_accounting_without_a_state_is_of_an_unknown_one() -> None:
    (row,) = accounting_rows("5|5||0:0|None assigned|None")
    (status,) = statuses(row, ["5"], ())
    assert status.state is JobState.UNKNOWN


def test_a_reason_may_hold_anything() -> None:
    text = "5|5|N/A|PENDING|0||ReqNodeNotAvail, UnavailableNodes:node[1-3]|x|"
    (row,) = queue_rows(text)
    assert row.reason == "ReqNodeNotAvail, UnavailableNodes:node[1-3]|x"
