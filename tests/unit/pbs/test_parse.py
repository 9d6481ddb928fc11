"""Reading `qstat -f`, on what a real OpenPBS has printed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from reflow.model.jobs import JobHandle, JobStatus
from reflow.model.states import FailureCause, JobState
from reflow_pbs.ids import JobId, job_id
from reflow_pbs.limits import largest_array, user_limit
from reflow_pbs.parse import Row, attributes, rows, statuses
from reflow_pbs.states import STATES

from tests.unit.pbs.recordings import Step, recorded, steps

FULL = [step for step in steps() if step.stdout.startswith("Job Id: ")]
CANCELLED, COMPLETED, FAILED = JobState.CANCELLED, JobState.COMPLETED, JobState.FAILED


def from_json(scene: str) -> list[Row]:
    """The rows of an answer that was recorded as JSON."""
    jobs: dict[str, dict[str, Any]] = json.loads(recorded(scene).stdout)["Jobs"]
    found = []
    for name, fields in jobs.items():
        one = job_id(name)
        assert one is not None
        found.append(Row(one, {key: str(value) for key, value in fields.items()}))
    return found


def by_position(found: list[Row], native_id: str) -> dict[int | None, JobStatus]:
    handle = JobHandle(native_id=native_id, size=10 if "[]" in native_id else None)
    return {
        position: status
        for status in statuses(found, [handle])
        for position in ([None] if status.positions is None else status.positions)
    }


def the_status(scene: str, native_id: str) -> JobStatus:
    (status,) = statuses(from_json(scene), [JobHandle(native_id=native_id)])
    return status


def test_there_are_recordings_to_read() -> None:
    assert len(FULL) >= 8
    assert {"|" in step.stdout for step in FULL} == {True, False}


@pytest.mark.parametrize("step", FULL, ids=lambda step: step.scene)
def test_every_recorded_answer_is_read_whole(step: Step) -> None:
    found = rows(step.stdout)
    assert len(found) == step.stdout.count("Job Id: ")
    for row in found:
        assert STATES.look_up(row.state) in STATES.states
        assert row.fields["Variable_List"].startswith("PBS_O_HOME=")


def test_a_value_that_is_wrapped_is_put_together() -> None:
    step = next(step for step in FULL if "\n\t" in step.stdout)
    for row in rows(step.stdout):
        assert row.fields["Submit_arguments"]
        assert "PBS_O_HOST=node01" in row.fields["Variable_List"]


def test_delimited_and_plain_say_the_same() -> None:
    delimited = rows(recorded("qstat-dsv-batch-one-unknown").stdout)
    plain = rows(recorded("qstat-text-f-w-batch-one-unknown").stdout)
    assert [row.id for row in delimited] == [JobId("11", None), JobId("13", None)]
    assert delimited == plain


def test_a_delimiter_within_a_value_does_not_delimit() -> None:
    (row,) = rows(r"Job Id: 7.x|Job_Name=n|Variable_List=A=1\|Exit_status=0|job_state=R" + "\n")
    assert row.state == "R"
    assert "Exit_status" not in row.fields


def test_a_variable_of_several_lines_hides_nothing_behind_it() -> None:
    text = (
        "Job Id: 7.x|job_state=F|substate=93|Variable_List=F=() {\n echo\n}|Exit_status=3\n"
        "Job Id: 8.x|job_state=R\n"
    )
    first, second = rows(text)
    assert (first.fields["Exit_status"], second.state) == ("3", "R")


@pytest.mark.parametrize(
    ("text", "number", "index"),
    [
        ("24.node01", "24", None),
        ("24", "24", None),
        ("24[].node01", "24", ""),
        ("24[7].node01.example.org", "24", "7"),
    ],
)
def test_ids_are_taken_apart(text: str, number: str, index: str | None) -> None:
    assert job_id(text) == JobId(number, index)


@pytest.mark.parametrize("text", ["workq", "", "[3].x"])
def test_what_is_no_id_is_none(text: str) -> None:
    assert job_id(text) is None


@pytest.mark.parametrize(
    ("scene", "native_id", "state", "cause", "number"),
    [
        ("qstat-json-finished-exit0", "11.node01", COMPLETED, None, None),
        ("qstat-json-finished-exit3", "12.node01", FAILED, FailureCause.EXIT_CODE, 3),
        ("qstat-json-finished-badinterp", "16.node01", FAILED, FailureCause.EXIT_CODE, 127),
        ("qstat-json-finished-kill9", "13.node01", FAILED, FailureCause.SIGNAL, 9),
        ("qstat-json-finished-killterm", "14.node01", FAILED, FailureCause.SIGNAL, 15),
        ("qstat-json-finished-walltime", "18.node01", FAILED, FailureCause.WALLTIME, None),
        ("qstat-json-finished-walltime-trap", "19.node01", FAILED, FailureCause.WALLTIME, None),
        ("qstat-json-finished-mem-limit", "20.node01", FAILED, FailureCause.MEMORY, None),
        ("qstat-json-after-qdel-long", "26.node01", CANCELLED, None, None),
        ("qstat-json-after-qdel-long-trap", "28.node01", CANCELLED, None, None),
        ("qstat-json-after-qdel-held", "21.node01", CANCELLED, None, None),
        ("qstat-json-after-qdel-queued-stopped-queue", "22.node01", CANCELLED, None, None),
        ("dep-qstat-json-after-unknown-job", "78.node01", FAILED, FailureCause.SUBMIT, None),
        ("qstat-json-state-held", "21.node01", JobState.QUEUED, None, None),
        ("qstat-json-state-waiting", "23.node01", JobState.QUEUED, None, None),
    ],
)
def test_what_became_of_a_job_is_told(
    scene: str, native_id: str, state: JobState, cause: FailureCause | None, number: int | None
) -> None:
    status = the_status(scene, native_id)
    assert (status.native_id, status.state, status.cause) == (native_id, state, cause)
    assert number in (status.exit_code, status.signal)


def test_what_can_never_run_is_impossible_in_pbs_words() -> None:
    status = the_status("qstat-json-state-never-run", "24.node01")
    assert status.impossible
    assert status.reason.startswith("Can Never Run: Insufficient amount of resource")
    assert not the_status("qstat-json-state-queued-stopped-queue", "22.node01").impossible


def test_a_job_that_pbs_holds_as_it_cannot_be_started_is_impossible() -> None:
    text = (
        "Job Id: 7.x|job_state=H|Hold_Types=s|run_count=21"
        "|comment=job held, too many failed attempts to run\n"
    )
    (status,) = statuses(rows(text), [JobHandle(native_id="7.x")])
    assert (status.state, status.impossible) == (JobState.QUEUED, True)


def test_why_a_job_is_held_is_told() -> None:
    assert the_status("qstat-json-state-held", "21.node01").reason == "held, Hold_Types = u"


def test_elements_are_told_apart_while_their_array_runs() -> None:
    found = by_position(from_json("qstat-json-array-partly-done-t"), "30[].node01")
    assert [found[position].state for position in range(6)] == [
        COMPLETED,
        FAILED,
        FAILED,
        *[JobState.RUNNING] * 3,
    ]
    assert (found[1].exit_code, found[2].signal, found[3].host) == (3, 9, "node01")


def test_an_arrays_exit_status_is_not_believed() -> None:
    array = from_json("qstat-json-finished-arrmix")
    assert array[0].fields["Exit_status"] == "0"
    assert by_position(array, "17[].node01") == {}
    elements = by_position(from_json("qstat-json-finished-array-arrmix-t"), "17[].node01")
    assert [elements[position].state for position in range(1, 6)] == [
        COMPLETED,
        COMPLETED,
        FAILED,
        FAILED,
        COMPLETED,
    ]


def test_elements_that_were_deleted_while_they_waited_are_cancelled() -> None:
    found = by_position(from_json("qstat-json-after-qdel-array-t"), "29[].node01")
    assert {status.state for status in found.values()} == {CANCELLED}


def test_elements_of_a_deleted_array_that_had_not_begun_are_cancelled() -> None:
    text = (
        "Job Id: 7[].x|job_state=F|substate=91|comment=terminated\n"
        "Job Id: 7[1].x|job_state=F|substate=92|Exit_status=0\n"
    )
    handle = JobHandle(native_id="7[].x", size=4)
    said = {
        (status.positions.start, status.positions.stop): status.state
        for status in statuses(rows(text), [handle])
        if status.positions is not None
    }
    assert said == {(0, 1): CANCELLED, (1, 2): COMPLETED, (2, 4): CANCELLED}


def test_a_plain_job_that_was_deleted_while_it_waited_is_cancelled() -> None:
    # A plain job is an array of one.
    text = "Job Id: 7[].x|job_state=F|substate=91\n"
    (status,) = statuses(rows(text), [JobHandle(native_id="7[].x")])
    assert (status.state, status.positions) == (CANCELLED, range(1))


def test_a_held_array_waits_as_a_whole() -> None:
    found = by_position(from_json("qstat-json-state-held-array"), "25[].node01")
    assert found[None].state is JobState.QUEUED


def test_an_element_is_known_by_its_own_id() -> None:
    found = from_json("qstat-json-array-partly-done-t")
    (status,) = statuses(found, [JobHandle(native_id="30[1].node01")])
    assert (status.positions, status.exit_code) == (None, 3)


def test_why_an_array_can_never_run_is_why_its_elements_cannot() -> None:
    text = (
        "Job Id: 7[].x|job_state=Q|comment=Can Never Run: too much\n"
        "Job Id: 7[0].x|job_state=Q|comment=Not Running\n"
    )
    found = by_position(rows(text), "7[].x")
    assert found[0].impossible
    assert found[0].reason == "Can Never Run: too much"


def test_limits_are_read() -> None:
    text = (
        "Server: node01\n    max_array_size = 10000\n    default_queue = workq\n"
        "    max_queued = [u:PBS_GENERIC=3],[u:ada=9],[g:all=5]\n"
    )
    assert attributes(text)["max_array_size"] == "10000"
    assert (user_limit(text, "ada"), user_limit(text, "bob")) == (9, 3)
    assert user_limit("Queue: q\n", "ada") is None


def test_the_largest_array_is_the_servers_or_a_smaller_one_of_the_queues() -> None:
    server, silent = "Server: x\n    max_array_size = 5000\n", "Server: x\n"
    queue = "Queue: workq\n    max_array_size = 200\n"
    assert largest_array([server, queue]) == 200
    assert largest_array([server]) == 5000
    assert largest_array([silent]) == 10000


def test_backslashes_in_values_hide_no_delimiter() -> None:
    # PBS puts a backslash before each backslash of a value, save before quotes and commas.
    values = [r"Variable_List=A=x\,y,B=a\|b,C=\\", r"comment=it\'s x \\\| y", "job_state=F"]
    (row,) = rows("|".join(["Job Id: 7.x", *values]) + "\n")
    assert (row.state, row.fields["comment"]) == ("F", r"it\'s x \\\| y")
    assert set(row.fields) == {"Variable_List", "comment", "job_state"}
