"""SlurmExecutor on a real cluster."""

from __future__ import annotations

import json
import shutil
from datetime import timedelta
from pathlib import Path

import pytest
from reflow.errors import (
    SchedulerUnavailableError,
    SubmissionDeferredError,
    SubmissionRefusedError,
    SubmissionUncertainError,
)
from reflow.model.resources import Resources
from reflow.model.states import FailureCause, JobState
from reflow_slurm.executor import SlurmExecutor

from tests.live.conftest import MakeJob, by_position, log_of, poll, until_over
from tests.live.daemons import wait_for
from tests.live.slurm_cluster import SlurmCluster

MIB = 1024**2


# -- a job's life --------------------------------------------------------------------------
def test_a_plain_job_is_queued_runs_and_completes(executor: SlurmExecutor, job: MakeJob) -> None:
    handle = executor.submit(job("sleep 2; echo done", begin_in=timedelta(seconds=2))).job

    first = poll(executor, handle)
    assert (first.state, first.reason) == (JobState.QUEUED, "BeginTime")
    wait_for("the start", lambda: poll(executor, handle).state is JobState.RUNNING)
    until_over(executor, handle)
    last = poll(executor, handle)
    assert (last.state, last.cause, last.host) == (JobState.COMPLETED, None, "node01")
    assert "done" in log_of(handle)


def test_elements_end_each_with_its_own_exit_code(executor: SlurmExecutor, job: MakeJob) -> None:
    codes = (0, 3, 130, 255)
    handle = executor.submit(
        job(f"codes=({' '.join(map(str, codes))}); exit ${{codes[$0]}}", size=4)
    ).job

    until_over(executor, handle)

    said = by_position(executor, handle)
    assert said[0].state is JobState.COMPLETED
    assert [said[position].exit_code for position in (1, 2, 3)] == [3, 130, 255]
    assert {said[position].cause for position in (1, 2, 3)} == {FailureCause.EXIT_CODE}


def test_a_signal_is_told_from_an_exit_code(executor: SlurmExecutor, job: MakeJob) -> None:
    handle = executor.submit(job("signals=(9 11); kill -${signals[$0]} $$", size=2)).job

    until_over(executor, handle)

    said = by_position(executor, handle)
    assert [said[position].signal for position in (0, 1)] == [9, 11]
    assert {status.cause for status in said.values()} == {FailureCause.SIGNAL}


def test_no_more_elements_run_at_once_than_wanted(executor: SlurmExecutor, job: MakeJob) -> None:
    handle = executor.submit(job("sleep 3", size=6, throttle=2)).job

    def running() -> int:
        states = [status.state for status in by_position(executor, handle).values()]
        return states.count(JobState.RUNNING)

    wait_for("the first two", lambda: running() == 2)
    waiting = [s for s in by_position(executor, handle).values() if s.state is JobState.QUEUED]
    assert {status.reason for status in waiting} == {"JobArrayTaskLimit"}


def test_a_job_with_whole_nodes_shares_none_and_has_all_of_it(
    executor: SlurmExecutor, job: MakeJob, client: SlurmCluster
) -> None:
    whole = Resources(whole_nodes=True)
    first = executor.submit(job("sleep 100")).job
    wait_for("the first", lambda: poll(executor, first).state is JobState.RUNNING)
    # One of the two has the node that is free; the other waits for the first to go.
    pair = executor.submit(job("sleep 100", size=2, resources=whole)).job

    def states() -> list[JobState]:
        return sorted(status.state for status in by_position(executor, pair).values())

    wait_for("a whole node", lambda: JobState.RUNNING in states())
    assert states() == [JobState.QUEUED, JobState.RUNNING]
    both = by_position(executor, pair).values()
    (running,) = (status for status in both if status.state is JobState.RUNNING)
    assert poll(executor, first).host != running.host
    allocated = client.run("scontrol", "show", "job", running.native_id)
    assert f"NumCPUs={client.options.cpus}" in allocated
    assert f"mem={client.options.memory}M" in allocated
    executor.cancel([first])
    wait_for("the second node", lambda: states() == [JobState.RUNNING, JobState.RUNNING])
    executor.cancel([pair])


def test_a_follow_up_starts_after_work_that_failed(executor: SlurmExecutor, job: MakeJob) -> None:
    submission = executor.submit(job("sleep 1; exit $0", size=3), job("echo after"))

    assert submission.follow_up is not None
    assert poll(executor, submission.follow_up).reason in ("Dependency", "")
    until_over(executor, submission.job, submission.follow_up)
    assert poll(executor, submission.follow_up).state is JobState.COMPLETED


def test_a_follow_up_starts_after_work_that_was_cancelled(
    executor: SlurmExecutor, job: MakeJob
) -> None:
    submission = executor.submit(job("sleep 100", size=3, throttle=1), job("echo after"))
    assert submission.follow_up is not None

    executor.cancel([submission.job])

    until_over(executor, submission.job, submission.follow_up)
    states = {status.state for status in by_position(executor, submission.job).values()}
    assert states == {JobState.CANCELLED}
    assert poll(executor, submission.follow_up).state is JobState.COMPLETED


def test_an_element_cancelled_before_it_started_is_unknown_afterwards(
    executor: SlurmExecutor, job: MakeJob
) -> None:
    handle = executor.submit(job("sleep 2", size=4, throttle=1)).job
    wait_for("the start", lambda: by_position(executor, handle)[0].state is JobState.RUNNING)

    executor.cancel_positions(handle, [1, 2])

    wait_for("the last one", lambda: by_position(executor, handle)[3].state is JobState.COMPLETED)
    said = by_position(executor, handle)
    assert [said[position].state for position in range(4)] == [
        JobState.COMPLETED,
        JobState.UNKNOWN,
        JobState.UNKNOWN,
        JobState.COMPLETED,
    ]


def test_cancelling_what_is_over_or_unknown_is_silent(
    executor: SlurmExecutor, job: MakeJob
) -> None:
    handle = executor.submit(job()).job
    until_over(executor, handle)

    executor.cancel([handle, type(handle)(native_id="999999")])


def test_one_element_is_known_by_its_own_id(executor: SlurmExecutor, job: MakeJob) -> None:
    handle = executor.submit(job("echo $REFLOW_NATIVE_ID; exit $0", size=2)).job
    until_over(executor, handle)
    assert f"{handle.native_id}_1" in log_of(handle)

    element = type(handle)(native_id=f"{handle.native_id}_1")

    assert poll(executor, element).exit_code == 1


# -- finding -------------------------------------------------------------------------------
def test_a_job_is_found_by_its_token_before_and_after_its_end(
    executor: SlurmExecutor, job: MakeJob
) -> None:
    request = job("sleep 1", size=2)
    handle = executor.submit(request).job

    assert [found.native_id for found in executor.find(request.token)] == [handle.native_id]
    until_over(executor, handle)
    assert [found.native_id for found in executor.find(request.token)] == [handle.native_id]
    assert executor.find("no-such-token-at-all") == []


def test_a_submission_whose_answer_is_lost_can_be_found(
    client: SlurmCluster, job: MakeJob, tmp_path: Path
) -> None:
    shim = tmp_path / "sbatch"
    shim.write_text(f'#!/bin/sh\n{shutil.which("sbatch")} "$@" >/dev/null\nexec sleep 60\n')
    shim.chmod(0o755)
    executor = SlurmExecutor(sbatch=str(shim), timeout=3)
    request = job("sleep 30")

    with pytest.raises(SubmissionUncertainError):
        executor.submit(request)

    executor.wait(0)  # until the next step
    assert len(executor.find(request.token)) == 1


# -- refusals ------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("resources", "said"),
    [
        (Resources(queue="nosuch"), "invalid partition specified: nosuch"),
        (Resources(account="nosuch"), "Invalid account"),
        (Resources(mem=999 * 1024**3), "Memory specification can not be satisfied"),
        (Resources(options={"slurm": {"qos": "nosuch"}}), "Invalid qos"),
        (Resources(options={"slurm": {"nosuch": 1}}), "unrecognized option"),
        (Resources(options={"slurm": {"wrap": "true"}}), "reflow's own"),
        (Resources(gpus=1), "Invalid generic resource"),
    ],
)
def test_what_can_never_be_accepted_is_refused_in_slurms_words(
    executor: SlurmExecutor, job: MakeJob, resources: Resources, said: str
) -> None:
    with pytest.raises(SubmissionRefusedError, match=said):
        executor.submit(job(resources=resources))


@pytest.mark.parametrize(
    ("resources", "reason"),
    [
        (Resources(cpus=64), "PartitionConfig"),
        (Resources(nodes=5), "PartitionNodeLimit"),
        (Resources(queue="short", time=timedelta(minutes=10)), "PartitionTimeLimit"),
        (Resources(queue="small", mem=600 * MIB), "MaxMemPerLimit"),
    ],
)
def test_what_can_never_start_is_said_to_be_impossible(
    executor: SlurmExecutor, job: MakeJob, resources: Resources, reason: str
) -> None:
    handle = executor.submit(job(resources=resources)).job

    wait_for("the reason", lambda: poll(executor, handle).reason == reason)

    assert poll(executor, handle).impossible


def test_a_closed_partition_may_open_again(executor: SlurmExecutor, job: MakeJob) -> None:
    handle = executor.submit(job(resources=Resources(queue="closed"))).job

    wait_for("the reason", lambda: poll(executor, handle).reason == "PartitionDown")

    assert not poll(executor, handle).impossible


def test_a_full_queue_defers_a_submission(executor: SlurmExecutor, job: MakeJob) -> None:
    few = Resources(options={"slurm": {"qos": "few"}})
    executor.submit(job("sleep 100", resources=few, size=3))

    with pytest.raises(SubmissionDeferredError, match="QOSMaxSubmitJobPerUserLimit"):
        executor.submit(job(resources=few))


# -- limits --------------------------------------------------------------------------------
def test_the_largest_array_and_the_users_limit_are_found_out(
    client: SlurmCluster, job: MakeJob
) -> None:
    client.limit_submitted_jobs(300)
    try:
        executor = SlurmExecutor()
        executor.submit(job("sleep 100", size=20))

        found = executor.limits()

        assert (found.max_array_size, found.max_submit_jobs, found.queued_jobs) == (10001, 300, 20)
    finally:
        client.limit_submitted_jobs(-1)


def test_the_limit_of_a_qos_is_found_out_before_and_while_it_is_used(
    client: SlurmCluster, job: MakeJob
) -> None:
    executor = SlurmExecutor(options={"qos": "few"})
    assert executor.limits().max_submit_jobs == 3

    executor.submit(job("sleep 100", size=2))

    found = executor.limits()
    assert (found.max_submit_jobs, found.queued_jobs) == (3, 2)


def test_without_a_limit_there_is_none(executor: SlurmExecutor) -> None:
    assert executor.limits().max_submit_jobs is None


def test_the_users_own_limit_counts_every_element(client: SlurmCluster, job: MakeJob) -> None:
    executor = SlurmExecutor(max_submit_jobs=50, max_array_size=10)
    executor.submit(job("sleep 100", size=10))

    found = executor.limits()

    assert (found.max_array_size, found.max_submit_jobs, found.queued_jobs) == (10, 50, 10)


# -- what a job finds ----------------------------------------------------------------------
def test_nothing_of_the_submitting_shell_reaches_a_job(
    executor: SlurmExecutor, job: MakeJob, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MINE", "secret")
    monkeypatch.setenv("SLURM_RESTART_COUNT", "7")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "99")
    monkeypatch.setenv("SBATCH_PARTITION", "closed")
    executor.setup = ('export GREETING="hello $GIVEN"',)
    line = 'echo "[$MINE][$GREETING][$REFLOW_INCARNATION][$SLURM_ARRAY_TASK_ID][$PWD]"'

    handle = executor.submit(job(line, environment={"GIVEN": "it's me\n"})).job

    until_over(executor, handle)
    assert f"[][hello it's me\n][0][][{tmp_path}]" in log_of(handle)


def test_the_environment_is_exported_where_it_is_asked_for(
    client: SlurmCluster, job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MINE", "shared")
    executor = SlurmExecutor(export_environment=True)

    handle = executor.submit(job('echo "[$MINE]"')).job

    until_over(executor, handle)
    assert "[shared]" in log_of(handle)


@pytest.mark.parametrize(
    "name", ["a b", "it's", 'say "so"', "100%j%%", "$HOME", "Übung", "a;b|c&d", "#1 [2]*"]
)
def test_folders_may_have_any_name(
    executor: SlurmExecutor, job: MakeJob, tmp_path: Path, name: str
) -> None:
    folder = tmp_path / name
    folder.mkdir()

    handle = executor.submit(job("pwd", directory=folder, working_directory=folder)).job

    until_over(executor, handle)
    assert poll(executor, handle).state is JobState.COMPLETED
    assert log_of(handle).strip() == str(folder)
    assert sorted(path.name for path in folder.iterdir()) == ["job.sh", "scheduler.log"]


@pytest.mark.parametrize("name", ["back\\slash", "new\nline"])
def test_a_folder_that_slurm_cannot_write_to_is_refused(
    executor: SlurmExecutor, job: MakeJob, tmp_path: Path, name: str
) -> None:
    folder = tmp_path / name
    folder.mkdir()

    with pytest.raises(SubmissionRefusedError, match="another run directory"):
        executor.submit(job(directory=folder))


def test_the_kept_script_can_be_submitted_by_hand(
    client: SlurmCluster, executor: SlurmExecutor, job: MakeJob, tmp_path: Path
) -> None:
    handle = executor.submit(job("echo $REFLOW_NATIVE_ID", size=2)).job
    until_over(executor, handle)
    assert handle.directory is not None

    native_id = client.run("sbatch", "--parsable", str(handle.directory / "job.sh")).strip()

    again = type(handle)(native_id=native_id, size=2)
    until_over(executor, again)
    assert f"{native_id}_1" in log_of(handle)


def test_what_a_task_asks_for_is_what_the_job_asks_for(
    client: SlurmCluster, executor: SlurmExecutor, job: MakeJob
) -> None:
    resources = Resources(
        cpus=3,
        mem=300 * MIB + 1,
        time=timedelta(hours=30),
        nodes=2,
        queue="main",
        account="tests",
        options={"slurm": {"comment": "one 'two'", "nice": 7, "exclusive": True}},
    )

    handle = executor.submit(job("sleep 50", resources=resources)).job

    shown = client.run("scontrol", "--oneliner", "show", "job", handle.native_id)
    for part in (
        "NumNodes=2",
        "CPUs/Task=3",
        "MinMemoryNode=301M",
        "TimeLimit=1-06:00:00",
        "Partition=main",
        "Account=tests",
        "Comment=one 'two'",
        "Nice=7",
        "OverSubscribe=NO",
        "Requeue=1",
    ):
        assert part in shown


def test_excluded_hosts_are_left_out(executor: SlurmExecutor, job: MakeJob) -> None:
    handle = executor.submit(job("true", excluded_hosts=("node01",))).job

    until_over(executor, handle)

    assert poll(executor, handle).host == "node02"


def test_a_site_may_override_a_block_of_the_template(
    client: SlurmCluster, job: MakeJob, tmp_path: Path
) -> None:
    folder = tmp_path / "templates"
    folder.mkdir()
    (folder / "slurm.sh.j2").write_text(
        '{% extends "packaged/slurm.sh.j2" %}\n'
        "{% block setup %}\n"
        '{{ super() }}echo the site says {{ "it\'s" }} {{ token }}\n'
        "{% endblock %}\n"
    )
    executor = SlurmExecutor(templates=str(folder), setup=("echo first",))
    request = job()

    handle = executor.submit(request).job

    until_over(executor, handle)
    assert log_of(handle).split("\n")[:2] == ["first", f"the site says it's {request.token}"]


# -- causes --------------------------------------------------------------------------------
def test_running_out_of_time_is_told_and_warned_of(executor: SlurmExecutor, job: MakeJob) -> None:
    minute = timedelta(minutes=1)
    plain = executor.submit(job("sleep 300", resources=Resources(time=minute))).job
    warned = executor.submit(
        job(
            "trap 'echo warned; exit 5' TERM; sleep 300 & wait",
            resources=Resources(time=minute, options={"slurm": {"signal": "TERM@55"}}),
        )
    ).job

    until_over(executor, warned, seconds=60)
    assert "warned" in log_of(warned)
    assert poll(executor, warned).exit_code == 5
    until_over(executor, plain, seconds=150)
    assert poll(executor, plain).cause is FailureCause.WALLTIME


EAT = 'exec python3 -c "import time; x = bytearray($0 * 300 * 1024**2); time.sleep(4)"'


def test_running_out_of_memory_is_told_where_it_is_polled(
    executor: SlurmExecutor, job: MakeJob
) -> None:
    handle = executor.submit(job(EAT, size=2, resources=Resources(mem=100 * MIB))).job

    until_over(executor, handle)

    said = by_position(executor, handle)
    assert said[0].state is JobState.COMPLETED
    assert said[1].cause is FailureCause.MEMORY


def test_a_missing_folder_for_the_log_is_told(executor: SlurmExecutor, job: MakeJob) -> None:
    request = job("true", begin_in=timedelta(seconds=2))
    handle = executor.submit(request).job
    shutil.rmtree(request.directory)

    until_over(executor, handle)

    said = poll(executor, handle)
    assert (said.state, said.cause) == (JobState.FAILED, FailureCause.SUBMIT)
    assert "run directory" in said.reason


def test_a_missing_working_directory_fails_the_job(
    executor: SlurmExecutor, job: MakeJob, tmp_path: Path
) -> None:
    handle = executor.submit(job("true", working_directory=tmp_path / "gone")).job

    until_over(executor, handle)

    assert poll(executor, handle).cause is FailureCause.EXIT_CODE
    assert "No such file or directory" in log_of(handle)


def test_a_requeued_job_keeps_its_id_and_counts_its_lives(
    client: SlurmCluster, executor: SlurmExecutor, job: MakeJob
) -> None:
    handle = executor.submit(job("echo life $REFLOW_INCARNATION; sleep 100")).job
    wait_for("the start", lambda: poll(executor, handle).state is JobState.RUNNING)
    wait_for("the first life", lambda: "life 0" in log_of(handle))

    client.run("scontrol", "requeue", handle.native_id)

    assert poll(executor, handle).state in (JobState.QUEUED, JobState.RUNNING)
    wait_for("the queue", lambda: poll(executor, handle).state is JobState.QUEUED)
    client.hurry(handle.native_id)
    wait_for("the second life", lambda: "life 1" in log_of(handle))


def test_a_dead_node_is_told_from_a_failed_job(
    client: SlurmCluster, executor: SlurmExecutor, job: MakeJob
) -> None:
    lost = Resources(options={"slurm": {"no-requeue": True, "nodelist": "node02"}})
    kept = Resources(options={"slurm": {"nodelist": "node02"}})
    first = executor.submit(job("sleep 100", resources=lost)).job
    second = executor.submit(job("sleep 100", resources=kept)).job
    wait_for(
        "the start",
        lambda: all(s.state is JobState.RUNNING for s in executor.poll([first, second])),
    )

    client.run("scontrol", "update", "nodename=node02", "state=down", "reason=test")

    until_over(executor, first)
    assert poll(executor, first).cause is FailureCause.NODE
    wait_for("the requeue", lambda: poll(executor, second).state is JobState.QUEUED)
    executor.cancel([second])
    client.run("scontrol", "update", "nodename=node02", "state=resume", check=False)
    wait_for("node02", lambda: "idle" in client.run("sinfo", "-hN", "-n", "node02", "-o", "%t"))


# -- outages -------------------------------------------------------------------------------
def test_a_controller_that_is_down_says_nothing_of_any_job(
    client: SlurmCluster, executor: SlurmExecutor, job: MakeJob
) -> None:
    handle = executor.submit(job("sleep 20; exit 4")).job
    wait_for("the start", lambda: poll(executor, handle).state is JobState.RUNNING)
    client.daemons.stop("slurmctld")
    try:
        with pytest.raises(SchedulerUnavailableError):
            executor.poll([handle])
        with pytest.raises(SchedulerUnavailableError) as submission:
            executor.submit(job())
        assert not isinstance(submission.value, SubmissionUncertainError)
        with pytest.raises(SchedulerUnavailableError):
            executor.cancel([handle])
    finally:
        client.start_controller()
    until_over(executor, handle)
    assert poll(executor, handle).exit_code == 4


def test_without_slurmdbd_the_queue_still_answers(
    client: SlurmCluster, executor: SlurmExecutor, job: MakeJob
) -> None:
    client.daemons.stop("slurmdbd")
    try:
        handle = executor.submit(job("exit 6")).job
        until_over(executor, handle)
        assert poll(executor, handle).exit_code == 6
        with pytest.raises(SchedulerUnavailableError):
            executor.poll([type(handle)(native_id="999999")])
    finally:
        client.start_accounting()


# -- calls ---------------------------------------------------------------------------------
def test_a_thousand_elements_take_as_many_calls_as_ten(
    client: SlurmCluster, job: MakeJob, tmp_path: Path
) -> None:
    counts = []
    for size in (10, 1000):
        record = tmp_path / f"{size}.jsonl"
        executor = SlurmExecutor(command_record=str(record))
        submission = executor.submit(job("sleep 100", size=size), job())
        assert submission.follow_up is not None
        executor.poll([submission.job, submission.follow_up])
        executor.cancel([submission.job, submission.follow_up])
        calls = [json.loads(line)["argv"][0] for line in record.read_text().splitlines()]
        counts.append(calls)

    assert counts[0] == counts[1] == ["sbatch", "sbatch", "squeue", "scancel"]
