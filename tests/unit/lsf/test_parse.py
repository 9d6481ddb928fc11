from __future__ import annotations

import json
import re

import pytest
from reflow.model.jobs import JobStatus
from reflow.model.states import FailureCause, JobState
from reflow_lsf import meaning, parse
from reflow_lsf.rows import Row
from reflow_lsf.states import STATES

from tests.unit.lsf.recordings import recording, recordings

JOB = r"\d+(?:\[\d+\])?"
LONG = [item.name for item in recordings(rf"bjobs -l '?{JOB}'?") if item.exit_code == 0]
HISTORY = [item.name for item in recordings(rf"bhist -l '?{JOB}'?") if item.exit_code == 0]


def long_statuses(name: str, *wanted: str) -> list[JobStatus]:
    return list(meaning.statuses(parse.long_rows(recording(name).stdout), wanted))


def only(statuses: list[JobStatus]) -> JobStatus:
    (status,) = statuses
    return status


def asked_for(name: str) -> str:
    found = re.search(JOB, recording(name).command)
    assert found is not None
    return found[0]


# -- every recording -----------------------------------------------------------------------
def test_there_are_recordings_of_both_commands() -> None:
    assert len(LONG) > 25
    assert len(HISTORY) > 8


@pytest.mark.parametrize("name", LONG)
def test_every_long_answer_tells_of_the_job_asked_for(name: str) -> None:
    statuses = long_statuses(name, asked_for(name))

    assert statuses
    assert JobState.UNKNOWN not in {status.state for status in statuses}
    shown = set(re.findall(r"Status <(\w+)>", recording(name).stdout.replace("\n" + 21 * " ", "")))
    states = {STATES.look_up(word).state for word in shown}
    assert {status.state for status in statuses} <= states | {JobState.CANCELLED}


@pytest.mark.parametrize("name", HISTORY)
def test_every_history_tells_the_end_that_bjobs_tells(name: str) -> None:
    (row,) = parse.ended_rows(recording(name).stdout)

    text = recording(name).stdout.replace("\n" + 21 * " ", "")
    code = re.search(r"Exited with exit code (\d+)", text)
    assert row.state == ("DONE" if "Done successfully" in text else "EXIT")
    assert row.code == (int(code[1]) if code else None)


# -- ends ----------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("name", "state", "cause", "code", "signal"),
    [
        ("bjobs-l-exit0", JobState.COMPLETED, None, None, None),
        ("bjobs-l-exit3", JobState.FAILED, FailureCause.EXIT_CODE, 3, None),
        ("bjobs-l-notfound", JobState.FAILED, FailureCause.EXIT_CODE, 127, None),
        ("bjobs-l-kill9", JobState.FAILED, FailureCause.SIGNAL, None, 9),
        ("bjobs-l-external-kill9", JobState.FAILED, FailureCause.SIGNAL, None, 9),
        ("bjobs-l-runlimit", JobState.FAILED, FailureCause.WALLTIME, None, 12),
        ("bjobs-l-after-bkill-long", JobState.FAILED, FailureCause.SIGNAL, None, 2),
        ("bjobs-l-after-bkill-long-trap", JobState.FAILED, FailureCause.EXIT_CODE, 42, None),
        ("bjobs-l-after-bkill-pend-to-kill", JobState.CANCELLED, None, None, None),
    ],
)
def test_how_a_job_ended(
    name: str, state: JobState, cause: FailureCause | None, code: int | None, signal: int | None
) -> None:
    status = only(long_statuses(name, asked_for(name)))

    assert (status.state, status.cause) == (state, cause)
    assert (status.exit_code, status.signal) == (code, signal)


def test_elements_are_known_by_position() -> None:
    statuses = long_statuses("bjobs-l-finished-array-mixed", "221")

    found = {
        status.positions: (status.state, status.exit_code, status.signal) for status in statuses
    }
    assert found == {
        range(1): (JobState.COMPLETED, None, None),
        range(1, 2): (JobState.COMPLETED, None, None),
        range(2, 3): (JobState.FAILED, 3, None),
        range(3, 4): (JobState.FAILED, None, 9),
        range(4, 5): (JobState.COMPLETED, None, None),
    }
    assert {status.host for status in statuses} == {"vm"}


def test_an_element_is_known_by_its_own_id_too() -> None:
    status = only(long_statuses("bjobs-l-finished-array-mixed", "221[3]"))

    assert (status.native_id, status.positions, status.exit_code) == ("221[3]", None, 3)


def test_elements_of_an_array_that_was_killed_in_part() -> None:
    states = {
        status.positions: status.state
        for status in long_statuses("bjobs-l-after-bkill-array", "228")
    }

    assert states[range(5, 6)] is JobState.RUNNING
    assert states[range(4, 5)] is JobState.CANCELLED
    assert states[range(1)] is JobState.CANCELLED


def test_history_tells_who_killed_a_job() -> None:
    (row,) = parse.ended_rows(recording("bhist-l-after-bkill-running").stdout)

    status = only(list(meaning.statuses([row], {"225"})))
    assert (status.state, status.reason) == (JobState.CANCELLED, "killed by hpcuser")


def test_history_of_a_job_that_was_begun_again_tells_no_end() -> None:
    text = recording("bhist-l-exit3").stdout.replace(
        "\nSummary", "Sun Nov 22 06:27:00: Dispatched to <vm>;\n\nSummary"
    )

    assert list(parse.ended_rows(text)) == []


def test_the_end_of_the_last_run_counts() -> None:
    text = recording("bhist-l-exit3").stdout.replace(
        "\nSummary",
        "Sun Nov 22 06:27:00: Dispatched to <other>;\nSun Nov 22 06:28:00: Exited by signal 9;\n"
        "\nSummary",
    )

    (row,) = parse.ended_rows(text)
    assert (row.code, row.signal, row.host) == (None, 9, "other")


@pytest.mark.parametrize(
    ("reason", "state", "cause"),
    [
        ("TERM_RUNLIMIT: job killed after reaching LSF run time limit", "FAILED", "WALLTIME"),
        ("TERM_MEMLIMIT: job killed after reaching LSF memory usage limit", "FAILED", "MEMORY"),
        ("TERM_SWAP: job killed after reaching LSF swap usage limit", "FAILED", "MEMORY"),
        ("TERM_PREEMPT: job killed after preemption", "FAILED", "PREEMPTED"),
        ("TERM_ZOMBIE: job exited while LSF is not available", "FAILED", "NODE"),
        ("TERM_OWNER: job killed by owner", "CANCELLED", None),
        ("TERM_FORCE_ADMIN: job killed by root or LSF administrator", "CANCELLED", None),
        ("TERM_UNKNOWN: unknown reason", "FAILED", "SIGNAL"),
    ],
)
def test_reasons_of_ibm_lsf_in_text(reason: str, state: str, cause: str | None) -> None:
    event = f"Sun Nov 22 06:27:38: Completed <exit>; {reason}.\n"
    text = recording("bjobs-l-kill9").stdout.replace("\n SCHEDULING", event + "\n SCHEDULING")

    status = only(list(meaning.statuses(parse.long_rows(text), {"218"})))
    assert (status.state, status.cause) == (state, cause)
    assert status.reason == reason


def test_a_job_over_its_swap_is_out_of_memory() -> None:
    text = recording("bjobs-l-runlimit").stdout.replace(" RUNLIMIT ", " SWAPLIMIT ")
    text = text.replace("exit code 140", "exit code 131")

    assert only(list(meaning.statuses(parse.long_rows(text), {"222"}))).cause == "MEMORY"


def test_what_is_in_the_command_is_no_event() -> None:
    text = recording("bjobs-l-exit0").stdout.replace("<true>", "<echo Exited with exit code 9.>")

    assert only(list(meaning.statuses(parse.long_rows(text), {"216"}))).state == "COMPLETED"


def test_a_record_that_was_cut_short_cannot_be_read() -> None:
    with pytest.raises(ValueError, match="without a state"):
        list(parse.long_rows("\nJob Id <216>, Job Name <exit0>, User <hpc"))


# -- waiting -------------------------------------------------------------------------------
def test_why_a_job_waits() -> None:
    status = only(long_statuses("bjobs-l-pending-resource", "229"))

    assert status.state is JobState.QUEUED
    assert status.reason == "Job's resource requirements not satisfied: 1 host"
    assert not status.impossible


def test_a_job_that_is_held_waits() -> None:
    assert only(long_statuses("bjobs-l-held-H", "232")).state is JobState.QUEUED


@pytest.mark.parametrize(
    "name", [n for n in LONG if n.startswith("dep-bjobs-l-after-done") and "done-array" not in n]
)
def test_a_condition_that_can_never_be_true_is_impossible(name: str) -> None:
    assert only(long_statuses(name, asked_for(name))).impossible


# -- JSON ----------------------------------------------------------------------------------
def in_json(**fields: str) -> str:
    unknown = {"JOBID": "999999", "ERROR": "Job <999999> is not found"}
    record = {"JOBID": "24", "JOBINDEX": "0", "EXIT_CODE": "", "EXIT_REASON": "", **fields}
    return json.dumps({"COMMAND": "bjobs", "JOBS": 2, "RECORDS": [record, unknown]})


@pytest.mark.parametrize(
    ("fields", "state", "cause"),
    [
        ({"STAT": "DONE"}, "COMPLETED", None),
        ({"STAT": "PEND", "PEND_REASON": "Job slot limit reached;"}, "QUEUED", None),
        ({"STAT": "EXIT", "EXIT_CODE": "3", "EXEC_HOST": "a"}, "FAILED", "EXIT_CODE"),
        ({"STAT": "EXIT", "EXIT_CODE": "137", "EXEC_HOST": "a"}, "FAILED", "SIGNAL"),
        (
            {"STAT": "EXIT", "EXIT_CODE": "140", "EXIT_REASON": "TERM_RUNLIMIT: job killed"},
            "FAILED",
            "WALLTIME",
        ),
        ({"STAT": "EXIT", "EXIT_CODE": "130", "EXIT_REASON": "TERM_OWNER: x"}, "CANCELLED", None),
        ({"STAT": "ZOMBI"}, "FAILED", "NODE"),
    ],
)
def test_records_in_json(fields: dict[str, str], state: str, cause: str | None) -> None:
    status = only(list(meaning.statuses(parse.json_rows(in_json(**fields)), {"24", "999999"})))

    assert (status.state, status.cause, status.positions) == (state, cause, None)


@pytest.mark.parametrize(
    "fields", [{"JOBID": "24", "JOBINDEX": "3"}, {"JOBID": "24[3]", "JOBINDEX": "3"}]
)
def test_an_element_in_json(fields: dict[str, str]) -> None:
    rows = parse.json_rows(in_json(STAT="RUN", EXEC_HOST="4*node01:4*node02", **fields))

    status = only(list(meaning.statuses(rows, {"24"})))
    assert (status.positions, status.host) == (range(2, 3), "node01")


def test_json_tells_what_a_job_asked_for_and_every_reason_for_waiting() -> None:
    (row,) = parse.json_rows(
        in_json(
            STAT="PEND",
            JOB_NAME="convert-ab12-3[2]",
            PEND_REASON="Job slot limit reached: 2 hosts;Not enough hosts to meet the job's "
            "spanning requirement;",
            MIN_REQ_PROC="16",
            COMBINED_RESREQ="span[hosts=1]",
        )
    )

    assert (row.name, row.slots, row.requirements) == ("convert-ab12-3", 16, "span[hosts=1]")
    assert row.reason == (
        "Job slot limit reached: 2 hosts; Not enough hosts to meet the job's spanning requirement"
    )


@pytest.mark.parametrize("text", ["{}", '{"RECORDS": [{"JOBID": "24"}]}', '{"RECORDS": [{'])
def test_json_that_is_not_whole_cannot_be_read(text: str) -> None:
    with pytest.raises(ValueError, match=r"JSON|delimiter|property name"):
        list(parse.json_rows(text))


def test_json_may_hold_what_jobs_are_called() -> None:
    (row,) = parse.json_rows(in_json(STAT="PEND", JOB_NAME="a?b").replace("?", "\t"))

    assert row.name == "a\tb"


# -- tables --------------------------------------------------------------------------------
def test_ids_in_tables() -> None:
    assert parse.found_ids(recording("bjobs-by-name").stdout) == ["205"]
    assert parse.found_ids(recording("bhist-array").stdout) == ["221"]
    assert len(parse.found_ids(recording("bjobs-aw-all-text").stdout)) > 20


def test_an_interrupted_element_was_killed_although_no_history_tells() -> None:
    """The event of an array that was killed as a whole is none of its elements'."""
    (status,) = meaning.statuses(
        [Row(job_id="24", index=3, state="EXIT", code=130, host="vm")], {"24"}
    )
    (plain,) = meaning.statuses(
        [Row(job_id="25", index=0, state="EXIT", code=130, host="vm")], {"25"}
    )

    assert status.state is JobState.CANCELLED
    assert (plain.state, plain.signal) == (JobState.FAILED, 2)


def test_a_job_whose_host_is_silent_is_unknown_for_that_reason() -> None:
    (status,) = meaning.statuses([Row(job_id="24", index=0, state="UNKWN", host="vm")], {"24"})

    assert (status.state, status.cause) == (JobState.UNKNOWN, FailureCause.NODE)
    assert "has no contact with vm" in status.reason


PAST = """
Job Id <233>, Job Name <pk>, User <hpcuser>, Project <default>, Command <true>
Sun Nov 22 06:26:48: Submitted from host <vm> to Queue <normal>;
Sun Nov 22 06:26:52: Dispatched to <vm>;
Sun Nov 22 06:28:02: {end};
"""


@pytest.mark.parametrize(
    ("end", "causes"),
    [
        ("Execution host unavailable; job is killed", [FailureCause.NODE]),
        (
            "Termination request issued; but unable to reach the execution host",
            [FailureCause.NODE],
        ),
        ("Exited; job will be requeued and rerun", []),
        (
            "Exited with exit code 99. The CPU time used is 0.0 seconds;\n"
            "Sun Nov 22 06:28:02: Pending: Requeued job is waiting for rescheduling",
            [],
        ),
        (
            "RUNLIMIT termination action: Terminate;\n"
            "Sun Nov 22 06:28:04: Exited with exit code 3. The CPU time used is 0.0 seconds",
            [FailureCause.WALLTIME],
        ),
        ("Exited with exit code 3. The CPU time used is 0.0 seconds", [FailureCause.EXIT_CODE]),
    ],
)
def test_ends_in_the_history(end: str, causes: list[FailureCause]) -> None:
    found = meaning.statuses(parse.ended_rows(PAST.format(end=end)), {"233"})

    assert [status.cause for status in found] == causes
