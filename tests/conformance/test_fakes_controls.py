"""What a test can do to a fake scheduler, the same for each of them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from reflow.testing.fakes import FakeError, FakeScheduler
from reflow.testing.fakes.emulator import Call, Command, Emulator, Refusal, Reply
from reflow.testing.fakes.model import Job, Launch, Request, Run, Task, Why

from tests.fakes import fake_of

TAKES_ANYBODY: dict[str, dict[str, Any]] = {
    "lsf": {"refuse_root": False},
    "pbs": {"refuse_root": False},
}
SUBMIT: dict[str, list[str]] = {
    "flux": ["flux", "submit", "--output=out.txt", "sh", "job.sh"],
    "lsf": ["bsub", "-r", "-o", "out.txt", "sh job.sh"],
    "pbs": ["qsub", "job.sh"],
    "sge": ["qsub", "-terse", "-cwd", "-r", "y", "job.sh"],
    "slurm": ["sbatch", "--parsable", "--requeue", "--output=out.txt", "job.sh"],
}
QUERY = {
    "flux": "flux",
    "lsf": "bjobs",
    "pbs": "qstat",
    "sge": "qstat",
    "slurm": "squeue",
}


@dataclass
class Site:
    """A fake and a folder to submit from."""

    fake: FakeScheduler
    folder: Path

    def run(self, *command: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """Run a command of the fake."""
        return subprocess.run(
            command,
            env=self.fake.environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def try_to_submit(self, script: str = "true") -> subprocess.CompletedProcess[str]:
        """Submit a script."""
        (self.folder / "job.sh").write_text(f"#!/bin/sh\ncd {self.folder}\n{script}\n")
        return self.run(*SUBMIT[self.fake.name])

    def submit(self, script: str = "true") -> str:
        """Submit a script that is taken; the job's id."""
        done = self.try_to_submit(script)
        assert done.returncode == 0, done.stderr
        return self.fake.jobs()[-1].id


@pytest.fixture(params=sorted(SUBMIT))
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    """Each fake in turn."""
    with fake_of(request.param, tmp_path, **TAKES_ANYBODY.get(request.param, {})) as fake:
        yield Site(fake, tmp_path)


@pytest.fixture
def slurm(tmp_path: Path) -> Iterator[Site]:
    """The fake Slurm."""
    with fake_of("slurm", tmp_path) as fake:
        yield Site(fake, tmp_path)


def is_alive(pid: int) -> bool:
    """Whether a process runs."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_nothing_is_left_when_it_is_closed(tmp_path: Path) -> None:
    with fake_of("slurm", tmp_path) as fake:
        site = Site(fake, tmp_path)
        job = site.submit("setsid sleep 300 & echo $! > child; exec sleep 300")
        fake.wait_for(job, "running")
        while not (tmp_path / "child").exists() or not (tmp_path / "child").read_text():
            pass
        pids = [fake.job(job).pid, int((tmp_path / "child").read_text())]
        assert all(pid is not None and is_alive(pid) for pid in pids)
        folder = fake.bin.parent
    assert not any(pid is not None and is_alive(pid) for pid in pids)
    assert not folder.exists()


def test_a_submission_whose_answer_is_lost_was_made_all_the_same(site: Site) -> None:
    site.fake.lose_next_answer(SUBMIT[site.fake.name][0])
    done = site.try_to_submit()
    assert done.returncode != 0
    assert done.stderr
    assert len(site.fake.jobs()) == 1
    site.fake.lose_next_answer(SUBMIT[site.fake.name][0], silently=True)
    done = site.try_to_submit()
    assert done.returncode == -9
    assert done.stdout == done.stderr == ""
    assert len(site.fake.jobs()) == 2


def test_commands_fail_on_demand_and_are_then_not_carried_out(site: Site) -> None:
    command = SUBMIT[site.fake.name][0]
    site.fake.fail(command, "no route to host", 17, times=2)
    for _ in range(2):
        done = site.try_to_submit()
        assert (done.returncode, done.stderr) == (17, "no route to host\n")
    assert site.try_to_submit().returncode == 0
    assert len(site.fake.jobs()) == 1


def test_only_calls_with_a_word_among_their_arguments_fail(slurm: Site) -> None:
    slurm.fake.fail("squeue", "bad", word="7")
    assert slurm.run("squeue").returncode == 0
    assert slurm.run("squeue", "-j", "7").stderr == "bad\n"


def test_commands_hang_and_are_slow_on_demand(site: Site) -> None:
    command = QUERY[site.fake.name]
    words = [command, "jobs"] if command == "flux" else [command]
    site.fake.hang(command)
    with pytest.raises(subprocess.TimeoutExpired):
        # Time enough to begin hanging: what is ended before leaves that to the next.
        subprocess.run(
            words, env=site.fake.environment, stdout=subprocess.DEVNULL, timeout=2, check=False
        )
    site.fake.slow(command, 1.0, times=1)
    site.run(*words)
    site.run(*words)
    hung, slow, quick = (call for call in site.fake.calls if call.name == command)
    assert hung.code is None
    assert slow.seconds >= 1.0 > quick.seconds


def test_a_scheduler_that_is_down_takes_nothing_and_jobs_go_on(site: Site) -> None:
    job = site.submit("while ! [ -e go ]; do sleep 0.01; done")
    site.fake.wait_for(job, "running")
    site.fake.go_down()
    try:
        patience = 1 if site.fake.name == "lsf" else 60
        assert site.run(*SUBMIT[site.fake.name], timeout=patience).returncode != 0
    except subprocess.TimeoutExpired:
        assert site.fake.name == "lsf"
    (site.folder / "go").touch()
    site.fake.come_up()
    assert site.fake.wait_for(job)[0].runs == 1
    assert len(site.fake.jobs()) == 1


def test_calls_are_counted(site: Site) -> None:
    for _ in range(3):
        site.submit()
    command = SUBMIT[site.fake.name][0]
    assert site.fake.count(command) == site.fake.count() == 3
    site.fake.forget_calls()
    assert site.fake.count() == 0


def test_killing_a_job_from_outside(site: Site) -> None:
    job = site.submit("exec sleep 300")
    site.fake.wait_for(job, "running")
    site.fake.kill(job)
    found = site.fake.wait_for(job)[0]
    assert (found.why, found.signal) == ("exited", 9) or found.code == 137


def test_a_pause_keeps_jobs_in_the_queue(site: Site) -> None:
    site.fake.pause()
    job = site.submit()
    assert site.fake.job(job).phase == "pending"
    site.fake.unpause()
    assert site.fake.wait_for(job)[0].code == 0


def test_a_job_that_vanishes_is_as_if_it_had_never_been(site: Site) -> None:
    job = site.submit("exec sleep 300")
    pid = site.fake.wait_for(job, "running")[0].pid
    assert pid is not None
    site.fake.vanish(job)
    assert site.fake.jobs() == []
    while is_alive(pid):
        pass


@pytest.mark.parametrize("name", ["lsf", "pbs", "sge", "slurm"])
def test_a_job_that_is_put_back_runs_again(name: str, tmp_path: Path) -> None:
    with fake_of(name, tmp_path, **TAKES_ANYBODY.get(name, {})) as fake:
        site = Site(fake, tmp_path)
        job = site.submit("echo >> times; [ $(wc -l < times) = 2 ] || exec sleep 300")
        fake.wait_for(job, "running")
        while not (tmp_path / "times").exists():
            pass
        fake.requeue(job)
        fake.advance(600)
        assert fake.wait_for(job)[0].runs == 2


def test_a_second_run_can_be_told_from_the_first(slurm: Site) -> None:
    job = slurm.submit(
        "echo ${SLURM_RESTART_COUNT:-0} >> times; [ $(wc -l < times) = 2 ] || exec sleep 300"
    )
    slurm.fake.wait_for(job, "running")
    while not (slurm.folder / "times").exists():
        pass
    slurm.fake.preempt(job)
    slurm.fake.advance(600)
    slurm.fake.wait_for(job)
    assert (slurm.folder / "times").read_text() == "0\n1\n"


def test_too_much_memory_is_an_outcome(slurm: Site) -> None:
    job = slurm.submit("exec sleep 300")
    slurm.fake.wait_for(job, "running")
    slurm.fake.exceed_memory(job)
    assert slurm.fake.wait_for(job)[0].why == "memory"
    assert slurm.run("sacct", "-X", "-n", "-P", "-o", "state").stdout == "OUT_OF_MEMORY\n"


@pytest.fixture
def large_process() -> Iterator[None]:
    """What the tests before may leave behind: a process that holds more than a job may."""
    held = bytearray(300 << 20)
    yield
    held.clear()


@pytest.mark.usefixtures("large_process")
def test_memory_that_nobody_saw_come_and_go_was_too_much_all_the_same(slurm: Site) -> None:
    greedy = f"until [ -e go ]; do sleep 0.01; done; {sys.executable} -SEc 'bytearray(150 << 20)'"
    slurm.run("sbatch", "--mem=100", "--wrap", f"{greedy}; touch went")
    job = slurm.fake.jobs()[0].id
    slurm.fake.wait_for(job, "running")

    slurm.fake.go_down()  # nobody looks; a kernel confines all the same
    (slurm.folder / "go").touch()
    while not (slurm.folder / "went").exists():
        time.sleep(0.01)
    slurm.fake.come_up()

    assert slurm.fake.wait_for(job)[0].why == "memory"


def test_a_lost_node_may_leave_processes_alive(slurm: Site) -> None:
    slurm.run("sbatch", "--no-requeue", "--wrap", "exec sleep 300")
    job = slurm.fake.jobs()[0].id
    pid = slurm.fake.wait_for(job, "running")[0].pid
    assert pid is not None
    slurm.fake.lose_node(job, processes_survive=True)
    assert slurm.fake.wait_for(job)[0].why == "node"
    assert is_alive(pid)


def test_time_passes_on_demand(slurm: Site) -> None:
    slurm.run("sbatch", "--time=10", "--wrap", "exec sleep 300")
    slurm.run("sbatch", "--begin=now+1hour", "--wrap", "true")
    slurm.fake.wait_for("1", "running")
    slurm.fake.advance(601 + 30)
    assert slurm.fake.wait_for("1")[0].why == "walltime"
    assert slurm.fake.job("2").phase == "pending"
    slurm.fake.advance(3000)
    assert slurm.fake.wait_for("2")[0].code == 0


def test_finished_jobs_are_forgotten(slurm: Site) -> None:
    job = slurm.submit()
    slurm.fake.wait_for(job)
    assert slurm.run("scontrol", "show", "job", job).returncode == 0
    slurm.fake.age_out()
    assert slurm.run("scontrol", "show", "job", job).returncode == 1
    assert slurm.run("sacct", "-X", "-n", "-P", "-o", "state").stdout == "COMPLETED\n"
    slurm.fake.age_out(accounting=True)
    assert slurm.run("sacct", "-X", "-n", "-P", "-o", "state").stdout == ""


def test_a_control_for_a_job_that_is_not_there_says_so(slurm: Site) -> None:
    with pytest.raises(FakeError, match="no job '77'"):
        slurm.fake.kill("77")


def test_an_unknown_fake_and_an_unknown_setting_are_named(tmp_path: Path) -> None:
    with pytest.raises(FakeError, match="'loadleveler' names no fake: say module:Class"):
        FakeScheduler("loadleveler", tmp_path)
    with pytest.raises(FakeError, match="nodess"), fake_of("slurm", tmp_path, nodess=3):
        pass


def test_a_process_can_be_put_on_the_fake_as_a_whole(tmp_path: Path) -> None:
    before = dict(os.environ)
    with fake_of("slurm", tmp_path) as fake:
        fake.activate()
        done = subprocess.run(["squeue"], capture_output=True, timeout=60, check=False)
        assert done.returncode == 0
    assert dict(os.environ) == before


@dataclass(kw_only=True)
class ScriptJob(Job):
    """A job of the emulator below."""

    script: Path


class HomemadeEmulator(Emulator):
    """The least an emulator must have: a scheduler of one command."""

    @property
    def commands(self) -> dict[str, Command]:
        """`enqueue SCRIPT` and `explode`."""
        return {"enqueue": self._enqueue, "explode": self._explode}

    def _enqueue(self, call: Call) -> Reply:
        if not call.arguments:
            raise Refusal("enqueue: what?", 2)
        job = ScriptJob(
            number=self.next_number(),
            name=call.arguments[0],
            user=call.user,
            submitted=self.engine.now(),
            request=Request(),
            script=call.directory / call.arguments[0],
        )
        self.engine.submit(job)
        return Reply(f"{job.number}\n")

    def _explode(self, call: Call) -> Reply:
        raise RuntimeError("a defect of the emulator")

    def tasks_of(self, reference: str) -> list[Task]:
        """The only task of a job."""
        job = self.engine.jobs.get(int(reference))
        return [] if job is None else job.present

    def native_id(self, task: Task) -> str:
        """Its number."""
        return str(task.job.number)

    def answer_when_down(self, call: Call) -> Reply:
        """Say so."""
        return Reply(stderr="closed\n", code=1)

    def lost_answer(self, call: Call) -> Reply:
        """Say that it is not known."""
        return Reply(stderr="timed out\n", code=1)

    def launch(self, task: Task, run: Run) -> Launch:
        """The script as it stands."""
        assert isinstance(task.job, ScriptJob)
        script = task.job.script
        return Launch(
            argv=("/bin/sh", str(script)),
            environment={"PATH": os.defpath},
            directory=script.parent,
            stdout=script.with_suffix(".out"),
        )

    def launch_failed(self, task: Task, run: Run, error: OSError) -> None:
        """Over, with exit code 1."""
        run.status = 1 << 8
        run.ended = self.engine.now()
        self.engine.settle(task, Why.EXITED)


def test_an_emulator_of_ones_own(tmp_path: Path) -> None:
    with FakeScheduler(f"{__name__}:HomemadeEmulator", tmp_path) as fake:
        site = Site(fake, tmp_path)
        (tmp_path / "job.sh").write_text("echo hello; exit 3")
        assert site.run("enqueue", "job.sh").stdout == "1\n"
        assert fake.wait_for("1")[0].code == 3
        assert (tmp_path / "job.out").read_text() == "hello\n"
        refused = site.run("enqueue")
        assert (refused.returncode, refused.stderr) == (2, "enqueue: what?\n")


def test_a_defect_of_an_emulator_is_told_and_does_not_end_it(tmp_path: Path) -> None:
    with FakeScheduler(f"{__name__}:HomemadeEmulator", tmp_path) as fake:
        site = Site(fake, tmp_path)
        done = site.run("explode")
        assert done.returncode == 70
        assert "a defect of the emulator" in done.stderr
        assert site.run("enqueue").returncode == 2


# -- fakes with a defect ------------------------------------------------------------------------
LEAKY = """
from tests.fakes.slurm.emulator import SlurmEmulator


class LeakyEmulator(SlurmEmulator):
    @property
    def commands(self):
        return {**super().commands, "squeue": self._listed}

    def _listed(self, call):
        return {}["no such key"]

    def run_ended(self, task, run):
        return {}["no such end"]
"""


@pytest.fixture
def leaky(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeScheduler]:
    """A fake whose author made mistakes."""
    (tmp_path / "leaky_fake.py").write_text(LEAKY)
    monkeypatch.syspath_prepend(tmp_path)
    with FakeScheduler("leaky_fake:LeakyEmulator", tmp_path) as fake:
        yield fake


def test_a_command_that_fails_in_the_fake_shows_the_end_of_its_traceback(
    leaky: FakeScheduler,
) -> None:
    ended = subprocess.run(
        ["squeue"], env=leaky.environment, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 70
    assert "the fake squeue has a defect" in ended.stderr
    assert "in _listed" in ended.stderr
    assert "KeyError: 'no such key'" in ended.stderr


def test_a_fake_that_crashed_says_so_with_the_end_of_its_traceback(
    leaky: FakeScheduler, tmp_path: Path
) -> None:
    (tmp_path / "job.sh").write_text("#!/bin/sh\ntrue\n")
    subprocess.run(["sbatch", tmp_path / "job.sh"], env=leaky.environment, check=True)
    for _ in range(2):  # as it dies, and once it is dead
        with pytest.raises(FakeError, match="the fake has died") as raised:
            leaky.wait_until_idle()
        assert "in run_ended" in str(raised.value)
        assert "KeyError: 'no such end'" in str(raised.value)
        assert len(str(raised.value).splitlines()) <= 22


def test_a_fake_that_cannot_be_imported_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "absent_fake.py").write_text("import no_such_module\n")
    monkeypatch.syspath_prepend(tmp_path)
    with (
        pytest.raises(FakeError, match=r"did not start(.|\n)*no_such_module"),
        FakeScheduler("absent_fake:AbsentEmulator", tmp_path),
    ):
        pass
