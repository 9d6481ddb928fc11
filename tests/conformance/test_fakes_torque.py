"""The fake Torque does what Torque's sources and manual pages say; no recordings exist."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest
from reflow.testing.fakes import FakeScheduler

WAIT = "while ! [ -e go ]; do sleep 0.01; done"


class Site:
    """A fake Torque and a folder to submit from."""

    def __init__(self, fake: FakeScheduler, folder: Path) -> None:
        self.fake = fake
        self.folder = folder

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command of the fake."""
        return subprocess.run(
            command,
            env=self.fake.environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def submit(self, script: str = "true", *options: str) -> str:
        """Submit a script that is taken; its id."""
        done = self.try_to_submit(script, *options)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def try_to_submit(
        self, script: str = "true", *options: str
    ) -> subprocess.CompletedProcess[str]:
        """Submit a script."""
        (self.folder / "job.sh").write_text(f"#!/bin/sh\ncd $PBS_O_WORKDIR\n{script}\n")
        return self.run("qsub", *options, "job.sh")

    def shown(self, job: str, *options: str) -> dict[str, str]:
        """What `qstat -f` shows of a job."""
        text = self.run("qstat", "-f", *options, job).stdout
        return dict(re.findall(r"^    (\S+) = (.*)$", text, re.MULTILINE))


@pytest.fixture
def torque(tmp_path: Path) -> Iterator[Site]:
    """A fake Torque."""
    with FakeScheduler("torque", tmp_path) as fake:
        yield Site(fake, tmp_path)


def test_a_job_is_completed_for_a_while_and_then_forgotten(torque: Site) -> None:
    job = torque.submit("exit 3", "-l", "nodes=1:ppn=2,walltime=60,mem=100mb")
    assert job == "1.node01"
    torque.fake.wait_for(job)
    shown = torque.shown(job)
    assert (shown["job_state"], shown["exit_status"]) == ("C", "3")
    assert shown["Resource_List.walltime"] == "00:01:00"
    assert torque.run("qstat").stdout.splitlines()[2].split()[-2:] == ["C", "batch"]
    torque.fake.advance(301)
    done = torque.run("qstat", job)
    assert (done.returncode, done.stderr) == (153, "qstat: Unknown Job Id Error 1.node01\n")
    done = torque.run("qdel", job)
    assert (done.returncode, done.stderr) == (153, "qdel: nonexistent job id: 1.node01\n")


def test_an_array_and_its_elements(torque: Site) -> None:
    array = torque.submit('echo $PBS_ARRAYID $PBS_JOBNAME; [ "$PBS_ARRAYID" != 5 ]', "-t", "1-2,5")
    assert array == "1[].node01"
    torque.fake.wait_for(array)
    assert (torque.folder / "job.sh.o1-5").read_text() == "5 job.sh-5\n"
    assert torque.shown("1[5].node01")["exit_status"] == "1"
    whole = torque.shown(array)
    assert (whole["Job_Name"], whole["job_array_request"]) == ("job.sh", "1-2,5")
    assert "exit_status" not in whole
    expanded = torque.run("qstat", "-t", array).stdout
    assert re.findall(r"^1\S+", expanded, re.MULTILINE) == [
        "1[1].node01",
        "1[2].node01",
        "1[5].node01",
    ]
    assert torque.run("qstat", "-t", "7[]").returncode == 15082 & 255


def test_arrays_of_one_and_limits_on_how_many_run(torque: Site) -> None:
    array = torque.submit(WAIT, "-t", "0-4%2")
    torque.fake.wait_for("1[1].node01", "running")
    phases = [job.phase for job in torque.fake.jobs()]
    assert phases == ["running", "running", "pending", "pending", "pending"]
    (torque.folder / "go").touch()
    torque.fake.wait_for(array)
    assert torque.submit("true", "-t", "7") == "2[].node01"
    done = torque.try_to_submit("true", "-t", "3-1")
    assert (done.returncode, done.stderr) == (235, "qsub: submit error (Bad Job Array Request)\n")


def test_qselect_knows_no_arrays_and_elements_by_their_own_names(torque: Site) -> None:
    torque.fake.pause()
    torque.submit("true", "-N", "many", "-t", "0-1")
    torque.submit("true", "-N", "one")
    assert torque.run("qselect", "-N", "many").stdout == ""
    assert torque.run("qselect", "-N", "many-1").stdout == "1[1].node01\n"
    assert torque.run("qselect", "-N", "one").stdout == "2.node01\n"
    assert torque.run("qselect").stdout == "1[0].node01\n1[1].node01\n2.node01\n"


def test_everything_as_xml(torque: Site) -> None:
    job = torque.submit("true", "-N", "a<b", "-v", "X=1&2")
    torque.fake.wait_for(job)
    document = ElementTree.fromstring(torque.run("qstat", "-x", job).stdout)
    found = document.find("Job")
    assert found is not None
    assert found.findtext("Job_Id") == job
    assert found.findtext("Job_Name") == "a<b"
    assert found.findtext("exit_status") == "0"
    assert found.find("resources_used/walltime") is not None


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (("-J", "0-9"), 2, "[The -J option can only be used in conjunction with -P]"),
        (("-Y",), 2, "qsub: invalid option -- 'Y'"),
        (("-q", "nosuch"), 172, "qsub: submit error (Unknown queue MSG=cannot locate queue)"),
        (("-l", "select=1"), 189, "qsub: submit error (Unknown resource type  Resource_List.sele"),
        (("-l", "walltime=x"), 168, "qsub: submit error (Illegal attribute or resource value for"),
        (("-l", "nodes=9"), 190, "qsub: submit error (Job exceeds queue resource limits MSG=canno"),
        (("-W", "depend=never:1"), 2, "[qsub: illegal -W value]"),
    ],
)
def test_what_is_refused(torque: Site, options: tuple[str, ...], code: int, said: str) -> None:
    done = torque.try_to_submit("true", *options)
    assert done.returncode == code
    assert done.stderr.startswith(said)
    assert torque.fake.jobs() == []


def test_the_ends_of_jobs_let_others_start_or_delete_them(torque: Site) -> None:
    bad = torque.submit(f"{WAIT}; exit 1")
    wanted = torque.submit("true", "-W", f"depend=afterany:{bad}")
    unwanted = torque.submit("true", "-W", f"depend=afterok:{bad}")
    chained = torque.submit("true", "-W", f"depend=afterok:{unwanted}")
    assert torque.shown(wanted)["job_state"] == "H"
    (torque.folder / "go").touch()
    torque.fake.wait_for(wanted)
    assert torque.shown(wanted)["exit_status"] == "0"
    for gone in (unwanted, chained):
        torque.fake.wait_for(gone)
        assert torque.run("qstat", gone).returncode == 153
    # The one that is over already.
    late = torque.submit("true", "-W", f"depend=afternotok:{bad}")
    assert torque.fake.wait_for(late)[0].code == 0
    never = torque.submit("true", "-W", f"depend=afterok:{bad}")
    assert torque.shown(never)["Hold_Types"] == "s"


def test_a_job_that_waits_for_an_unknown_one_is_held_for_its_user(torque: Site) -> None:
    job = torque.submit("true", "-W", "depend=afterok:77.node01")
    shown = torque.shown(job)
    assert (shown["job_state"], shown["Hold_Types"]) == ("H", "u")
    torque.run("qrls", job)
    assert torque.fake.wait_for(job)[0].code == 0


def test_nobody_is_told_of_a_job_deleted_before_it_ran(torque: Site) -> None:
    first = torque.submit("true", "-h")
    second = torque.submit("true", "-W", f"depend=afterany:{first}")
    assert torque.run("qdel", first).returncode == 0
    shown = torque.shown(first)
    assert shown["job_state"] == "C"
    assert "exit_status" not in shown
    assert torque.shown(second)["job_state"] == "H"


def test_arrays_are_waited_for_by_counts(torque: Site) -> None:
    array = torque.submit(f"{WAIT}; [ $PBS_ARRAYID = 0 ]", "-t", "0-2%1")
    jobs = {
        kind: torque.submit("true", "-W", f"depend={kind}")
        for kind in (
            f"afteranyarray:{array}",
            "afterokarray:1[][1].node01",
            "afternotokarray:1[][2].node01",
            f"afterokarray:{array}",
        )
    }
    wrong = torque.submit("true", "-W", f"depend=afterok:{array}")
    (torque.folder / "go").touch()
    torque.fake.wait_for(array)
    *met, never = jobs.values()
    for job in met:
        torque.fake.wait_for(job)
    assert torque.shown(never)["job_state"] == "H"
    assert torque.shown(wrong)["Hold_Types"] == "u"


def test_deleted_elements_are_never_done(torque: Site) -> None:
    array = torque.submit(WAIT, "-t", "0-1%1")
    after = torque.submit("true", "-W", f"depend=afteranyarray:{array}")
    torque.fake.wait_for("1[0].node01", "running")
    assert torque.run("qdel", "1[1].node01").returncode == 0
    (torque.folder / "go").touch()
    torque.fake.wait_for(array)
    assert torque.shown(after)["job_state"] == "H"


def test_a_deleted_job_that_runs_gets_sigterm_and_then_sigkill(torque: Site) -> None:
    job = torque.submit("trap 'echo ended' TERM; touch ready; while :; do sleep 0.01; done")
    while not (torque.folder / "ready").exists():
        pass
    assert torque.run("qdel", job).returncode == 0
    torque.fake.advance(2)
    torque.fake.wait_for(job)
    assert torque.shown(job)["exit_status"] == "271"
    done = torque.run("qdel", job)
    assert done.returncode == 170
    assert done.stderr == (
        "qdel: Request invalid for state of job MSG=invalid state for job - COMPLETE 1.node01\n"
    )


def test_limits_have_numbers_of_their_own(torque: Site) -> None:
    torque.submit("sleep 300", "-l", "walltime=10")
    torque.submit("sleep 300", "-l", "mem=100mb")
    torque.fake.wait_for("1.node01", "running")
    torque.fake.wait_for("2.node01", "running")
    torque.fake.exceed_memory("2.node01")
    torque.fake.advance(11)
    torque.fake.advance(3)
    for job, status in (("1.node01", "-11"), ("2.node01", "-10")):
        torque.fake.wait_for(job)
        assert torque.shown(job)["exit_status"] == status


def test_a_qsub_that_hears_nothing_submits_again(torque: Site) -> None:
    torque.fake.pause()
    torque.fake.do("submit_twice")
    done = torque.try_to_submit()
    assert done.stdout == "Connection to server timed out. Trying again2.node01\n"
    assert len(torque.fake.jobs()) == 2


def test_the_variables_of_a_job(torque: Site) -> None:
    job = torque.submit("env > env.txt", "-l", "nodes=1:ppn=2", "-v", "FOO=bar", "-N", "named")
    torque.fake.wait_for(job)
    found = dict(
        line.split("=", 1) for line in (torque.folder / "env.txt").read_text().splitlines()
    )
    assert found["PBS_JOBID"] == job
    assert found["PBS_JOBNAME"] == "named"
    assert found["PBS_NUM_PPN"] == "2"
    assert found["PBS_O_WORKDIR"] == str(torque.folder)
    assert found["FOO"] == "bar"
    assert "PBS_ARRAYID" not in found
    assert "PBS_ARRAY_INDEX" not in found


def test_a_server_that_is_down(torque: Site) -> None:
    torque.fake.go_down()
    for command in ("qstat", "qdel 1", "qselect"):
        done = torque.run(*command.split())
        assert done.returncode == 111
        assert "cannot connect to server node01 (errno=111) Connection refused" in done.stderr
    assert torque.run("qstat", "--version").stderr.startswith("Version: 6.1")


def test_qselect_takes_only_the_states_it_knows(torque: Site) -> None:
    assert torque.run("qselect", "-s", "CEHQRTW").returncode == 0
    done = torque.run("qselect", "-s", "EHQRS")
    assert (done.returncode, done.stderr.splitlines()[0]) == (2, "qselect: illegal -s value")
