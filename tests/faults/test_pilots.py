"""Runs whose elements all run in pilots, on a scheduler that fails in every way."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from reflow.model.pilots import Pilots
from reflow.rundir.layout import RunLayout
from reflow.rundir.run_settings import read_settings
from reflow.rundir.wave_files import WaveSpec

from tests.e2e.support import counts, failed, until
from tests.faults.scripted_scheduler import Folder, JobFault, Trouble
from tests.faults.test_batch import Batch, Flows
from tests.faults.test_batch import quick as quick

ROOT = Path(__file__).resolve().parents[2]
CHAIN = """
    import ctypes, os, signal, time

    wf = Workflow("piloted")

    @wf.job()
    def items(size: int = 12) -> list[int]:
        did("items")
        return list(range(size))

    @wf.job(array=True{options})
    def each(x: Annotated[int, Result(step="items")]) -> int:
        did(f"each-{{x}}")
        {body}
        return x * 10

    @wf.job(array=True)
    def next(y: Annotated[int, Result(step="each")]) -> int:
        did(f"next-{{y}}")
        return y + 1

    @wf.job()
    def total(ys: Annotated[list[int], Result(step="next")]) -> int:
        did("total")
        return sum(ys)
"""
GATE = 'wait_for("{here}/go")'
TOTAL = sum(x * 10 + 1 for x in range(12))
TWO = Pilots(jobs=2, cpus=2)


def piloted(scheduler: Folder, flow_file: Flows, body: str = "pass", options: str = "") -> Batch:
    return Batch(scheduler, flow_file(CHAIN.format(body=body, options=options)))


def once(size: int = 12) -> dict[str, int]:
    words = [word for x in range(size) for word in (f"each-{x}", f"next-{10 * x}")]
    return dict.fromkeys(["items", *words, "total"], 1)


def layout_of(run: Any) -> RunLayout:
    return read_settings(run.run_dir, run.run_id).layout


def over(run: Any, seconds: float = 60.0) -> None:
    until(lambda: run.state != "RUNNING", seconds)


def nothing_queued(batch: Batch) -> None:
    """A run that has ended leaves nothing in the queue."""
    until(lambda: not batch.scheduler.in_queue())


def commands(scheduler: Folder) -> Counter[str]:
    """How often each command of the scheduler was run."""
    return Counter(line.split()[0] for line in scheduler.calls.read_text().splitlines())


def own_jobs(batch: Batch) -> list[str]:
    """The tasks that had jobs of their own."""
    return [name for name in ("items", "each", "next", "total") if batch.jobs(name)]


PILOT = """
import subprocess, sys

from reflow.execution.pool import pilot
from tests.faults import scripted_scheduler as scheduler

scheduler.set_up_registry()
scheduler.hurry_pilots()
subprocess.Popen = scheduler.ForkedPopen
sys.exit(pilot.main(sys.argv[1:]))
"""


def pilot(run: Any, element: int, native_id: str, incarnation: str) -> subprocess.Popen[bytes]:
    """Start a pilot as the scheduler would."""
    (submission,) = (layout_of(run).root / "pilots").iterdir()
    words = [str(run.run_dir), run.run_id, submission.name, str(element)]
    given = {"REFLOW_NATIVE_ID": native_id, "REFLOW_INCARNATION": incarnation}
    given["TMPDIR"] = str(Path(run.run_dir).parent)
    return subprocess.Popen(
        [sys.executable, "-c", PILOT, *words], cwd=ROOT, env={**os.environ, **given}
    )


def causes(run: Any, task: str = "each") -> dict[int | None, str | None]:
    return {index: cause for (name, index), (cause, _) in failed(run).items() if name == task}


def test_a_run_of_several_stages_runs_in_its_pilots_alone_and_leaves_nothing(
    scheduler: Folder, flow_file: Flows, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REFLOW_DISPATCH_WATCHDOG_MINUTES", "10")
    batch = piloted(scheduler, flow_file, GATE)
    run = batch.start(pilots=TWO)
    until(lambda: len(batch.flow.calls) == 5)
    before = commands(scheduler)
    (batch.flow.folder / "go").touch()
    over(run)
    assert run.state == "SUCCESS", failed(run)
    assert run.result("total") == TOTAL
    assert batch.flow.calls == once()
    nothing_queued(batch)
    assert [job["size"] for job in batch.jobs("pilots")] == [2]
    assert not own_jobs(batch)
    # Between stages nothing is submitted and nothing is asked; in the end all is cancelled.
    assert set(commands(scheduler) - before) <= {"cancel"}, commands(scheduler) - before


def test_the_files_of_a_run_are_at_most_two_per_block_beside_the_logs(
    scheduler: Folder, flow_file: Flows, quick: None
) -> None:
    batch = piloted(scheduler, flow_file)
    run = batch.start(pilots=TWO, size=1000)
    over(run, 120)
    assert run.state == "SUCCESS", failed(run)
    layout = layout_of(run)
    waves = [layout.wave(int(folder.name)) for folder in layout.waves.iterdir()]
    specs = [WaveSpec.read(wave) for wave in waves]
    files = [path for path in layout.root.rglob("*") if path.is_file()]
    # Beside them a few for each pilot, wave and dispatch job.
    jobs = 2 + len(list((layout.root / "dispatch").iterdir()))
    assert len(files) <= 2 * sum(spec.claims for spec in specs) + 12 * len(waves) + 5 * jobs + 20
    assert sum(spec.claims for spec in specs) < 400


# -- pilots that start late or never -------------------------------------------------------
def test_one_pilot_does_the_work_of_another_that_never_starts(
    scheduler: Folder, flow_file: Flows, quick: None
) -> None:
    batch = piloted(scheduler, flow_file)
    scheduler.arrange(JobFault("impossible", "pilots", position=1))
    run = batch.start(pilots=TWO)
    over(run)
    assert run.state == "SUCCESS", failed(run)
    assert batch.flow.calls == once()
    nothing_queued(batch)


def test_elements_whose_pilots_can_never_start_fail_after_a_while(
    scheduler: Folder, flow_file: Flows, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REFLOW_DISPATCH_IMPOSSIBLE_MINUTES", "0.02")
    batch = piloted(scheduler, flow_file)
    scheduler.arrange(JobFault("impossible", "pilots", times=100))
    run = batch.start(pilots=TWO)
    over(run)
    assert run.state == "FAILED"
    assert "no machine is large enough" in failed(run)["items", None][1]
    nothing_queued(batch)


def test_pilots_that_start_after_all_is_done_run_nothing(
    scheduler: Folder, flow_file: Flows, quick: None
) -> None:
    batch = piloted(scheduler, flow_file)
    run = batch.start(pilots=TWO)
    over(run)
    assert pilot(run, 2, "70_2", "0").wait(60) == 0
    assert batch.flow.calls == once()
    assert not list(layout_of(run).hosts.glob("70_2.*"))


def test_pilots_whose_submission_had_no_answer_run_every_element_once(
    scheduler: Folder, flow_file: Flows, quick: None
) -> None:
    batch = piloted(scheduler, flow_file)
    scheduler.arrange(Trouble("submit", "swallow", "pilots"), Trouble("find", "blind", "pilots"))
    run = batch.start(pilots=TWO)
    over(run)
    assert run.state == "SUCCESS", failed(run)
    assert batch.flow.calls == once()
    nothing_queued(batch)


@pytest.mark.parametrize("what", ["defer", "lose"])
def test_pilots_that_the_scheduler_did_not_take_are_submitted_again(
    scheduler: Folder, flow_file: Flows, quick: None, what: str
) -> None:
    batch = piloted(scheduler, flow_file)
    scheduler.arrange(Trouble("submit", what, "pilots", times=2))
    run = batch.start(pilots=TWO)
    over(run)
    assert run.state == "SUCCESS", failed(run)
    assert batch.flow.calls == once()
    nothing_queued(batch)


def test_pilots_that_the_scheduler_refuses_fail_the_elements_with_its_words(
    scheduler: Folder, flow_file: Flows, quick: None
) -> None:
    batch = piloted(scheduler, flow_file)
    scheduler.arrange(Trouble("submit", "refuse", "pilots", times=9))
    run = batch.start(pilots=TWO)
    over(run)
    assert run.state == "FAILED"
    assert failed(run)["items", None] == ("SUBMIT", "no such queue: nowhere")
    nothing_queued(batch)


@pytest.mark.parametrize("most", [2, 4, 5])
def test_fewer_pilots_than_asked_for_run_all_where_the_queue_has_few_places(
    scheduler: Folder, flow_file: Flows, quick: None, most: int
) -> None:
    batch = piloted(scheduler, flow_file)
    run = batch.start({"max_submit_jobs": most}, pilots=Pilots(jobs=4, cpus=1))
    over(run)
    assert run.state == "SUCCESS", failed(run)
    assert batch.flow.calls == once()
    assert json.loads(scheduler.peak.read_text()) <= most
    nothing_queued(batch)


def test_pilots_that_may_run_one_element_at_a_time_are_not_replaced_while_they_wait(
    scheduler: Folder, flow_file: Flows, quick: None
) -> None:
    batch = piloted(scheduler, flow_file, "time.sleep(0.5)", ", array_parallelism=1")
    run = batch.start(pilots=Pilots(jobs=2, cpus=2, idle="1s"))
    over(run)
    assert run.state == "SUCCESS", failed(run)
    assert batch.flow.calls == once()
    assert len(list((layout_of(run).root / "pilots").iterdir())) <= 3
    nothing_queued(batch)


# -- elements ------------------------------------------------------------------------------
def test_an_element_that_kills_its_process_costs_itself(
    scheduler: Folder, flow_file: Flows, quick: None
) -> None:
    batch = piloted(scheduler, flow_file, "x == 5 and os.kill(os.getpid(), signal.SIGKILL)")
    run = batch.start(pilots=TWO)
    over(run)
    assert causes(run) == {5: "SIGNAL"}
    assert counts(run, "each") == {"SUCCESS": 11, "FAILED": 1}
    assert counts(run, "next") == {"SUCCESS": 11, "SKIPPED": 1}
    assert len(batch.jobs("pilots")) == 1
    nothing_queued(batch)


def test_an_element_over_its_time_ends_alone(
    scheduler: Folder, flow_file: Flows, quick: None
) -> None:
    options = ', time="00:00:02"'
    batch = piloted(scheduler, flow_file, "x == 5 and time.sleep(60)", options)
    run = batch.start(pilots=TWO)
    over(run)
    assert causes(run) == {5: "WALLTIME"}
    assert counts(run, "each") == {"SUCCESS": 11, "FAILED": 1}


def test_an_element_over_its_memory_ends_alone(
    scheduler: Folder, flow_file: Flows, quick: None
) -> None:
    body = "x == 5 and (held := bytearray(os.urandom(1024)) * 2**20) and time.sleep(15)"
    batch = piloted(scheduler, flow_file, body, ', mem="512M"')
    run = batch.start(pilots=Pilots(jobs=2, cpus=2, mem="2G"))
    over(run)
    assert causes(run) == {5: "MEMORY"}
    assert counts(run, "each") == {"SUCCESS": 11, "FAILED": 1}


RUNNING = """
        here = Path("{here}") / "running"
        here.mkdir(exist_ok=True)
        (here / str(x)).touch()
        did(f"beside-{len(list(here.iterdir()))}")
        time.sleep(0.2)
        (here / str(x)).unlink()
"""


def beside(batch: Batch) -> int:
    """How many elements ran at the same time at most."""
    return max(int(word[7:]) for word in batch.flow.calls if word.startswith("beside-"))


@pytest.mark.parametrize(
    ("options", "pilots", "most"),
    [
        (", array_parallelism=3", TWO, 3),
        (", array_parallelism=1", TWO, 1),
        (", cpus=3", Pilots(jobs=1, cpus=4), 1),
        (", cpus=2", Pilots(jobs=1, cpus=4), 2),
        (', mem="400M"', Pilots(jobs=1, cpus=4, mem="1G"), 1),
        (', mem="200M"', Pilots(jobs=1, cpus=4, mem="1G"), 3),
        (", gpus=1", Pilots(jobs=1, cpus=4, gpus=2), 2),
        ("", Pilots(jobs=1, cpus=3), 3),
    ],
)
def test_no_more_elements_run_at_once_than_there_is_room_for(
    scheduler: Folder, flow_file: Flows, quick: None, options: str, pilots: Pilots, most: int
) -> None:
    batch = piloted(scheduler, flow_file, RUNNING, options)
    run = batch.start(pilots=pilots)
    over(run)
    assert run.state == "SUCCESS", failed(run)
    assert not own_jobs(batch)
    assert beside(batch) <= most


def test_each_element_has_its_own_devices(
    scheduler: Folder, flow_file: Flows, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = """
        devices = os.environ["CUDA_VISIBLE_DEVICES"]
        did(f"device-{devices}")
        with open(f"{here}/device-{devices}", "x"):
            time.sleep(0.1)
        os.unlink(f"{here}/device-{devices}")
"""
    batch = piloted(scheduler, flow_file, body, ", gpus=1")
    scheduler.set_variable("CUDA_VISIBLE_DEVICES", "3,5")
    run = batch.start(pilots=Pilots(jobs=1, cpus=4, gpus=2))
    over(run)
    assert run.state == "SUCCESS", failed(run)
    devices = {word for word in batch.flow.calls if word.startswith("device-")}
    assert devices == {"device-3", "device-5"}


# -- what does not fit ---------------------------------------------------------------------
@pytest.mark.parametrize(
    "options",
    [
        ", cpus=3",
        ', mem="9G"',
        ', time="02:00:00"',
        ', queue="other"',
        ", nodes=2",
        ", gpus=1",
        ', options={"scripted": {"qos": "high"}}',
    ],
)
def test_what_does_not_fit_a_pilot_runs_in_jobs_of_its_own_and_the_rest_in_pilots(
    scheduler: Folder, flow_file: Flows, quick: None, options: str
) -> None:
    batch = piloted(scheduler, flow_file, options=options)
    run = batch.start(pilots=Pilots(jobs=1, cpus=2, mem="1G", time="01:00:00"), size=3)
    over(run)
    assert run.state == "SUCCESS", failed(run)
    assert batch.flow.calls == once(3)
    assert [job["size"] for job in batch.jobs("each")] == [3]
    assert own_jobs(batch) == ["each"]
    nothing_queued(batch)


# -- several runs --------------------------------------------------------------------------
def test_pilots_of_two_runs_never_touch_each_others_work(
    scheduler: Folder, flow_file: Flows, quick: None
) -> None:
    batch = piloted(scheduler, flow_file)
    runs = [batch.start(pilots=Pilots(jobs=1, cpus=2), force=True) for _ in range(2)]
    for run in runs:
        over(run)
        assert run.state == "SUCCESS", failed(run)
        claims = layout_of(run).waves.glob("*/claims/*/[0-9]*")
        holders = {json.loads(path.read_text())["native_id"] for path in claims}
        jobs = scheduler.submitted().items()
        assert holders == {
            native_id
            for native_id, job in jobs
            if run.run_id in job["directory"] and job["token"].startswith("pilots-")
        }
    assert batch.flow.calls == dict.fromkeys(once(), 2)
    nothing_queued(batch)
