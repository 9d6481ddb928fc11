"""Reading qstat and qacct, on what real ones have printed."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from reflow.model.jobs import JobHandle, JobStatus
from reflow.model.states import FailureCause, JobState
from reflow_sge.broken import error_reasons
from reflow_sge.parse import (
    accounting_records,
    accounting_statuses,
    queue_rows,
    queue_statuses,
)
from reflow_sge.states import STATES

from tests.unit.sge.recordings import Step, answer, steps

LISTS = [step for step in steps() if "qstat" in step.command and "<job_info" in step.stdout]
RECORDS = [
    step
    for step in steps()
    if step.command.startswith("qacct -j")
    and "jobnumber" in step.stdout
    and "exit_status" in step.stdout
    and "paste" not in step.command
]


def handles(*native_ids: str) -> dict[str, JobHandle]:
    return {native_id: JobHandle(native_id=native_id, size=10) for native_id in native_ids}


def in_queue(text: str, native_id: str) -> dict[int | None, JobStatus]:
    """How a job, or each position of an array, stands by a list."""
    return {
        position: status
        for row in queue_rows(text)
        for status in queue_statuses(row, handles(native_id))
        for position in ([None] if status.positions is None else status.positions)
    }


def ended(scene: str, native_id: str, number: int = 0) -> JobStatus:
    """How a job ended by a recorded qacct."""
    text = answer(scene, f"qacct -j {native_id} ", number).stdout
    if "taskid" not in text:
        text = text.replace("jobnumber", "taskid undefined\njobnumber")
    (status,) = accounting_statuses(_whole(text), {native_id: JobHandle(native_id=native_id)})
    return status


def _whole(text: str) -> str:
    """Recordings that were cut down by grep have lost the lines between the records."""
    return text if "====" in text else text.replace("jobname ", "====\njobname ")


def test_there_are_recordings_to_read() -> None:
    assert len(LISTS) >= 5
    assert len(RECORDS) >= 25


@pytest.mark.parametrize("step", LISTS, ids=lambda step: f"{step.scene}: {step.command[:50]}")
def test_every_recorded_list_is_read_whole(step: Step) -> None:
    if "</job_info>\n" not in step.stdout or "| head" in step.command:
        pytest.skip("cut short by whoever recorded it")
    rows = list(queue_rows(step.stdout))
    assert len(rows) == step.stdout.count("<JB_job_number>")
    for row in rows:
        assert row.job_id.isdigit()
        assert STATES.look_up(row.state) in STATES.states


@pytest.mark.parametrize("step", RECORDS, ids=lambda step: f"{step.scene}: {step.command[:20]}")
def test_every_recorded_account_is_read(step: Step) -> None:
    records = list(accounting_records(_whole(step.stdout)))
    assert len(records) == step.stdout.count("exit_status ")


def test_waiting_elements_are_one_line_and_running_ones_have_their_own() -> None:
    found = in_queue(answer("array-limit-pending-running", "qstat -xml").stdout, "31")
    assert {position: status.state for position, status in found.items()} == {
        0: JobState.RUNNING,
        1: JobState.RUNNING,
        **dict.fromkeys(range(2, 10), JobState.QUEUED),
    }
    assert found[0].host == "node01"


def test_a_list_with_a_line_for_each_element_says_the_same() -> None:
    text = answer("array-limit-pending-running", "qstat -xml").stdout
    expanded = answer("array-limit-pending-running", "qstat -xml -g d").stdout
    one, other = in_queue(expanded, "31"), in_queue(text, "31")
    assert {place: one[place].state for place in one} == {
        place: other[place].state for place in other
    }


def test_an_element_is_known_by_the_arrays_id_and_its_index() -> None:
    text = answer("array-limit-pending-running", "qstat -xml").stdout
    assert {status.state for status in in_queue(text, "31.2").values()} == {JobState.RUNNING}
    assert {status.state for status in in_queue(text, "31.9").values()} == {JobState.QUEUED}
    assert in_queue(text, "3") == {}


def test_a_list_by_queues_tells_of_hosts_that_are_away() -> None:
    text = (
        "<?xml version='1.0'?><job_info><queue_info>"
        "<Queue-List><name>all.q@node01</name><state>au</state>"
        "<job_list state='running'><JB_job_number>7</JB_job_number><JB_name>n</JB_name>"
        "<state>r</state></job_list></Queue-List>"
        "<Queue-List><name>all.q@node02</name>"
        "<job_list state='running'><JB_job_number>8</JB_job_number><JB_name>n</JB_name>"
        "<state>r</state></job_list></Queue-List>"
        "</queue_info><job_info></job_info></job_info>"
    )
    away, here = in_queue(text, "7")[None], in_queue(text, "8")[None]
    assert (away.state, away.cause) == (JobState.UNKNOWN, FailureCause.NODE)
    assert "node01" in away.reason
    assert (here.state, here.host) == (JobState.RUNNING, "node02")


@pytest.mark.parametrize("text", ["", "error: commlib error", "<unknown_jobs></unknown_jobs>"])
def test_what_is_no_list_of_jobs_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match="no"):
        list(queue_rows(text))


def test_names_are_not_cut() -> None:
    text = answer("submit-odd", "qstat -xml").stdout
    assert "<JB_name>[x]</JB_name>" in text


def test_the_reason_of_an_error_state_is_found() -> None:
    text = answer("outcomes-exit-codes-and-signals", "qstat -j 29").stdout
    reasons = error_reasons(f"job_number:    29\n{text}")
    assert reasons == {
        ("29", "1"): (
            'error: can\'t open output file "/scratch/nosuchdir/x": No such file or directory'
        )
    }


OUTCOMES = "outcomes-exit-codes-and-signals"


@pytest.mark.parametrize(
    ("native_id", "cause", "exit_code", "signal"),
    [
        ("19", None, None, None),
        ("20", FailureCause.EXIT_CODE, 3, None),
        ("21", FailureCause.EXIT_CODE, 255, None),
        ("22", FailureCause.EXIT_CODE, 137, None),
        ("23", FailureCause.SIGNAL, None, 9),
        ("24", FailureCause.SIGNAL, None, 15),
        ("25", FailureCause.SIGNAL, None, 11),
        ("26", FailureCause.EXIT_CODE, 127, None),
    ],
)
def test_accounting_tells_signals_from_exit_codes(
    native_id: str, cause: FailureCause | None, exit_code: int | None, signal: int | None
) -> None:
    status = ended(OUTCOMES, native_id)
    assert (status.cause, status.exit_code, status.signal) == (cause, exit_code, signal)
    assert status.state is (JobState.COMPLETED if cause is None else JobState.FAILED)


def test_a_run_that_was_put_back_is_no_end() -> None:
    text = _whole(answer(OUTCOMES, "qacct -j 27 ").stdout)
    assert list(accounting_statuses(text, handles("27"))) == []


def test_of_several_runs_the_last_counts() -> None:
    assert ended("reschedule", "112").state is JobState.COMPLETED
    assert ended(OUTCOMES, "28", 1).exit_code == 100


def test_a_limit_is_told_by_what_was_asked_for() -> None:
    scene = "limits-time-and-memory"
    assert ended(scene, "71").cause is FailureCause.WALLTIME
    assert ended(scene, "74").cause is FailureCause.WALLTIME
    # Told by s_rt, it ended by itself.
    warned = ended(scene, "72")
    assert (warned.exit_code, warned.cause) == (7, FailureCause.WALLTIME)
    assert ended(scene, "73").cause is FailureCause.EXIT_CODE
    memory = _whole(answer(scene, "qacct -j 71 ").stdout)
    memory = memory.replace("-l h_rt=4", "-l h_rt=900,h_vmem=300M")
    memory = memory.replace("maxvmem      5.285MB", "maxvmem      312.090MB")
    (status,) = accounting_statuses(memory, {"71": JobHandle(native_id="71")})
    assert status.cause is FailureCause.MEMORY


@pytest.mark.parametrize(
    ("exit_status", "wallclock", "cause"),
    [
        ("143 (Terminated)", "4s", FailureCause.WALLTIME),
        ("143 (Terminated)", "2s", FailureCause.SIGNAL),
        ("137 (Killed)", "4s", FailureCause.SIGNAL),
    ],
)
def test_who_dies_of_the_warning_has_run_out_of_time(
    exit_status: str, wallclock: str, cause: FailureCause
) -> None:
    text = _whole(answer("limits-time-and-memory", "qacct -j 72 ").stdout)
    text = text.replace("failed       0    ", "failed       100 : assumedly after job")
    text = text.replace("exit_status  7 ", f"exit_status  {exit_status} ")
    text = text.replace("ru_wallclock 4s", f"ru_wallclock {wallclock}")

    (status,) = accounting_statuses(text, {"72": JobHandle(native_id="72")})

    assert status.cause is cause


def test_elements_are_told_apart() -> None:
    text = answer("array-limit-pending-running", "qacct -j 31.4").stdout
    if text.count("taskid") < 4:
        pytest.skip("cut short by whoever recorded it")
    found = list(accounting_statuses(text, handles("31", "31.4")))
    assert [s.positions for s in found if s.native_id == "31"][:3] == [
        range(1),
        range(1, 2),
        range(2, 3),
    ]
    (element,) = (status for status in found if status.native_id == "31.4")
    assert (element.positions, element.exit_code) == (None, 7)


@pytest.mark.parametrize("submitted", ["Sun Nov 22 06:20:20 2026", "11/22/2026 06:20:20.123"])
def test_a_record_of_long_ago_is_another_jobs(submitted: str) -> None:
    text = (
        f"====\njobname n\njobnumber 7\ntaskid undefined\nqsub_time {submitted}\n"
        "failed 0\nexit_status 1\n"
    )

    def known(day: datetime) -> int:
        return len(
            list(accounting_statuses(text, {"7": JobHandle(native_id="7", submitted_at=day)}))
        )

    assert known(datetime(2026, 11, 22, 1, tzinfo=UTC)) == 1
    assert known(datetime(2027, 11, 22, tzinfo=UTC)) == 0


def test_who_deleted_a_job_is_told_where_accounting_has_it() -> None:
    text = (
        "====\njobname n\njobnumber 7\ntaskid undefined\ndeleted_by ada\n"
        "failed 100 : assumedly after job\nexit_status 137\n"
    )
    (status,) = accounting_statuses(text, {"7": JobHandle(native_id="7")})
    assert (status.state, status.reason) == (JobState.CANCELLED, "deleted by ada")
