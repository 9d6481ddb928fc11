from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from reflow.errors import (
    SchedulerUnavailableError,
    SubmissionDeferredError,
    SubmissionRefusedError,
    SubmissionUncertainError,
)
from reflow.model.jobs import JobHandle, Limits
from reflow.model.resources import Resources
from reflow.model.states import FailureCause, JobState
from reflow_slurm.executor import SlurmExecutor

from tests.unit.executors.batch.pond import ScriptedRunner
from tests.unit.executors.batch.requests import Answer, MakeRequest
from tests.unit.executors.batch.requests import request_for as request_for
from tests.unit.umask import umask

UNKNOWN_ID = (1, "", "slurm_load_jobs error: Invalid job id specified\n")
NO_CONTROLLER = (
    1,
    "",
    "slurm_load_jobs error: Unable to contact slurm controller (connect failure)\n",
)


def slurm(*answers: Answer, **settings: Any) -> tuple[SlurmExecutor, ScriptedRunner]:
    executor, runner = SlurmExecutor(**settings), ScriptedRunner(list(answers))
    executor.runner = runner  # type: ignore[assignment]
    return executor, runner


def directives(script: str) -> list[str]:
    return [line for line in script.splitlines() if line.startswith("#SBATCH")]


# -- the script ----------------------------------------------------------------------------
SCRIPT = """\
#!/bin/bash
#SBATCH --job-name=convert-ab12-3
#SBATCH --output=/scratch/run/.reflow/r1/waves/3/scheduler.log
#SBATCH --open-mode=append
#SBATCH --export=NONE
#SBATCH --requeue
#SBATCH --kill-on-invalid-dep=yes
#SBATCH --array=0-9%4
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=4
#SBATCH --mem=8192M
#SBATCH --time=1-02:00:00
#SBATCH --gpus-per-node=1
#SBATCH --partition=compute
#SBATCH --account=ab1234
#SBATCH --exclude=node07,node09
#SBATCH --qos=high
#SBATCH -C 'big memory'

# weather / weather-20261122-ab12 / convert
# Written by reflow. To run the same job again by hand, submit this file.

# What the job writes has the permissions that it has where it was submitted.
umask 0027
# Steps that the task starts with srun are to have its environment.
export SLURM_EXPORT_ENV=ALL
export REFLOW_NATIVE_ID="${SLURM_ARRAY_JOB_ID}_${SLURM_ARRAY_TASK_ID}"
export REFLOW_INCARNATION="${SLURM_RESTART_COUNT:-0}"
export OMP_NUM_THREADS=4
module load python
source env/bin/activate
cd -- /data || exit 1
exec /usr/bin/python3 -m work "$SLURM_ARRAY_TASK_ID"
"""


def test_an_arrays_script_is_what_people_would_write(request_for: MakeRequest) -> None:
    executor, _ = slurm(setup=("module load python", "source env/bin/activate"), account="ab1234")
    request = request_for(
        directory=Path("/scratch/run/.reflow/r1/waves/3"),
        size=10,
        throttle=4,
        label="weather / weather-20261122-ab12 / convert",
        environment={"OMP_NUM_THREADS": "4"},
        excluded_hosts=("node07", "node09"),
        resources=Resources(
            cpus=4,
            mem=8 * 1024**3,
            time=timedelta(hours=26),
            gpus=1,
            nodes=2,
            queue="compute",
            options={"slurm": {"qos": "high", "C": "big memory"}, "pbs": {"W": "x"}},
        ),
    )

    with umask(0o027):
        assert executor.script(request) == SCRIPT


def test_a_plain_job_asks_for_no_more_than_it_must(request_for: MakeRequest) -> None:
    executor, _ = slurm()

    script = executor.script(request_for(directory=Path("/run")))

    assert directives(script) == [
        "#SBATCH --job-name=convert-ab12-3",
        "#SBATCH --output=/run/scheduler.log",
        "#SBATCH --open-mode=append",
        "#SBATCH --export=NONE",
        "#SBATCH --requeue",
        "#SBATCH --kill-on-invalid-dep=yes",
        "#SBATCH --nodes=1",
        "#SBATCH --ntasks-per-node=1",
        "#SBATCH --cpus-per-task=1",
    ]
    assert 'REFLOW_NATIVE_ID="$SLURM_JOB_ID"\n' in script
    assert script.endswith("exec /usr/bin/python3 -m work\n")


@pytest.mark.parametrize(
    ("resources", "written"),
    [
        (Resources(), ["--exclusive", "--mem=0"]),
        (Resources(mem=4 * 1024**3), ["--exclusive", "--mem=4096M"]),
        (
            Resources(options={"slurm": {"exclusive": "user", "mem_per_cpu": "2G"}}),
            ["--exclusive=user", "--mem-per-cpu=2G"],
        ),
    ],
)
def test_a_whole_node_comes_with_its_memory(
    request_for: MakeRequest, resources: Resources, written: list[str]
) -> None:
    executor, _ = slurm()
    script = executor.script(request_for(resources=replace(resources, whole_nodes=True)))
    asked = [line.removeprefix("#SBATCH ") for line in directives(script)]
    assert [line for line in asked if line.startswith(("--exclusive", "--mem"))] == written


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("100% %j", "'/runs/100%% %%j/scheduler.log'"),
        ("it's", "'/runs/it'\"'\"'s/scheduler.log'"),
        ("$HOME", "'/runs/$HOME/scheduler.log'"),
        ("Übung", "'/runs/Übung/scheduler.log'"),
    ],
)
def test_the_logs_name_is_no_pattern(request_for: MakeRequest, name: str, written: str) -> None:
    executor, _ = slurm()
    script = executor.script(request_for(directory=Path("/runs") / name))
    assert f"#SBATCH --output={written}" in directives(script)


@pytest.mark.parametrize("name", ["a\nb", "a\\b", "a\x1bb"])
def test_a_folder_that_slurm_cannot_name_is_refused(request_for: MakeRequest, name: str) -> None:
    executor, runner = slurm()
    with pytest.raises(SubmissionRefusedError, match="another run directory"):
        executor.submit(request_for(directory=Path("/runs") / name))
    assert runner.commands == []


@pytest.mark.parametrize(
    ("setting", "own", "directive"),
    [
        ("TERM@60", {}, "#SBATCH --signal=B:TERM@60"),
        ("TERM@60", {"signal": "USR1@300"}, "#SBATCH --signal=B:USR1@300"),
        (None, {"signal": "R:TERM@9"}, "#SBATCH --signal=R:TERM@9"),
    ],
)
def test_a_warning_goes_to_the_worker_itself(
    request_for: MakeRequest, setting: str | None, own: dict[str, str], directive: str
) -> None:
    executor, _ = slurm(signal=setting)
    request = request_for(resources=Resources(options={"slurm": own}))
    assert directive in directives(executor.script(request))


@pytest.mark.parametrize(
    ("own", "instead", "of"),
    [
        ({"ntasks": 4}, "--ntasks=4", "--ntasks-per-node"),
        ({"n": 4}, "-n 4", "--ntasks-per-node"),
        ({"ntasks_per_node": 8}, "--ntasks-per-node=8", "--ntasks-per-node=1"),
        ({"cpus-per-gpu": 8}, "--cpus-per-gpu=8", "--cpus-per-task"),
        ({"mem-per-cpu": "2G"}, "--mem-per-cpu=2G", "--mem="),
        ({"N": 3}, "-N 3", "--nodes"),
        ({"no-requeue": True}, "--no-requeue", "--requeue"),
        ({"p": "gpu"}, "-p gpu", "--partition"),
    ],
)
def test_an_option_takes_the_place_of_the_directive_that_it_would_clash_with(
    request_for: MakeRequest, own: dict[str, object], instead: str, of: str
) -> None:
    executor, _ = slurm()
    asked = Resources(mem=1024**3, queue="compute", options={"slurm": own})
    lines = directives(executor.script(request_for(resources=asked)))
    assert f"#SBATCH {instead}" in lines
    assert [line for line in lines if line.startswith(f"#SBATCH {of}")] in (
        [],
        [f"#SBATCH {instead}"] if instead.startswith(of) else [],
    )


def test_a_task_may_do_without_the_warning(request_for: MakeRequest) -> None:
    executor, _ = slurm(signal="TERM@60")
    script = executor.script(request_for(resources=Resources(options={"slurm": {"signal": None}})))
    assert "--signal" not in script


def test_gpus_are_asked_for_as_the_site_wants_it(request_for: MakeRequest) -> None:
    executor, _ = slurm(gpu_option="--gres=gpu:a100:{gpus}")
    script = executor.script(request_for(resources=Resources(gpus=2)))
    assert "#SBATCH --gres=gpu:a100:2" in directives(script)


def test_less_than_a_mebibyte_is_rounded_up(request_for: MakeRequest) -> None:
    executor, _ = slurm()
    script = executor.script(request_for(resources=Resources(mem=1024**2 + 1)))
    assert "#SBATCH --mem=2M" in directives(script)


@pytest.mark.parametrize("option", ["array", "a", "job_name", "J", "output", "dependency", "wrap"])
def test_what_is_reflows_own_is_refused(request_for: MakeRequest, option: str) -> None:
    executor, _ = slurm()
    with pytest.raises(SubmissionRefusedError, match="reflow's own"):
        executor.submit(request_for(resources=Resources(options={"slurm": {option: "x"}})))


# -- submitting ----------------------------------------------------------------------------
def test_what_is_true_of_one_submission_only_is_on_the_command_line(
    request_for: MakeRequest, tmp_path: Path
) -> None:
    executor, runner = slurm((0, "24;alpha\n", ""), (0, "25;alpha\n", ""), cluster="alpha")

    submission = executor.submit(request_for(size=3), request_for(begin_in=timedelta(seconds=90.2)))

    script = str(tmp_path / "job.sh")
    assert runner.argvs == [
        ("sbatch", "--parsable", "--clusters=alpha", script),
        (
            "sbatch",
            "--parsable",
            "--clusters=alpha",
            "--begin=now+91",
            "--dependency=afterany:24",
            script,
        ),
    ]
    assert submission.job.native_id == "24"


@pytest.mark.parametrize("text", ["24\n", "24;alpha\n", "sbatch: checking quota 7\n24\n"])
def test_the_id_is_found_in_what_sbatch_prints(request_for: MakeRequest, text: str) -> None:
    executor, _ = slurm((0, text, ""))
    assert executor.submit(request_for()).job.native_id == "24"


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (
            "Batch job submission failed: Invalid account or account/partition",
            SubmissionRefusedError,
        ),
        ("sbatch: error: AssocMaxSubmitJobLimit", SubmissionDeferredError),
        ("Socket timed out on send/recv operation", SubmissionUncertainError),
    ],
)
def test_a_failed_submission_is_sorted_by_what_sbatch_says(
    request_for: MakeRequest, said: str, kind: type[Exception]
) -> None:
    executor, runner = slurm((1, "", said))
    with pytest.raises(kind, match=said):
        executor.submit(request_for())
    assert len(runner.commands) == 1


# -- asking --------------------------------------------------------------------------------
def test_one_call_asks_about_all_jobs_at_once() -> None:
    text = (
        "24|24|2|PENDING|0|n/a|JobArrayTaskLimit|\n"
        "25|24|0|RUNNING|0|node01|None|\n"
        "26|24|1|FAILED|768|node02|NonZeroExitCode|\n"
        "30|30|N/A|PENDING|0||Dependency|\n"
    )
    executor, runner = slurm((0, text, ""))

    statuses = executor.poll([JobHandle(native_id="24", size=3), JobHandle(native_id="30")])

    (argv,) = runner.argvs
    assert argv[0] == "squeue"
    assert argv[-1] == "--jobs=24,30"
    assert {"--array", "--states=all"} <= set(argv)
    by_place = {
        (status.native_id, status.positions and status.positions[0]): status for status in statuses
    }
    assert by_place["24", 0].state is JobState.RUNNING
    assert (by_place["24", 1].exit_code, by_place["24", 1].host) == (3, "node02")
    assert by_place["24", 2].reason == "JobArrayTaskLimit"
    assert (by_place["30", None].state, by_place["30", None].reason) == (
        JobState.QUEUED,
        "Dependency",
    )


def test_an_unknown_id_is_unknown_and_no_outage() -> None:
    executor, _ = slurm(UNKNOWN_ID, (0, "", ""))
    (status,) = executor.poll([JobHandle(native_id="999999")])
    assert (status.state, status.cause) == (JobState.UNKNOWN, None)


def test_a_controller_that_is_away_is_not_asked_over_and_over() -> None:
    executor, runner = slurm(NO_CONTROLLER)
    with pytest.raises(SchedulerUnavailableError, match="Unable to contact slurm controller"):
        executor.poll([JobHandle(native_id="24")])
    assert len(runner.commands) == 1


def test_accounting_is_asked_from_the_time_of_submission_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    executor, runner = slurm(UNKNOWN_ID, (0, "24|24|FAILED|3:0|node01|None\n", ""))
    noon = datetime(2026, 11, 22, 12, tzinfo=UTC)

    (status,) = executor.poll([JobHandle(native_id="24", submitted_at=noon)])

    local = (noon - timedelta(hours=1)).astimezone().strftime("%Y-%m-%dT%H:%M:%S")
    assert runner.argvs[1][-2:] == ("--jobs=24", f"--starttime={local}")
    assert status.cause is FailureCause.EXIT_CODE


@pytest.mark.parametrize("state", ["PENDING", "RUNNING", "REQUEUED", "SUSPENDED"])
def test_accounting_is_not_believed_that_a_job_goes_on(state: str) -> None:
    executor, _ = slurm(UNKNOWN_ID, (0, f"24|24|{state}|0:0|None assigned|None\n", ""))
    (status,) = executor.poll([JobHandle(native_id="24")])
    assert status.state is JobState.UNKNOWN


def test_a_node_failure_in_accounting_does_not_count_while_the_queue_has_the_job() -> None:
    executor, runner = slurm((0, "24|24|N/A|PENDING|0||BeginTime|\n", ""))
    (status,) = executor.poll([JobHandle(native_id="24")])
    assert status.state is JobState.QUEUED
    assert len(runner.commands) == 1


def test_accountings_record_of_a_whole_array_is_no_elements() -> None:
    executor, _ = slurm((0, "", ""), (0, "124|124|COMPLETED|0:0|node01|None\n", ""))
    (status,) = executor.poll([JobHandle(native_id="124", size=2)])
    assert (status.state, status.positions) == (JobState.UNKNOWN, range(2))


def test_without_accounting_nobody_is_asked_twice() -> None:
    disabled = (1, "", "Slurm accounting storage is disabled\n")
    executor, runner = slurm(UNKNOWN_ID, disabled, UNKNOWN_ID, (0, "", ""))

    executor.poll([JobHandle(native_id="24")])
    executor.poll([JobHandle(native_id="24")])
    executor.find("token")

    assert [argv[0] for argv in runner.argvs] == ["squeue", "sacct", "squeue", "squeue"]


def test_slurmdbd_that_is_away_is_an_outage() -> None:
    away = (1, "", "sacct: error: Problem talking to the database: Connection refused\n")
    executor, _ = slurm(UNKNOWN_ID, away)
    with pytest.raises(SchedulerUnavailableError, match="Connection refused"):
        executor.poll([JobHandle(native_id="24")])


def test_the_log_tells_of_memory_where_slurm_does_not(tmp_path: Path) -> None:
    (tmp_path / "scheduler.log").write_text(
        "slurmstepd-node01: error: StepId=26.batch exceeded memory limit (223145984 > 52428800), "
        "being killed\nslurmstepd-node01: error: Exceeded job memory limit\n"
    )
    rows = "25|24|0|FAILED|9|node01|J|\n26|24|1|FAILED|9|node01|J|\n"
    executor, _ = slurm((0, rows, ""))

    statuses = executor.poll([JobHandle(native_id="24", size=2, directory=tmp_path)])

    assert [status.cause for status in statuses] == [FailureCause.SIGNAL, FailureCause.MEMORY]


# -- finding and cancelling ----------------------------------------------------------------
def test_a_token_is_looked_for_in_the_queue_and_then_in_accounting() -> None:
    executor, runner = slurm(
        (0, "", ""), (0, "25|24_0|FAILED|1:0|n|None\n24|24_1|FAILED|1:0|n|N\n", "")
    )

    (found,) = executor.find("convert-ab12-3")

    assert found.native_id == "24"
    assert f"--user={os.getuid()}" in runner.argvs[0]
    assert [argv[0] for argv in runner.argvs] == ["squeue", "sacct"]
    assert all("--name=convert-ab12-3" in argv for argv in runner.argvs)


def test_elements_are_cancelled_by_array_and_index() -> None:
    executor, runner = slurm((0, "", ""), (0, "", ""))

    executor.cancel([JobHandle(native_id="24"), JobHandle(native_id="30_4")])
    executor.cancel_positions(JobHandle(native_id="24", size=9), [1, 2, 3, 7])

    assert runner.argvs == [("scancel", "24", "30_4"), ("scancel", "24_[1-3,7]")]


def test_a_list_of_elements_never_outgrows_a_command_line() -> None:
    executor, runner = slurm((0, "", ""))

    executor.cancel_positions(JobHandle(native_id="24", size=50_000), range(0, 50_000, 2))

    (argv,) = runner.argvs
    assert max(map(len, argv)) < 10_000
    assert [word.partition("_")[0] for word in argv[1:]] == ["24"] * 25


OVER = "scancel: error: Kill job error on job id 24: Job/step already completing or completed\n"
AWAY = "scancel: error: Kill job error on job id 25: Unable to contact slurm controller\n"


@pytest.mark.parametrize("said", [AWAY, OVER + AWAY, ""])
def test_a_cancel_that_does_not_get_through_is_told(said: str) -> None:
    executor, _ = slurm((8, "", said))
    with pytest.raises(SchedulerUnavailableError):
        executor.cancel([JobHandle(native_id="24"), JobHandle(native_id="25")])


def test_a_cancel_of_what_is_over_keeps_no_other_from_being_cancelled() -> None:
    executor, runner = slurm((1, "", OVER), (0, "", ""))
    executor.cancel([JobHandle(native_id=str(number)) for number in range(24, 24 + 300)])
    assert len(runner.argvs) == 2


def test_a_user_whom_a_node_does_not_know_is_not_asked_for_limits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def unknown(uid: int) -> None:
        raise KeyError(uid)

    monkeypatch.setattr("reflow_slurm.site.pwd.getpwuid", unknown)
    settings = "MaxArraySize = 1001\nAccountingStorageEnforce = limits\n"
    executor, _ = slurm((0, settings, ""))
    assert executor.limits() == Limits(max_array_size=1001)


# -- settings ------------------------------------------------------------------------------
def test_commands_may_be_elsewhere(request_for: MakeRequest) -> None:
    executor, runner = slurm((0, "1", ""), sbatch="/opt/slurm/bin/sbatch")
    executor.submit(request_for())
    assert runner.argvs[0][0] == "/opt/slurm/bin/sbatch"
    assert executor.settings == {"sbatch": "/opt/slurm/bin/sbatch"}


def test_variables_of_a_job_do_not_reach_the_jobs_it_submits() -> None:
    given = {
        "SLURM_CONF": "/etc/slurm.conf",
        "SLURM_RESTART_COUNT": "3",
        "SLURM_ARRAY_TASK_ID": "4",
        "SBATCH_PARTITION": "p",
        "SQUEUE_FORMAT": "x",
        "HOME": "/h",
    }
    assert SlurmExecutor.variables.environment(given) == {
        "SLURM_CONF": "/etc/slurm.conf",
        "HOME": "/h",
        "LC_ALL": "C",
        "SLURM_BITSTR_LEN": "0",
        "SLURM_TIME_FORMAT": "standard",
    }
