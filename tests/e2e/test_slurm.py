"""Whole workflows through reflow-slurm, on a fake Slurm that really runs jobs."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from textwrap import dedent

import pytest
from reflow.errors import SchedulerUnavailableError
from reflow.model.jobs import JobHandle, JobRequest
from reflow.model.states import RunState, TaskState
from reflow.report.status import print_status
from reflow.rundir.run_settings import read_settings
from reflow.testing.fakes import FakeScheduler
from reflow_slurm.executor import SlurmExecutor

from tests.e2e.fixtures import on_fakes
from tests.e2e.support import FlowFile, counts, failed, until
from tests.fakes import fake_of

MakeFlow = Callable[..., FlowFile]

STAGES = """
wf = Workflow("stages")


@wf.job()
def prepare() -> list[str]:
    return ["a", "b"]


@wf.job(array=True)
def each(word: Annotated[str, Result(step="prepare")]) -> str:
    did(word)
    return word


@wf.job()
def gather(words: Annotated[list[str], Result(step="each")]) -> str:
    return "".join(words)
"""


slurm = on_fakes("slurm")


def test_what_a_job_printed_before_the_worker_began_is_its_log(
    slurm: FakeScheduler, flow_file: MakeFlow, capsys: pytest.CaptureFixture[str]
) -> None:
    executor = SlurmExecutor(setup=("echo the module system is broken", "exit 7"))

    run = flow_file(STAGES).load().submit(run_dir="run", executor=executor)
    until(lambda: run.status(as_dict=True)["failed_instances"])

    assert failed(run)["prepare", None][0] == "EXIT_CODE"
    print_status(run.status(as_dict=True), errors=True)
    assert "the module system is broken" in capsys.readouterr().out


def test_a_run_goes_from_stage_to_stage_by_itself(
    slurm: FakeScheduler, flow_file: MakeFlow
) -> None:
    run = flow_file(STAGES).load().submit(run_dir="run", executor="slurm")

    until(lambda: run.state.final)

    assert run.state is RunState.SUCCESS
    assert run.result("gather") == "ab"
    slurm.wait_until_idle()


def test_a_run_that_is_followed_submits_no_dispatch_jobs(
    slurm: FakeScheduler, flow_file: MakeFlow
) -> None:
    run = flow_file(STAGES).load().submit(run_dir="run", executor="slurm", follow=True)

    assert [job.name.partition("-")[0] for job in slurm.jobs()] == ["prepare"]
    assert run.follow() is RunState.SUCCESS
    assert len(slurm.jobs()) == 4


def test_an_array_that_somebody_cancels_is_cancelled_what_had_begun_of_it_too(
    slurm: FakeScheduler, flow_file: MakeFlow
) -> None:
    flow = flow_file("""
    wf = Workflow("wait")


    @wf.job()
    def words() -> list[str]:
        return list("abc")


    @wf.job(array=True, array_parallelism=2)
    def stay(word: Annotated[str, Result(step="words")]) -> str:
        did(word)
        wait_for("{here}/go")
        return word
    """)
    run = flow.load().submit(run_dir="run", executor="slurm")
    until(lambda: flow.calls == {"a": 1, "b": 1})
    (array,) = {job.number for job in slurm.jobs() if job.name.startswith("stay-")}

    SlurmExecutor().cancel([JobHandle(native_id=str(array))])

    until(lambda: run.status(as_dict=True)["run"]["status"] != "RUNNING")
    assert counts(run, "stay") == {"CANCELLED": 3}
    (flow.folder / "go").touch()
    assert run.retry() == 3
    until(lambda: run.state.final)
    assert flow.calls == {"a": 2, "b": 2, "c": 1}


def test_without_a_scheduler_that_answers_nothing_is_written_down(
    flow_file: MakeFlow, tmp_path: Path
) -> None:
    workflow = flow_file(STAGES).load()
    missing = SlurmExecutor(scontrol=str(tmp_path / "nowhere"))

    with pytest.raises(SchedulerUnavailableError, match="Is this a machine of the cluster"):
        workflow.submit(run_dir="run", executor=missing)

    assert not (tmp_path / "run").exists()
    assert list(workflow.store.list_runs()) == []


def test_a_run_that_comes_from_the_cache_asks_nothing_and_submits_nothing(
    slurm: FakeScheduler, flow_file: MakeFlow, tmp_path: Path
) -> None:
    flow = flow_file(STAGES)
    first = flow.load().submit(run_dir="run", executor="slurm")
    until(lambda: first.state.final)
    slurm.wait_until_idle()
    jobs = len(slurm.jobs())

    record = tmp_path / "commands"
    executor = SlurmExecutor(command_record=str(record))
    again = flow.load().submit(run_dir="run", executor=executor)

    assert again.state is RunState.SUCCESS
    assert again.result("gather") == "ab"
    assert not record.exists()
    assert len(slurm.jobs()) == jobs


def test_a_run_whose_first_task_alone_comes_from_the_cache_has_its_watchdog_before_its_work(
    slurm: FakeScheduler, flow_file: MakeFlow
) -> None:
    flow = flow_file(STAGES)
    first = flow.load().submit(run_dir="run", executor="slurm")
    until(lambda: first.state.final)
    slurm.wait_until_idle()
    before = len(slurm.jobs())
    flow.replace("did(word)", "did(word + word)")

    again = flow.load().submit(run_dir="run", executor="slurm")

    names = [job.name.partition("-")[0] for job in slurm.jobs()[before:]]
    assert names.index("watchdog") < names.index("each")
    until(lambda: again.state.final)
    assert flow.calls == {"a": 1, "b": 1, "aa": 1, "bb": 1}


def test_a_scheduler_that_is_away_when_its_first_job_is_due_ends_the_run(
    slurm: FakeScheduler, flow_file: MakeFlow, tmp_path: Path
) -> None:
    flow = flow_file(STAGES)
    first = flow.load().submit(run_dir="run", executor="slurm")
    until(lambda: first.state.final)
    flow.replace("did(word)", "did(word + word)")
    nowhere = str(tmp_path / "nowhere")

    with pytest.raises(SchedulerUnavailableError, match="Is this a machine of the cluster"):
        flow.load().submit(run_dir="run", executor=SlurmExecutor(scontrol=nowhere, sbatch=nowhere))

    ended = flow.load().store.list_runs()[0]
    assert ended.state is RunState.FAILED
    assert "Is this a machine of the cluster" in ended.message


def test_what_accounting_tells_of_limits_is_asked_once_in_a_run(
    slurm: FakeScheduler, flow_file: MakeFlow, tmp_path: Path
) -> None:
    asked = tmp_path / "asked"
    scontrol = _command(
        tmp_path / "limited-scontrol",
        f"""
        case "$*" in
        *"show config"*) echo "MaxArraySize = 1001"; echo "AccountingStorageEnforce = limits" ;;
        *assoc_mgr*) echo "Account=lab UserName=$(id -un)($(id -u)) DefAssoc=Yes" ;;
        *) exec {shutil.which("scontrol")} "$@" ;;
        esac
        """,
    )
    sacctmgr = _command(
        tmp_path / "slow-sacctmgr",
        f"""
        echo "$*" >>{asked}
        case "$*" in
        *"show assoc"*) echo "lab|normal|" ;;
        *) echo 100 ;;
        esac
        """,
    )
    executor = SlurmExecutor(scontrol=scontrol, sacctmgr=sacctmgr)

    run = flow_file(STAGES).load().submit(run_dir="run", executor=executor)
    until(lambda: run.state.final)

    assert run.state is RunState.SUCCESS
    words = [line.split()[3] for line in asked.read_text().splitlines()]
    assert words == ["assoc", "qos"]


def _command(path: Path, script: str) -> str:
    """A command of the site's; its path."""
    path.write_text("#!/bin/sh\n" + dedent(script))
    path.chmod(0o755)
    return str(path)


def test_submit_says_at_once_that_the_first_job_is_refused(
    slurm: FakeScheduler, flow_file: MakeFlow, capsys: pytest.CaptureFixture[str]
) -> None:
    flow = flow_file(
        STAGES.replace("@wf.job()\ndef prepare", '@wf.job(queue="nosuch")\ndef prepare')
    )

    with pytest.raises(SystemExit) as ending:
        flow.load().cli(["submit", "--executor", "slurm", "--run-dir", "run"])

    assert ending.value.code == 1
    said = capsys.readouterr()
    assert said.out.startswith("stages-")
    assert "nosuch" in said.err
    assert "sinfo --summarize" in said.err


def test_waves_and_their_follow_ups_fit_into_the_queue(
    tmp_path: Path, flow_file: MakeFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REFLOW_DISPATCH_LAST_WORKER", "false")
    flow = flow_file("""
    wf = Workflow("many")


    @wf.job()
    def prepare() -> list[int]:
        return list(range(9))


    @wf.job(array=True)
    def each(number: Annotated[int, Result(step="prepare")]) -> int:
        return number
    """)
    with fake_of("slurm", tmp_path, max_array_size=2, max_submit_jobs=10) as fake:
        fake.activate()
        # The fake does not tell of its limit, so the person does.
        executor = SlurmExecutor(max_submit_jobs=10)
        run = flow.load().submit(run_dir="run", executor=executor)
        until(lambda: run.state.final)
        refused = [call for call in fake.calls if call.name == "sbatch" and call.code]

    assert run.result("each") == list(range(9))
    assert refused == []


# -- what a machine with one host cannot show ------------------------------------------------
def test_a_run_is_taken_over_from_a_dispatch_job_that_the_scheduler_says_is_over(
    slurm: FakeScheduler, flow_file: MakeFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    for leg in ("FOLLOW_UP", "LAST_WORKER", "WATCHDOG"):
        monkeypatch.setenv(f"REFLOW_DISPATCH_{leg}", "false")
    run = flow_file(STAGES).load().submit(run_dir="run", executor="slurm")
    slurm.wait_until_idle()
    job = SlurmExecutor().submit(plain_job(Path.cwd())).job.native_id
    slurm.wait_until_idle()
    elsewhere = {"host": "node99", "boot": "", "pid": 1, "start": "1", "native_id": job}
    assert run.store.acquire(run.run_id, elsewhere) is not None

    said = run.status(as_dict=True)

    assert said["notes"] == [
        f"its dispatcher, job {job}, had ended; the run was taken over from it"
    ]
    assert said["tasks"]["each"]["size"] == 2


def test_a_dispatch_job_that_the_scheduler_has_forgotten_is_named(
    slurm: FakeScheduler, flow_file: MakeFlow
) -> None:
    run = flow_file(STAGES).load().submit(run_dir="run", executor="slurm", follow=True)
    elsewhere = {"host": "node99", "boot": "", "pid": 1, "start": "1", "native_id": "99999"}
    assert run.store.acquire(run.run_id, elsewhere) is not None

    (note,) = run.status(as_dict=True)["notes"]

    assert "job 99999" in note
    assert f"reflow follow {run.run_id}" in note


def test_status_says_why_nothing_moves(slurm: FakeScheduler, flow_file: MakeFlow) -> None:
    run = flow_file(STAGES).load().submit(run_dir="run", executor="slurm", follow=True)
    slurm.fail("squeue", "slurm_load_jobs error: Unable to contact slurm controller", times=None)

    said = run.status(as_dict=True)["notes"]

    assert "the states of its jobs are not known: Slurm did not answer" in said[0]
    slurm.clear_faults()
    slurm.wait_until_idle()
    slurm.fail("sbatch", "sbatch: error: QOSMaxSubmitJobPerUserLimit", times=None)

    said = run.status(as_dict=True)["notes"]

    assert said == ["nothing more is submitted for now: sbatch: error: QOSMaxSubmitJobPerUserLimit"]


@pytest.mark.parametrize("where", ["/proc/nowhere/manifest.db", "{tmp}/nodes/manifest.db"])
def test_status_tells_that_dispatch_jobs_do_not_find_the_manifest(
    slurm: FakeScheduler, flow_file: MakeFlow, tmp_path: Path, where: str
) -> None:
    slurm.pause()
    run = flow_file(STAGES).load().submit(run_dir="run", executor="slurm")
    settings = read_settings(run.run_dir, run.run_id)
    elsewhere = where.replace("{tmp}", str(tmp_path))
    replace(settings, store=f"sqlite://{elsewhere}").write()
    slurm.unpause()
    until(settings.layout.dispatch_trouble.exists)

    (note,) = run.status(as_dict=True)["notes"]

    assert "could not use the manifest" in note or "waits for the database" in note
    assert elsewhere in note or run.run_id in note
    settings.write()
    until(lambda: run.state.final)
    assert run.state is RunState.SUCCESS
    # The word is withdrawn after the step that recorded the end.
    until(lambda: not settings.layout.dispatch_trouble.exists())


def plain_job(folder: Path) -> JobRequest:
    directory = folder / "by-hand"
    directory.mkdir()
    return JobRequest(
        token="by-hand", command=("true",), directory=directory, working_directory=folder
    )


def test_what_is_left_of_a_lost_array_is_cancelled_with_one_command(
    slurm: FakeScheduler, flow_file: MakeFlow
) -> None:
    flow = flow_file(STAGES.replace("did(word)", "did(word); wait_for('{here}/go')"))
    run = flow.load().submit(run_dir="run", executor="slurm", follow=True)
    until(lambda: run.status(as_dict=True) and flow.calls == {"a": 1, "b": 1})
    (array,) = {job.number for job in slurm.jobs() if job.name.startswith("each-")}

    slurm.vanish(str(array))

    until(lambda: run.status(as_dict=True)["run"]["status"] != "RUNNING")
    assert {cause for cause, _ in failed(run).values()} == {"LOST"}
    assert slurm.count("scancel") == 1


@pytest.mark.parametrize("lag", [1.0, 4.0])
def test_accounting_that_is_late_and_wrong_misleads_nobody(
    tmp_path: Path, flow_file: MakeFlow, monkeypatch: pytest.MonkeyPatch, lag: float
) -> None:
    monkeypatch.setenv("REFLOW_DISPATCH_GRACE_SECONDS", "60")
    flow = flow_file("""
    wf = Workflow("ends")


    @wf.job()
    def kinds() -> list[str]:
        return ["well", "exit", "well"]


    @wf.job(array=True)
    def end(kind: Annotated[str, Result(step="kinds")]) -> str:
        did(kind)
        if kind == "exit":
            os._exit(3)
        return kind
    """)
    with fake_of("slurm", tmp_path, accounting_lag=lag, min_job_age=0.5) as fake:
        fake.activate()
        run = flow.load().submit(run_dir="run", executor="slurm")
        until(lambda: run.status(as_dict=True)["run"]["status"] != "RUNNING")

    assert counts(run, "end") == {"SUCCESS": 2, "FAILED": 1}
    assert failed(run)["end", 1][0] == "EXIT_CODE"
    assert flow.calls == {"well": 2, "exit": 1}


def test_a_node_that_dies_and_whose_processes_live_on_gives_one_result(
    slurm: FakeScheduler, flow_file: MakeFlow
) -> None:
    flow = flow_file("""
    wf = Workflow("lost")


    @wf.job(options={"slurm": {"no-requeue": True}})
    def work() -> int:
        did("begun")
        wait_for("{here}/go")
        did("ended")
        return os.getpid()
    """)
    run = flow.load().submit(run_dir="run", executor="slurm")
    until(lambda: flow.calls["begun"] == 1)
    (job,) = [job for job in slurm.jobs() if job.name.startswith("work-")]

    slurm.lose_node(job.id, processes_survive=True)
    until(lambda: run.status(as_dict=True) and flow.calls["begun"] == 2)
    (flow.folder / "go").touch()

    until(lambda: run.state.final)
    assert run.state is RunState.SUCCESS
    (element,) = run.store.instances(run.run_id)
    assert (element.attempt, element.retries_used, element.node_losses) == (2, 0, 1)


def test_a_submission_that_slurm_puts_off_is_tried_again(
    slurm: FakeScheduler, flow_file: MakeFlow
) -> None:
    flow = flow_file(STAGES)
    slurm.fail("sbatch", "sbatch: error: Slurm temporarily unable to accept job", times=2)

    run = flow.load().submit(run_dir="run", executor="slurm")

    assert run.store.counts(run.run_id)["prepare"][TaskState.PENDING] == 1
    until(lambda: run.status(as_dict=True)["run"]["status"] != "RUNNING")
    assert run.state is RunState.SUCCESS
    assert flow.calls == {"a": 1, "b": 1}


BROKEN = """
from reflow.dispatch.ingest import Ingest


def collect(ingest):
    raise RuntimeError("no dispatcher gets any further")


Ingest.collect = collect
"""


def test_a_last_worker_that_cannot_dispatch_records_the_end_before_its_own_job_is_cancelled(
    slurm: FakeScheduler, flow_file: MakeFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REFLOW_DISPATCH_FOLLOW_UP", "false")
    flow = flow_file(STAGES)
    modules = flow.folder / "modules"
    modules.mkdir()
    (modules / "sitecustomize.py").write_text(BROKEN)
    executor = SlurmExecutor(setup=(f"export PYTHONPATH='{modules}'",))

    run = flow.load().submit(run_dir="run", executor=executor)
    until(lambda: run.state.final)

    assert run.state is RunState.FAILED
    assert "no dispatcher gets any further" in run.store.run(run.run_id).message
    slurm.wait_until_idle()


@pytest.mark.parametrize(
    ("memory", "watchdog", "dispatches"),
    [("100M", "true", False), ("1G", "true", True), ("100M", "false", True)],
)
def test_a_dispatch_step_is_taken_within_a_job_that_has_memory_for_it_or_where_nobody_else_would(
    slurm: FakeScheduler,
    flow_file: MakeFlow,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    memory: str,
    watchdog: str,
    dispatches: bool,
) -> None:
    monkeypatch.setenv("REFLOW_DISPATCH_FOLLOW_UP", "false")
    monkeypatch.setenv("REFLOW_DISPATCH_WATCHDOG", watchdog)
    flow = flow_file(STAGES.replace("@wf.job()", f'@wf.job(mem="{memory}")', 1))

    run = flow.load().submit(run_dir="run", executor=SlurmExecutor())

    first = next(job for job in slurm.jobs() if job.name.startswith("prepare-"))
    slurm.wait_for(first.id)
    log = tmp_path / "run" / ".reflow" / run.run_id / "dispatch.log"
    assert log.exists() is dispatches
    run.cancel()
