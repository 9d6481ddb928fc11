"""Elements that share jobs, on a scheduler whose jobs die in every way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from reflow.dispatch.jobs import advice
from reflow.dispatch.jobs.packing import FEWEST_JOBS, LONG, MOST_JOBS
from reflow.rundir.claims import current_claim
from reflow.rundir.layout import WaveLayout
from reflow.rundir.results import ResultReader
from reflow.rundir.run_settings import read_settings
from reflow.rundir.wave_files import WaveSpec
from reflow.runs.create import Wanted
from reflow.workflow import preview

from tests.e2e.support import counts, failed, until
from tests.faults.scripted_scheduler import Folder, JobFault, ScriptedExecutor, Trouble
from tests.faults.test_batch import FLOW, Batch, Flows
from tests.faults.test_batch import quick as quick

ROOT = Path(__file__).resolve().parents[2]
SHARED = """
    import ctypes, os, signal, time

    wf = Workflow("shared")

    @wf.job()
    def items(size: int = 12) -> list[int]:
        return list(range(size))

    @wf.job(array=True, per_job={per_job}, at_once={at_once}, mem="512M", time="00:00:20")
    def each(x: Annotated[int, Result(step="items")]) -> int:
        did(f"each-{{x}}")
        {body}
        return x * 10

    @wf.job()
    def total(xs: Annotated[list[int], Result(step="each")]) -> int:
        return sum(xs)
"""

GATE = 'wait_for("{here}/go")'


def shared(
    scheduler: Folder,
    flow_file: Flows,
    body: str = "pass",
    per_job: int | str = 4,
    at_once: int = 1,
) -> Batch:
    return Batch(scheduler, flow_file(SHARED.format(per_job=per_job, at_once=at_once, body=body)))


def once(size: int = 12) -> dict[str, int]:
    return {f"each-{x}": 1 for x in range(size)}


def wave_of(batch: Batch, run: Any) -> WaveLayout:
    number = int(Path(batch.jobs("each")[0]["directory"]).name)
    return read_settings(run.run_dir, run.run_id).layout.wave(number)


def causes(run: Any) -> dict[int | None, str | None]:
    return {index: cause for (task, index), (cause, _) in failed(run).items() if task == "each"}


def test_elements_that_share_jobs_run_once_each_and_the_run_leaves_nothing(
    scheduler: Folder, flow_file: Flows, quick: None
) -> None:
    batch = shared(scheduler, flow_file)
    run = batch.start()
    until(lambda: run.state != "RUNNING")
    assert run.state == "SUCCESS", failed(run)
    assert run.result("total") == sum(range(12)) * 10
    assert batch.flow.calls == once()
    assert [job["size"] for job in batch.jobs("each")] == [3]
    until(lambda: not scheduler.in_queue())
    assert list(read_settings(run.run_dir, run.run_id).layout.pool_log("").parent.iterdir()) == []


def test_short_elements_take_two_files_per_block_and_no_more(
    scheduler: Folder, flow_file: Flows, quick: None
) -> None:
    batch = shared(scheduler, flow_file, per_job=200)
    run = batch.start(size=600)
    until(lambda: run.state != "RUNNING", 60)
    assert run.state == "SUCCESS", failed(run)
    wave = wave_of(batch, run)
    pack = WaveSpec.read(wave).pack
    assert pack is not None
    files = [path for path in wave.directory.rglob("*") if path.is_file()]
    # Beside them a few for each job, and for the wave.
    assert len(files) <= 2 * pack.blocks(600) + 4 * pack.hosts + 10 < 100


def test_each_element_has_an_empty_folder_for_temporary_files_that_is_removed_in_the_end(
    scheduler: Folder, flow_file: Flows, quick: None
) -> None:
    body = (
        'import tempfile; did(os.environ["TMPDIR"]);'
        ' assert tempfile.gettempdir() == os.environ["TMPDIR"];'
        ' assert not os.listdir(os.environ["TMPDIR"]);'
        ' tempfile.mkdtemp(); os.environ["TMPDIR"] = "/tmp";'
        " x == 5 and os.kill(os.getpid(), signal.SIGKILL)"
    )
    batch = shared(scheduler, flow_file, body, at_once=2)
    run = batch.follow()
    assert causes(run) == {5: "SIGNAL"}
    folders = [Path(word) for word in batch.flow.calls if word.startswith("/")]
    assert len(folders) >= 2
    until(lambda: not scheduler.in_queue())
    assert [folder for folder in folders if folder.parent.exists()] == []


LOADING = """
    import sys

    if "reflow/execution/pool/worker" in sys.argv[0]:
        Path("{here}/loading").write_text(str(os.getpid()))
        wait_for("{here}/loaded")

    wf = Workflow("shared")
"""


@pytest.mark.parametrize("told", ["host", "worker"])
def test_an_element_whose_flow_is_still_loaded_when_its_job_ends_is_not_to_blame(
    scheduler: Folder, flow_file: Flows, quick: None, told: str
) -> None:
    flow = SHARED.format(per_job=4, at_once=1, body="pass")
    batch = Batch(scheduler, flow_file(flow.replace('\n    wf = Workflow("shared")\n', LOADING)))
    scheduler.arrange(JobFault("impossible", "each", times=100))
    run = batch.start()
    until(lambda: bool(batch.jobs("each")))
    wave = wave_of(batch, run)
    first = host(wave, run, 0, "70_0", "0")
    loading = batch.flow.folder / "loading"
    until(lambda: loading.exists() and loading.read_text() != "")
    if told == "host":
        first.terminate()
    else:
        # As a scheduler does that signals every process of a job, before the host has its own.
        os.kill(int(loading.read_text()), signal.SIGTERM)
        until(lambda: recorded(wave) == [0])
        (batch.flow.folder / "loaded").touch()
    assert first.wait(60) == 0
    results = {record.position: record for record in ResultReader(wave).new()}
    assert sorted(results) == ([0] if told == "host" else list(range(12)))
    assert [position for position, each in results.items() if each.interrupted] == [0]
    assert batch.flow.calls.get("each-0") is None


def test_an_element_that_kills_its_process_costs_itself(
    scheduler: Folder, flow_file: Flows, quick: None
) -> None:
    batch = shared(scheduler, flow_file, "x == 5 and os.kill(os.getpid(), signal.SIGKILL)")
    run = batch.follow()
    assert causes(run) == {5: "SIGNAL"}
    assert counts(run, "each") == {"SUCCESS": 11, "FAILED": 1}
    assert len(batch.jobs("each")) == 1


def test_an_element_that_exits_costs_itself(
    scheduler: Folder, flow_file: Flows, quick: None
) -> None:
    batch = shared(scheduler, flow_file, "x == 5 and os._exit(3)", at_once=2)
    run = batch.follow()
    assert causes(run) == {5: "EXIT_CODE"}
    assert counts(run, "each") == {"SUCCESS": 11, "FAILED": 1}


@pytest.mark.parametrize(
    "body",
    ["x == 5 and time.sleep(60)", "while x == 5:\n            ctypes.CDLL(None).sleep(60)"],
    ids=["asleep", "deaf"],
)
def test_an_element_over_its_time_ends_alone(
    scheduler: Folder, flow_file: Flows, quick: None, body: str
) -> None:
    batch = Batch(
        scheduler,
        flow_file(SHARED.format(per_job=6, at_once=2, body=body).replace("00:00:20", "00:00:01")),
    )
    run = batch.follow()
    assert causes(run) == {5: "WALLTIME"}
    assert counts(run, "each") == {"SUCCESS": 11, "FAILED": 1}


def test_an_element_over_its_memory_ends_alone(
    scheduler: Folder, flow_file: Flows, quick: None
) -> None:
    body = "x == 5 and (held := bytearray(os.urandom(1024)) * 2**20) and time.sleep(15)"
    batch = shared(scheduler, flow_file, body, per_job=6, at_once=2)
    run = batch.follow()
    assert causes(run) == {5: "MEMORY"}
    assert counts(run, "each") == {"SUCCESS": 11, "FAILED": 1}


@pytest.mark.parametrize("fault", ["node", "preempted", "memory", "walltime"])
def test_no_element_fails_for_the_end_of_a_job_that_it_had_no_part_in(
    scheduler: Folder, flow_file: Flows, quick: None, fault: str
) -> None:
    batch = shared(scheduler, flow_file)
    scheduler.arrange(JobFault(fault, "each", position=1))
    run = batch.follow()
    assert run.state == "SUCCESS", failed(run)
    assert run.result("total") == sum(range(12)) * 10


def test_jobs_that_all_end_without_work_fail_their_elements_with_the_cause(
    scheduler: Folder, flow_file: Flows, quick: None
) -> None:
    batch = shared(scheduler, flow_file)
    scheduler.arrange(JobFault("memory", "each", times=3))
    run = batch.follow()
    assert set(causes(run).values()) == {"MEMORY"}
    assert len(causes(run)) == 12


def test_jobs_that_end_well_without_work_are_not_submitted_for_ever(
    scheduler: Folder, flow_file: Flows, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REFLOW_DISPATCH_GRACE_SECONDS", "0")
    batch = shared(scheduler, flow_file)
    scheduler.arrange(JobFault("complete", "each", times=1000))
    run = batch.follow()
    assert run.state == "FAILED"
    assert len(causes(run)) == 12
    assert 2 < len(batch.jobs("each")) <= 12


def test_a_job_that_never_starts_holds_nothing_up(
    scheduler: Folder, flow_file: Flows, quick: None
) -> None:
    batch = shared(scheduler, flow_file)
    scheduler.arrange(JobFault("impossible", "each", position=2))
    run = batch.start()
    until(lambda: run.state != "RUNNING")
    assert run.state == "SUCCESS", failed(run)
    assert batch.flow.calls == once()
    # And it is not left in the queue.
    until(lambda: not scheduler.in_queue())


def test_a_scheduler_that_was_away_when_all_was_done_is_asked_again_to_cancel_what_waits(
    scheduler: Folder, flow_file: Flows, quick: None
) -> None:
    batch = shared(scheduler, flow_file)
    scheduler.arrange(JobFault("impossible", "each", position=2), Trouble("cancel", "away"))
    run = batch.start()
    until(lambda: run.state != "RUNNING")
    assert run.state == "SUCCESS", failed(run)
    until(lambda: not scheduler.in_queue())


@pytest.mark.skipif(sys.platform != "linux", reason="processes are found by /proc")
def test_an_element_is_not_ended_for_the_time_in_which_its_job_was_suspended(
    scheduler: Folder, flow_file: Flows, quick: None
) -> None:
    source = SHARED.format(per_job=12, at_once=2, body="x < 2 and " + GATE)
    batch = Batch(scheduler, flow_file(source.replace("00:00:20", "00:00:04")))
    run = batch.start()
    until(lambda: len(batch.flow.calls) == 2)
    wave = wave_of(batch, run)
    host = current_claim(wave, 0)
    assert host is not None
    workers = map(int, Path(f"/proc/{host.pid}/task/{host.pid}/children").read_text().split())
    job = [host.pid, *workers]
    for pid in job:
        os.kill(pid, signal.SIGSTOP)
    time.sleep(6)
    for pid in job:
        os.kill(pid, signal.SIGCONT)
    # Longer than the host takes to look.
    time.sleep(1)
    (batch.flow.folder / "go").touch()
    until(lambda: run.state != "RUNNING")
    assert run.state == "SUCCESS", failed(run)
    assert batch.flow.calls == once()


HOST = """
import subprocess, sys

from reflow.execution.pool import host
from tests.faults import scripted_scheduler as scheduler

scheduler.set_up_registry()
# The dispatch steps that it starts know the scheduler, too.
subprocess.Popen = scheduler.ForkedPopen
sys.exit(host.main(sys.argv[1:]))
"""


def host(wave: WaveLayout, run: Any, element: int, native_id: str, incarnation: str) -> Any:
    """Start a host as the scheduler would."""
    words = [str(run.run_dir), run.run_id, wave.directory.name, str(element)]
    given = {"REFLOW_NATIVE_ID": native_id, "REFLOW_INCARNATION": incarnation}
    given["TMPDIR"] = str(Path(run.run_dir).parent)
    return subprocess.Popen(
        [sys.executable, "-c", HOST, *words], cwd=ROOT, env={**os.environ, **given}
    )


@pytest.fixture
def held(scheduler: Folder, flow_file: Flows, quick: None) -> tuple[Batch, Any, WaveLayout]:
    """A run whose wave of shared jobs is submitted, and runs nothing."""
    batch = shared(scheduler, flow_file, GATE)
    scheduler.arrange(JobFault("impossible", "each", times=100))
    run = batch.start()
    until(lambda: bool(batch.jobs("each")))
    return batch, run, wave_of(batch, run)


def recorded(wave: WaveLayout) -> list[int]:
    return sorted(record.position for record in ResultReader(wave).new())


def test_two_copies_of_each_job_run_every_element_once(
    held: tuple[Batch, Any, WaveLayout],
) -> None:
    batch, run, wave = held
    (batch.flow.folder / "go").touch()
    copies = [host(wave, run, each, f"{job}_{each}", "0") for job in (70, 71) for each in range(3)]
    assert [copy.wait(60) for copy in copies] == [0] * 6
    assert recorded(wave) == list(range(12))
    assert batch.flow.calls == once()


def test_a_job_that_is_started_again_takes_over_its_own_work(
    held: tuple[Batch, Any, WaveLayout],
) -> None:
    batch, run, wave = held
    first = host(wave, run, 0, "70_0", "0")
    until(lambda: batch.flow.calls.get("each-0") == 1)
    first.kill()
    first.wait()
    (batch.flow.folder / "go").touch()
    again = host(wave, run, 0, "70_0", "1")
    assert again.wait(60) == 0
    assert recorded(wave) == list(range(12))
    assert batch.flow.calls == {**once(), "each-0": 2}


def test_a_job_whose_later_self_runs_ends(held: tuple[Batch, Any, WaveLayout]) -> None:
    _, run, wave = held
    first = host(wave, run, 0, "70_0", "0")
    until(lambda: len(list(wave.hosts.glob("*.slots"))) == 1)
    again = host(wave, run, 0, "70_0", "1")
    try:
        assert first.wait(30) == 0
        assert again.poll() is None
    finally:
        again.kill()
        again.wait()


def test_a_job_that_starts_after_all_is_done_runs_nothing(
    held: tuple[Batch, Any, WaveLayout],
) -> None:
    batch, run, wave = held
    (batch.flow.folder / "go").touch()
    assert host(wave, run, 0, "70_0", "0").wait(60) == 0
    assert host(wave, run, 1, "70_1", "0").wait(60) == 0
    assert batch.flow.calls == once()


def test_one_job_does_the_work_of_those_that_never_start(
    held: tuple[Batch, Any, WaveLayout],
) -> None:
    batch, run, wave = held
    (batch.flow.folder / "go").touch()
    assert host(wave, run, 1, "70_1", "0").wait(60) == 0
    until(lambda: run.state != "RUNNING")
    assert run.state == "SUCCESS", failed(run)
    until(lambda: not batch.scheduler.in_queue())


def test_what_a_job_is_at_when_it_is_told_to_end_runs_again_uncounted(
    scheduler: Folder, flow_file: Flows, quick: None
) -> None:
    batch = shared(scheduler, flow_file, GATE, per_job=12, at_once=2)
    scheduler.arrange(JobFault("warn", "each"))
    run = batch.start()
    until(lambda: len(batch.flow.calls) == 2)
    (scheduler.path / "begun").touch()
    until(lambda: len(batch.jobs("each")) == 2)
    (batch.flow.folder / "go").touch()
    until(lambda: run.state != "RUNNING")
    assert run.state == "SUCCESS", failed(run)
    assert batch.flow.calls == {**once(), "each-0": 2, "each-1": 2}


@pytest.mark.parametrize("name", [None, "each"])
def test_cancelling_ends_shared_jobs(
    scheduler: Folder, flow_file: Flows, quick: None, name: str | None
) -> None:
    batch = shared(scheduler, flow_file, GATE, at_once=2)
    run = batch.start()
    until(lambda: len(batch.flow.calls) == 6)
    run.cancel(*([] if name is None else [name]))
    until(lambda: run.state != "RUNNING")
    assert counts(run, "each") == {"CANCELLED": 12}
    until(lambda: not scheduler.in_queue())
    assert run.retry() > 0
    (batch.flow.folder / "go").touch()
    until(lambda: run.state != "RUNNING")
    assert run.state == "SUCCESS", failed(run)


def test_a_submission_without_an_answer_runs_every_element_once(
    scheduler: Folder, flow_file: Flows, quick: None
) -> None:
    batch = shared(scheduler, flow_file)
    scheduler.arrange(Trouble("submit", "swallow", "each"), Trouble("find", "blind", "each"))
    run = batch.follow()
    assert run.state == "SUCCESS", failed(run)
    assert batch.flow.calls == once()


def test_no_more_places_in_the_queue_are_taken_than_there_are(
    scheduler: Folder, flow_file: Flows, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REFLOW_MAX_SUBMIT_JOBS", "10")
    batch = shared(scheduler, flow_file, per_job=200)
    run = batch.start(size=1000)
    until(lambda: run.state != "RUNNING", 60)
    assert run.state == "SUCCESS", failed(run)
    assert len(batch.jobs("each")) <= 5
    assert int(scheduler.peak.read_text()) <= 10


def test_status_tells_jobs_from_the_elements_that_share_them(
    scheduler: Folder, flow_file: Flows, quick: None
) -> None:
    batch = shared(scheduler, flow_file, GATE, at_once=2)
    run = batch.start()
    until(lambda: len(batch.flow.calls) == 6)
    status = run.status(as_dict=True)["tasks"]
    assert status["each"]["jobs"] == {"running": 3, "queued": 0, "at_once": 6}
    assert status["items"]["jobs"] is None
    (batch.flow.folder / "go").touch()
    until(lambda: run.state != "RUNNING")
    assert run.status(as_dict=True)["tasks"]["each"]["jobs"] is None


def test_users_are_told_what_it_would_save_if_elements_shared_jobs(
    scheduler: Folder, flow_file: Flows, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(advice, "MANY", 3)
    batch = Batch(scheduler, flow_file(FLOW))
    (note,) = batch.follow(size=12).status(as_dict=True)["notes"]
    assert note.startswith("each: 12 jobs of ")
    assert note.endswith(f's each; per_job="auto" would make it {FEWEST_JOBS} jobs')

    chosen = ScriptedExecutor(folder=str(scheduler.path))
    foreseen = preview(
        batch.flow.load(), Wanted(parameters={"size": 12}, force_tasks="each"), chosen
    )
    assert [task.advice for task in foreseen.tasks] == ["", note, ""]
    again = batch.start(force_tasks="each", size=12)
    assert again.status(as_dict=True)["notes"] == [note]
    until(lambda: again.state != "RUNNING")


def test_a_preview_says_how_many_jobs_elements_share(
    scheduler: Folder, flow_file: Flows, quick: None
) -> None:
    batch = shared(scheduler, flow_file, at_once=2)
    batch.follow()
    chosen = ScriptedExecutor(folder=str(scheduler.path))
    foreseen = preview(batch.flow.load(), Wanted(force_tasks="each"), chosen)
    ((title, _),) = foreseen.scripts
    assert title == "each: 12 elements in 3 jobs, 2 at once in each"


def test_what_waits_behind_long_elements_of_unknown_duration_gets_jobs_of_its_own(
    scheduler: Folder, flow_file: Flows, quick: None
) -> None:
    batch = shared(scheduler, flow_file, f"x == 0 and {GATE}", per_job="'auto'")
    scheduler.arrange(JobFault("impossible", "each", times=MOST_JOBS))
    run = batch.start(size=MOST_JOBS + 6)
    until(lambda: bool(batch.jobs("each")))
    wave = wave_of(batch, run)
    spec = WaveSpec.read(wave)
    assert spec.pack is not None
    assert spec.pack.long_after == LONG
    replace(spec, pack=replace(spec.pack, long_after=0.5)).write(wave)
    first = host(wave, run, 0, "70_0", "0")
    until(lambda: len(batch.jobs("each")) == 2, 60)
    others = {f"each-{x}": 1 for x in range(MOST_JOBS + 6)}
    until(lambda: batch.flow.calls == others, 60)
    (batch.flow.folder / "go").touch()
    assert first.wait(60) == 0
    until(lambda: run.state != "RUNNING", 60)
    assert run.state == "SUCCESS", failed(run)
    assert batch.flow.calls == others
    assert [job["size"] for job in batch.jobs("each")] == [MOST_JOBS, MOST_JOBS + 5]
    until(lambda: not scheduler.in_queue())
