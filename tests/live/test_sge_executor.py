"""SGEExecutor on a real cell."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from reflow.errors import (
    SchedulerUnavailableError,
    SubmissionDeferredError,
    SubmissionRefusedError,
    SubmissionUncertainError,
)
from reflow.model.jobs import JobHandle, JobStatus
from reflow.model.resources import Resources
from reflow.model.states import FailureCause, JobState
from reflow_sge.executor import SGEExecutor

from tests.live.conftest import MakeJob, by_position, log_of, poll, until_over
from tests.live.daemons import wait_for
from tests.live.sge_cluster import SGECluster, client_of, running

MIB = 1024**2


@pytest.fixture(scope="module")
def cell() -> Iterator[SGECluster]:
    with running() as cell:
        yield cell


@pytest.fixture
def client(cell: SGECluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[SGECluster]:
    with client_of(cell, monkeypatch):
        yield cell


@pytest.fixture
def executor(client: SGECluster) -> SGEExecutor:
    return SGEExecutor()


# -- a job's life --------------------------------------------------------------------------
def test_a_plain_job_is_queued_runs_and_completes(
    client: SGECluster, executor: SGEExecutor, job: MakeJob
) -> None:
    handle = executor.submit(job("sleep 2; echo done", begin_in=timedelta(seconds=2))).job

    assert poll(executor, handle).state is JobState.QUEUED
    wait_for("the start", lambda: poll(executor, handle).state is JobState.RUNNING)
    assert poll(executor, handle).host == client.host
    until_over(executor, handle)
    last = poll(executor, handle)
    assert (last.state, last.cause) == (JobState.COMPLETED, None)
    assert "done" in log_of(handle)


def test_a_job_with_whole_nodes_waits_for_the_host_and_shares_it_with_none(
    client: SGECluster, job: MakeJob
) -> None:
    executor = SGEExecutor(exclusive_resource="exclusive")
    first = executor.submit(job("sleep 100")).job
    wait_for("the first", lambda: poll(executor, first).state is JobState.RUNNING)
    whole = executor.submit(job("sleep 100", resources=Resources(whole_nodes=True))).job
    beside = executor.submit(job("true")).job
    until_over(executor, beside)
    assert poll(executor, whole).state is JobState.QUEUED
    executor.cancel([first])
    wait_for("the host", lambda: poll(executor, whole).state is JobState.RUNNING)
    late = executor.submit(job("true")).job
    wait_for("the reason", lambda: "cannot run" in client.run("qstat", "-j", late.native_id))
    assert poll(executor, late).state is JobState.QUEUED
    executor.cancel([whole])
    until_over(executor, late)


def test_elements_end_each_with_its_own_exit_code(executor: SGEExecutor, job: MakeJob) -> None:
    codes = (0, 3, 126, 255, 99, 100)
    handle = executor.submit(
        job(f"codes=({' '.join(map(str, codes))}); exit ${{codes[$0]}}", size=6)
    ).job

    until_over(executor, handle)

    said = by_position(executor, handle)
    assert said[0].state is JobState.COMPLETED
    # 99 and 100 would have made Grid Engine run the job again, or keep it for ever.
    assert [said[position].exit_code for position in range(1, 6)] == [3, 126, 255, 1, 1]
    assert {said[position].cause for position in range(1, 6)} == {FailureCause.EXIT_CODE}


def test_a_set_up_that_ends_with_99_is_not_run_again(executor: SGEExecutor, job: MakeJob) -> None:
    executor.setup = ("echo set up", "exit 99")
    handle = executor.submit(job()).job

    until_over(executor, handle)

    assert poll(executor, handle).exit_code == 1
    assert log_of(handle).count("set up") == 1


def test_a_signal_is_told_from_an_exit_code(executor: SGEExecutor, job: MakeJob) -> None:
    handle = executor.submit(job("signals=(9 11 15); kill -${signals[$0]} $$", size=3)).job

    until_over(executor, handle)

    said = by_position(executor, handle)
    assert [said[position].signal for position in range(3)] == [9, 11, 15]
    assert {status.cause for status in said.values()} == {FailureCause.SIGNAL}


def test_no_more_elements_run_at_once_than_wanted(executor: SGEExecutor, job: MakeJob) -> None:
    handle = executor.submit(job("sleep 4", size=6, throttle=2)).job

    def running_now() -> int:
        states = [status.state for status in by_position(executor, handle).values()]
        return states.count(JobState.RUNNING)

    wait_for("the first two", lambda: running_now() == 2)
    wait_for("the next two", lambda: running_now() != 2)
    assert running_now() <= 2


def test_a_follow_up_starts_after_work_that_failed(executor: SGEExecutor, job: MakeJob) -> None:
    submission = executor.submit(job("sleep 1; exit $0", size=3), job("echo after"))

    assert submission.follow_up is not None
    waiting = poll(executor, submission.follow_up)
    assert (waiting.state, waiting.reason) == (
        JobState.QUEUED,
        "held, or waiting for another job",
    )
    until_over(executor, submission.job, submission.follow_up)
    assert poll(executor, submission.follow_up).state is JobState.COMPLETED


def test_a_follow_up_starts_after_work_that_was_cancelled(
    executor: SGEExecutor, job: MakeJob
) -> None:
    submission = executor.submit(job("sleep 100", size=3, throttle=1), job("echo after"))
    assert submission.follow_up is not None

    executor.cancel([submission.job])

    until_over(executor, submission.follow_up)
    assert poll(executor, submission.follow_up).state is JobState.COMPLETED


def test_an_element_cancelled_before_it_started_is_unknown_afterwards(
    executor: SGEExecutor, job: MakeJob
) -> None:
    handle = executor.submit(job("sleep 2", size=5, throttle=1)).job
    wait_for("the start", lambda: by_position(executor, handle)[0].state is JobState.RUNNING)

    executor.cancel_positions(handle, [1, 2, 4])

    wait_for("the last one", lambda: by_position(executor, handle)[3].state is JobState.COMPLETED)
    states = [by_position(executor, handle)[position].state for position in range(5)]
    done, gone = JobState.COMPLETED, JobState.UNKNOWN
    assert states == [done, gone, gone, done, gone]


def test_a_job_cancelled_while_it_runs_is_killed(executor: SGEExecutor, job: MakeJob) -> None:
    handle = executor.submit(job("sleep 100")).job
    wait_for("the start", lambda: poll(executor, handle).state is JobState.RUNNING)

    executor.cancel([handle])

    until_over(executor, handle)
    said = poll(executor, handle)
    assert (said.cause, said.signal) == (FailureCause.SIGNAL, 9)


def test_cancelling_what_is_over_or_unknown_is_silent(executor: SGEExecutor, job: MakeJob) -> None:
    handle = executor.submit(job()).job
    until_over(executor, handle)

    executor.cancel([handle, JobHandle(native_id="999999")])
    executor.cancel_positions(JobHandle(native_id="999999", size=4), [1, 3])


def test_one_element_is_known_by_its_own_id(executor: SGEExecutor, job: MakeJob) -> None:
    handle = executor.submit(job("echo $REFLOW_NATIVE_ID; sleep 3; exit $0", size=2)).job
    wait_for("the start", lambda: by_position(executor, handle)[1].state is JobState.RUNNING)
    element = JobHandle(native_id=f"{handle.native_id}.2")

    assert poll(executor, element).state is JobState.RUNNING
    until_over(executor, element)
    assert poll(executor, element).exit_code == 1
    assert f"{handle.native_id}.2" in log_of(handle)


def test_jobs_are_asked_about_together_once_they_are_over(
    client: SGECluster, job: MakeJob, tmp_path: Path
) -> None:
    record = tmp_path / "commands.jsonl"
    executor = SGEExecutor(command_record=str(record))
    handles = [executor.submit(job(f"exit {code}")).job for code in (3, 4, 5)]
    until_over(executor, *handles)
    record.unlink()

    codes = [status.exit_code for status in executor.poll(handles)]

    assert sorted(code or 0 for code in codes) == [3, 4, 5]
    calls = [json.loads(line)["argv"][0] for line in record.read_text().splitlines()]
    assert calls == ["qstat", "qacct"]


# -- submitting once -----------------------------------------------------------------------
def test_a_token_is_found_while_the_job_is_queued_and_after(
    executor: SGEExecutor, job: MakeJob
) -> None:
    request = job("sleep 1", size=2)
    handle = executor.submit(request).job

    assert [found.native_id for found in executor.find(request.token)] == [handle.native_id]
    until_over(executor, handle)
    assert [found.native_id for found in executor.find(request.token)] == [handle.native_id]
    assert executor.find("no-such-token-at-all") == []


def test_a_submission_whose_answer_is_lost_can_be_found(
    client: SGECluster, job: MakeJob, tmp_path: Path
) -> None:
    shim = tmp_path / "qsub"
    shim.write_text(f'#!/bin/sh\n{shutil.which("qsub")} "$@" >/dev/null\nexec sleep 60\n')
    shim.chmod(0o755)
    executor = SGEExecutor(qsub=str(shim), timeout=4)
    request = job("sleep 30")

    with pytest.raises(SubmissionUncertainError):
        executor.submit(request)

    executor.wait(0)  # until the next step
    assert len(executor.find(request.token)) == 1


# -- refusals ------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("resources", "said"),
    [
        (Resources(queue="nosuch.q"), "unknown queue"),
        (Resources(options={"sge": {"P": "nosuch"}}), "project"),
        (Resources(options={"sge": {"l": "nosuch=1"}}), "unknown resource"),
        (Resources(options={"sge": {"pe": "nosuch 2"}}), "parallel environment"),
        (Resources(options={"sge": {"nosuch": 1}}), "invalid option"),
        (Resources(options={"sge": {"sync": "y"}}), "reflow's own"),
        (Resources(nodes=2), "node_environment"),
    ],
)
def test_what_can_never_be_accepted_is_refused_in_grid_engines_words(
    executor: SGEExecutor, job: MakeJob, resources: Resources, said: str
) -> None:
    with pytest.raises(SubmissionRefusedError, match=said):
        executor.submit(job(resources=resources))


def test_what_can_never_start_is_said_to_be_impossible(
    executor: SGEExecutor, job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reflow_sge.verification.PATIENCE", timedelta(0))
    greedy = executor.submit(job(resources=Resources(mem=999 * 1024**3))).job
    wide = executor.submit(job(resources=Resources(cpus=64))).job
    array = executor.submit(job(size=3, resources=Resources(gpus=7))).job

    said = executor.poll([greedy, wide, array])

    assert all(status.impossible and status.state is JobState.QUEUED for status in said)
    reasons = {status.native_id: status.reason for status in said}
    assert "offers only hc:h_vmem=8.000G" in reasons[greedy.native_id]
    assert 'PE "onehost"' in reasons[wide.native_id]
    assert "gpu" in reasons[array.native_id]


def test_what_only_waits_is_not_impossible(
    executor: SGEExecutor, job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reflow_sge.verification.PATIENCE", timedelta(0))
    executor.submit(job("sleep 30", resources=Resources(cpus=8)))
    behind = executor.submit(job(resources=Resources(cpus=8))).job
    closed = executor.submit(job(resources=Resources(queue="closed.q"))).job

    assert not any(status.impossible for status in executor.poll([behind, closed]))


def test_a_full_queue_defers_a_submission(client: SGECluster, job: MakeJob) -> None:
    client.configure("max_u_jobs", 2)
    try:
        executor = SGEExecutor()
        executor.submit(job("sleep 50", size=5), job())
        # An array is one job to Grid Engine.
        limits = executor.limits()
        assert limits.max_whole_jobs == limits.queued_whole_jobs == 2

        with pytest.raises(SubmissionDeferredError, match="only 2 jobs are allowed"):
            executor.submit(job())
    finally:
        client.configure("max_u_jobs", 0)


def test_the_largest_array_is_found_out(executor: SGEExecutor, job: MakeJob) -> None:
    executor.submit(job("sleep 30", size=5))
    found = executor.limits()
    assert (found.max_array_size, found.max_submit_jobs) == (75000, None)

    mine = SGEExecutor(max_submit_jobs=50, max_array_size=10).limits()

    assert (mine.max_array_size, mine.max_submit_jobs, mine.queued_jobs) == (10, 50, 5)


# -- what a job finds ----------------------------------------------------------------------
def test_nothing_of_the_submitting_shell_reaches_a_job(
    executor: SGEExecutor, job: MakeJob, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MINE", "secret")
    monkeypatch.setenv("RESTARTED", "1")
    executor.setup = ('export GREETING="hello $GIVEN"',)
    line = 'echo "[$MINE][$GREETING][$REFLOW_INCARNATION][$PWD][$BASH]"'

    handle = executor.submit(job(line, environment={"GIVEN": "it's me\n"})).job

    until_over(executor, handle)
    said = log_of(handle)
    assert said.startswith("[][hello it's me\n][0-")
    assert said.rstrip().endswith(f"[{tmp_path}][/bin/bash]")


def test_the_environment_is_exported_where_it_is_asked_for(
    client: SGECluster, job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MINE", "shared")
    monkeypatch.setenv("RESTARTED", "1")
    executor = SGEExecutor(export_environment=True)

    handle = executor.submit(job('echo "[$MINE][$REFLOW_INCARNATION]"')).job

    until_over(executor, handle)
    assert "[shared][0-" in log_of(handle)


@pytest.mark.parametrize(
    "name", ["a b", "it's", 'say "so"', "a:b", "a,b", "$HOME", "Übung", "a;b|c&d", "back\\slash"]
)
def test_folders_may_have_any_name(
    executor: SGEExecutor, job: MakeJob, tmp_path: Path, name: str
) -> None:
    folder = tmp_path / name
    folder.mkdir()

    handle = executor.submit(job("pwd", directory=folder, working_directory=folder)).job

    until_over(executor, handle)
    assert poll(executor, handle).state is JobState.COMPLETED
    assert log_of(handle).strip() == str(folder)
    assert sorted(path.name for path in folder.iterdir()) == ["job.sh", "scheduler.log"]


def test_the_kept_script_can_be_submitted_by_hand(
    client: SGECluster, executor: SGEExecutor, job: MakeJob
) -> None:
    handle = executor.submit(job("echo $REFLOW_NATIVE_ID", size=2)).job
    until_over(executor, handle)
    assert handle.directory is not None

    said = client.run("qsub", "-terse", str(handle.directory / "job.sh"))

    again = JobHandle(native_id=said.partition(".")[0], size=2)
    until_over(executor, again)
    assert f"{again.native_id}.2" in log_of(handle)


def test_what_a_task_asks_for_is_what_the_job_asks_for(client: SGECluster, job: MakeJob) -> None:
    executor = SGEExecutor(node_environment="loose", warning=60)
    resources = Resources(
        cpus=3,
        mem=300 * MIB + 1,
        time=timedelta(hours=30),
        gpus=1,
        nodes=2,
        queue="all.q",
        account="ab1234",
        options={"sge": {"p": -7, "l": ["num_proc=1", "arch=lx*"], "notify": True}},
    )

    handle = executor.submit(job("true", size=4, throttle=2, resources=resources)).job

    shown = " ".join(client.run("qstat", "-j", handle.native_id).split())
    for part in (
        "parallel environment: loose range: 6",
        "h_rt=108000,s_rt=107940,h_vmem=101M,gpu=1,num_proc=1,arch=lx*",
        "hard_queue_list: all.q",
        "account: ab1234",
        "priority: -7",
        "notify: TRUE",
        "job-array tasks: 1-4:1",
        "maximum concurrency: 2",
        "restart: y",
    ):
        assert part in shown


def test_several_cpus_are_slots_of_an_environment_on_one_host(
    executor: SGEExecutor, job: MakeJob
) -> None:
    handle = executor.submit(job('echo "$PE $NSLOTS"', resources=Resources(cpus=3))).job
    until_over(executor, handle)
    assert log_of(handle) == "onehost 3\n"


# -- causes --------------------------------------------------------------------------------
def test_running_out_of_time_is_told_and_warned_of(client: SGECluster, job: MakeJob) -> None:
    executor = SGEExecutor(warning=20)
    plain = executor.submit(job("sleep 300", resources=Resources(time=timedelta(seconds=6)))).job
    warned = executor.submit(
        job(
            "trap 'echo warned; exit 5' TERM; sleep 300 & wait",
            # On a busy machine the shell takes seconds to get as far as that.
            resources=Resources(time=timedelta(seconds=30)),
        )
    ).job

    until_over(executor, warned, plain)

    assert "warned" in log_of(warned)
    said = poll(executor, warned)
    assert (said.exit_code, said.cause) == (5, FailureCause.WALLTIME)
    assert poll(executor, plain).cause is FailureCause.WALLTIME


def test_running_out_of_memory_is_told_where_grid_engine_kills(
    executor: SGEExecutor, job: MakeJob
) -> None:
    # Neither process is over the limit, but both together.
    eat = "python3 -c 'import time; x = bytearray(200 * 1024**2); time.sleep(60)'"
    handle = executor.submit(job(f"{eat} & {eat} & wait", resources=Resources(mem=300 * MIB))).job

    until_over(executor, handle)

    assert poll(executor, handle).cause is FailureCause.MEMORY


def test_a_job_in_error_state_has_failed_and_is_deleted(
    client: SGECluster, executor: SGEExecutor, job: MakeJob
) -> None:
    request = job("true", size=3)
    with client.closed():
        submission = executor.submit(request, job("echo after"))
        shutil.rmtree(request.directory)
    said: list[JobStatus] = []

    def all_over() -> bool:
        # Asked once more, Grid Engine may not know for a moment what was just deleted.
        said[:] = executor.poll([submission.job])
        return all(status.state.over for status in said)

    wait_for("the failures", all_over)
    assert {(s.state, s.cause) for s in said} == {(JobState.FAILED, FailureCause.SUBMIT)}
    assert submission.follow_up is not None
    # Else it would wait for ever.
    until_over(executor, submission.follow_up)
    assert client.run("qstat").strip() == ""


def test_the_first_word_on_an_error_state_is_grid_engines_own(
    client: SGECluster, executor: SGEExecutor, job: MakeJob
) -> None:
    request = job("true")
    with client.closed():
        handle = executor.submit(request).job
        shutil.rmtree(request.directory)
    said = []

    def failed() -> bool:
        said.append(poll(executor, handle))
        return said[-1].state is JobState.FAILED

    wait_for("the failure", failed)
    assert "can't open output file" in said[-1].reason


def test_a_missing_working_directory_fails_the_job(
    executor: SGEExecutor, job: MakeJob, tmp_path: Path
) -> None:
    handle = executor.submit(job("true", working_directory=tmp_path / "gone")).job

    until_over(executor, handle)

    assert poll(executor, handle).cause is FailureCause.EXIT_CODE
    assert "No such file or directory" in log_of(handle)


def test_a_job_that_is_run_again_keeps_its_id_and_lives_anew(
    client: SGECluster, executor: SGEExecutor, job: MakeJob
) -> None:
    handle = executor.submit(job("echo life $REFLOW_INCARNATION; sleep 100")).job
    wait_for("the first life", lambda: "life 0-" in log_of(handle))

    client.run("qmod", "-rj", handle.native_id)

    assert poll(executor, handle).state in (JobState.QUEUED, JobState.RUNNING)
    wait_for("the second life", lambda: "life 1-" in log_of(handle))
    first, second = (line.split()[1] for line in log_of(handle).splitlines())
    client.run("qmod", "-rj", handle.native_id)
    wait_for("the third life", lambda: log_of(handle).count("life") == 3)
    assert log_of(handle).splitlines()[2].split()[1] not in (first, second)


def test_a_host_that_is_away_makes_its_jobs_unknown(
    client: SGECluster, executor: SGEExecutor, job: MakeJob
) -> None:
    handle = executor.submit(job("echo begun; sleep 25; exit 4")).job
    # A job on its way counts as running; without its execd it would not arrive.
    wait_for("the start", lambda: "begun" in log_of(handle))
    client.daemons.kill("execd")
    try:
        wait_for("the silence", lambda: poll(executor, handle).state is JobState.UNKNOWN)
        said = poll(executor, handle)
        assert said.cause is FailureCause.NODE
        assert f"not heard of {client.host}" in said.reason
    finally:
        client.start_execd()
    # Execd takes its jobs up again in its own time.
    until_over(executor, handle, seconds=180)
    assert poll(executor, handle).exit_code == 4


# -- outages -------------------------------------------------------------------------------
def test_a_qmaster_that_is_down_says_nothing_of_any_job(
    client: SGECluster, executor: SGEExecutor, job: MakeJob
) -> None:
    handle = executor.submit(job("sleep 12; exit 4")).job
    wait_for("the start", lambda: poll(executor, handle).state is JobState.RUNNING)
    client.daemons.kill("qmaster")
    try:
        with pytest.raises(SchedulerUnavailableError):
            executor.poll([handle])
        with pytest.raises(SchedulerUnavailableError) as submission:
            executor.submit(job())
        assert not isinstance(submission.value, SubmissionUncertainError)
        with pytest.raises(SchedulerUnavailableError):
            executor.cancel([handle])
        with pytest.raises(SchedulerUnavailableError):
            executor.find("some-token")
        with pytest.raises(SchedulerUnavailableError):
            SGEExecutor().limits()
    finally:
        client.start_qmaster()
    until_over(executor, handle)
    assert poll(executor, handle).exit_code == 4


# -- two batch systems ---------------------------------------------------------------------
def test_another_batch_systems_commands_before_them_on_the_path_are_passed_over(
    client: SGECluster, job: MakeJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("qsub", "qstat", "qdel"):
        (folder / name).write_text('#!/bin/sh\necho "$0: invalid option" >&2\nexit 2\n')
        (folder / name).chmod(0o755)
    with monkeypatch.context() as patched:
        patched.setenv("PATH", f"{folder}:/usr/bin:/bin")

        executor = SGEExecutor()
        handle = executor.submit(job()).job
        until_over(executor, handle)

        assert poll(executor, handle).state is JobState.COMPLETED


# -- calls ---------------------------------------------------------------------------------
def test_a_thousand_elements_take_as_many_calls_as_ten(
    client: SGECluster, job: MakeJob, tmp_path: Path
) -> None:
    counts = []
    for size in (10, 1000):
        record = tmp_path / f"{size}.jsonl"
        executor = SGEExecutor(command_record=str(record))
        executor.submit_one(job("true"))
        record.unlink()
        later = timedelta(minutes=9)
        submission = executor.submit(job("true", size=size, begin_in=later), job())
        assert submission.follow_up is not None
        executor.poll([submission.job, submission.follow_up])
        executor.cancel([submission.job, submission.follow_up])
        counts.append([json.loads(line)["argv"][0] for line in record.read_text().splitlines()])

    assert counts[0] == counts[1] == ["qsub", "qsub", "qstat", "qdel"]
