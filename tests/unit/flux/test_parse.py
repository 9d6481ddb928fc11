from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reflow.model.jobs import JobHandle, JobStatus
from reflow.model.states import FailureCause, JobState
from reflow_flux import ids, parse
from reflow_flux.states import STATES

from tests.unit.flux.recordings import Step, all_steps, step, steps

FIELDS = [
    *("id.f58", "id.dec", "name", "state", "state_single", "status", "status_abbrev", "result"),
    *("returncode", "waitstatus", "exception.occurred", "exception.type", "exception.severity"),
    *("exception.note", "success"),
]
JSON = [
    item
    for item in all_steps()
    if item.command.startswith("flux jobs")
    and "--json" in item.command
    and "jq" not in item.command
]


def rows() -> list[dict[str, str]]:
    """Each row of the recordings' long format, by its fields."""
    return [
        dict(zip(FIELDS, line.split("|"), strict=False))
        for item in all_steps()
        if "{id.f58}|{id.dec}|" in item.command and item.exit_code == 0
        for line in item.stdout.splitlines()
    ]


def as_json(row: dict[str, str]) -> str:
    """What --json prints of a job that the recordings have in the other format."""
    entry: dict[str, Any] = {"id": int(row["id.dec"]), "name": row["name"], "state": row["state"]}
    entry["status"] = row["status"]
    if row["result"]:
        entry["result"] = row["result"]
        entry["returncode"] = int(row["returncode"])
    if row["waitstatus"]:
        entry["waitstatus"] = int(row["waitstatus"])
    entry["exception"] = {"occurred": row["exception.occurred"] == "True"}
    if row["exception.type"]:
        entry["exception"] |= {
            "type": row["exception.type"],
            "severity": int(row["exception.severity"]),
            "note": row["exception.note"],
        }
    return json.dumps(entry)


def status_of(text: str, native_id: str) -> JobStatus:
    (status,) = parse.statuses(parse.jobs(text), [JobHandle(native_id=native_id)])
    return status


# -- ids -----------------------------------------------------------------------------------
def test_every_recorded_id_is_read_and_written_as_flux_does() -> None:
    assert len(rows()) > 40
    for row in rows():
        printed, number = row["id.f58"], int(row["id.dec"])
        assert ids.number(printed) == ids.number(f"f{printed[1:]}") == number
        assert ids.number(str(number)) == number
        assert ids.native_id(number) == f"f{printed[1:]}"


@given(st.integers(min_value=0, max_value=(1 << 64) - 1))
def test_an_id_survives_both_ways(number: int) -> None:
    assert ids.number(ids.native_id(number)) == number


@pytest.mark.parametrize("text", ["", "f", "notanid", "0x12", "f0", "flow-1", "node01:77:12", "²"])
def test_words_that_are_no_ids(text: str) -> None:
    assert ids.number(text) is None


def test_elements_carry_their_position_and_the_size_in_their_names() -> None:
    assert ids.element_of(ids.element_name("convert-ab12-3", 7, 10)) == (
        "convert-ab12-3",
        7,
        10,
    )


@pytest.mark.parametrize("name", ["convert-ab12-3", "sh", "a|b c é", "convert-7", "x-1-of-", ""])
def test_other_names_are_no_elements(name: str) -> None:
    assert ids.element_of(name) is None


# -- every recording -----------------------------------------------------------------------
@pytest.mark.parametrize("item", JSON, ids=lambda item: f"{item.scene}-{item.number}")
def test_every_answer_in_json_is_read(item: Step) -> None:
    found = parse.jobs(item.stdout)

    assert len(found) == item.stdout.count('"t_submit"')
    for job in found:
        assert job.state is not JobState.UNKNOWN


RESULTS = {
    "COMPLETED": JobState.COMPLETED,
    "FAILED": JobState.FAILED,
    "CANCELED": JobState.CANCELLED,
    "TIMEOUT": JobState.FAILED,
}


@pytest.mark.parametrize("row", rows(), ids=lambda row: f"{row['name']}-{row['id.dec']}")
def test_every_recorded_job_stands_as_its_result_says(row: dict[str, str]) -> None:
    status = status_of(as_json(row), row["id.f58"])

    assert status.native_id == row["id.f58"]
    if row["result"]:
        assert status.state is RESULTS[row["result"]]
    else:
        assert not status.state.over
    if row["result"] == "TIMEOUT":
        assert status.cause is FailureCause.WALLTIME
    if row["result"] == "FAILED" and row["exception.type"] in ("alloc", "dependency"):
        assert status.cause is FailureCause.SUBMIT
        assert row["exception.note"] in status.reason


@pytest.mark.parametrize(
    ("name", "cause", "code", "signal"),
    [
        ("exit3", FailureCause.EXIT_CODE, 3, None),
        ("exit130", FailureCause.SIGNAL, None, 2),
        ("exit255", FailureCause.EXIT_CODE, 255, None),
        ("killself", FailureCause.SIGNAL, None, 9),
        ("segv", FailureCause.SIGNAL, None, 11),
        ("nocommand", FailureCause.EXIT_CODE, 127, None),
        ("timeout", FailureCause.WALLTIME, None, 14),
        ("timeout-trap", FailureCause.WALLTIME, 1, None),
        ("badout", FailureCause.EXIT_CODE, 1, None),
    ],
)
def test_how_a_job_failed(
    name: str, cause: FailureCause, code: int | None, signal: int | None
) -> None:
    row = next(row for row in rows() if row["name"] == name and row["result"])

    status = status_of(as_json(row), row["id.dec"])

    assert (status.state, status.cause) == (JobState.FAILED, cause)
    assert (status.exit_code, status.signal) == (code, signal)


def test_a_note_is_no_failure() -> None:
    row = next(row for row in rows() if row["name"] == "after-ok" and row["result"])
    assert row["exception.severity"] == "3"

    assert status_of(as_json(row), row["id.dec"]).state is JobState.COMPLETED


def failed(code: int | None, kind: str, note: str, severity: int = 0) -> JobStatus:
    """How a failed job is told of; without a code it never ran."""
    exception = {"occurred": True, "type": kind, "severity": severity, "note": note}
    entry = {"id": 7, "name": "x", "status": "FAILED", "returncode": 1, "exception": exception}
    if code is not None:
        entry |= {"returncode": code, "waitstatus": code << 8 if code > 0 else -code}
    return status_of(json.dumps(entry), "7")


@pytest.mark.parametrize(
    ("code", "kind", "note", "severity"),
    [
        (1, "exec", "node failure on node01 (rank 3)", 0),
        (1, "exec", "lost contact with job shell on broker node01 (rank 3)", 0),
        (1, "exec", "start barrier timeout waiting for 1/2 nodes (rank 3)", 0),
        (1, "exec", "failed to create guest ns: No such file or directory", 0),
        (127, "exec", "job shell exec error on broker node01 (rank 3): flux-shell", 0),
        (1, "exec", "sdexec service is not loaded on node01 (rank 3)", 0),
        # Of another node than the first it is only a note, but the work was one of several.
        (143, "node-failure", "node failure on node02 (shell rank 1)", 2),
        (None, "prolog", "prolog exited with code=1 on node01 (rank 3)", 0),
        (143, "scheduler-restart", "failed to reallocate R for running job", 0),
        (None, "alloc", 'alloc denied due to type="match error"', 0),
    ],
)
def test_what_is_the_fault_of_a_node_or_of_the_instance(
    code: int | None, kind: str, note: str, severity: int
) -> None:
    status = failed(code, kind, note, severity)

    assert status.cause is FailureCause.NODE
    assert note in status.reason


@pytest.mark.parametrize(
    ("kind", "note"),
    [
        ("alloc", 'alloc denied due to type="unsatisfiable"'),
        ("alloc", "unsatisfiable request: need 1 slot(s) of 99 core(s)"),
        ("mf_priority", "not a member of climate"),
    ],
)
def test_what_could_never_start(kind: str, note: str) -> None:
    assert failed(None, kind, note).cause is FailureCause.SUBMIT


def test_a_signal_that_ended_the_jobs_own_shell_is_told() -> None:
    status = failed(-9, "exec", "shell rank 0 (on node01): Killed")

    assert (status.cause, status.signal) == (FailureCause.SIGNAL, 9)
    assert status.exit_code is None


# -- waiting -------------------------------------------------------------------------------
def test_why_jobs_wait() -> None:
    text = next(item for item in steps("pending-and-why") if "jq" in item.command).stdout
    found = {
        job.name: status_of(line, str(job.number))
        for line in text.splitlines()
        for job in parse.jobs(line)
    }

    assert found["held"].reason == "held"
    assert found["later"].reason.startswith("waits: begin@")
    assert found["waits"].state is JobState.QUEUED
    assert found["filler"].state is JobState.RUNNING


def test_a_job_whose_priority_is_0_is_held() -> None:
    entry = {"id": 7, "name": "x", "status": "SCHED", "urgency": 16, "priority": 0}

    assert status_of(json.dumps(entry), "7").reason == "held: its priority is 0"
    assert status_of(json.dumps(entry | {"status": "PRIORITY"}), "7").reason == ""


def test_the_schedulers_own_reason_is_told() -> None:
    noted = {"sched": {"reason_pending": "insufficient resources"}}
    entry = {"id": 7, "name": "x", "status": "SCHED", "priority": 16, "annotations": noted}

    assert status_of(json.dumps(entry), "7").reason == "insufficient resources"


# -- arrays --------------------------------------------------------------------------------
def element(number: int, position: int, status: str) -> dict[str, Any]:
    name = ids.element_name("convert-ab12-3", position, 3)
    return {"id": number, "name": name, "status": status, "exception": {"occurred": False}}


def test_elements_are_known_by_their_names() -> None:
    text = json.dumps({"jobs": [element(5, 2, "RUN"), element(6, 0, "COMPLETED")]})
    array = JobHandle(native_id="convert-ab12-3", size=3)

    found = {item.positions: item.state for item in parse.statuses(parse.jobs(text), [array])}

    assert found == {range(2, 3): JobState.RUNNING, range(1): JobState.COMPLETED}


def test_of_two_jobs_for_one_position_the_live_one_speaks_first() -> None:
    text = json.dumps({"jobs": [element(5, 1, "FAILED"), element(6, 1, "RUN")]})
    array = JobHandle(native_id="convert-ab12-3", size=3)

    found = list(parse.statuses(parse.jobs(text), [array]))

    assert [item.state for item in found] == [JobState.RUNNING, JobState.FAILED]


def test_an_answer_that_was_cut_short_cannot_be_read() -> None:
    text = step("submit-plain", "flux jobs --json").stdout
    with pytest.raises(ValueError, match=r"."):
        parse.jobs(text[:100])


STATES_OF_THE_MANUAL = {
    "NEW": JobState.QUEUED,
    "DEPEND": JobState.QUEUED,
    "PRIORITY": JobState.QUEUED,
    "SCHED": JobState.QUEUED,
    "RUN": JobState.RUNNING,
    "CLEANUP": JobState.RUNNING,
    **RESULTS,
}


def test_every_state_of_the_manual_has_a_meaning() -> None:
    assert {state.name: state.state for state in STATES.states} == STATES_OF_THE_MANUAL


def test_the_recordings_have_no_state_without_a_meaning() -> None:
    shown = {(row["status"], row["status_abbrev"]) for row in rows()}

    assert shown <= {(state.name, state.code) for state in STATES.states}
