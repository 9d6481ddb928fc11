"""Jobs and whole workflows through reflow-lsf, on a fake LSF that really runs them."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from reflow.errors import (
    SchedulerUnavailableError,
    SubmissionRefusedError,
    SubmissionUncertainError,
)
from reflow.model.jobs import JobHandle
from reflow.model.resources import Resources
from reflow.model.states import FailureCause, JobState
from reflow.testing.fakes import FakeScheduler
from reflow_lsf.executor import LSFExecutor

from tests.e2e.backends.on_a_fake import MakeFlow, Shell, end_of, states
from tests.e2e.backends.on_a_fake import shell as shell
from tests.e2e.fixtures import flow_file as flow_file
from tests.e2e.fixtures import on_fakes
from tests.e2e.support import counts, until
from tests.fakes import fake_of

SLOW = """
wf = Workflow("slow")


@wf.job()
def slow() -> str:
    did("begun")
    wait_for("never")
    return "done"
"""


lsf = on_fakes("lsf")


@pytest.mark.parametrize("name", ["/".join(["long" * 20] * 4), "two\nlines", "plain"])
def test_jobs_are_told_where_they_were_submitted_where_lsf_can_hold_that(
    lsf: FakeScheduler, shell: Shell, tmp_path: Path, name: str
) -> None:
    folder = tmp_path / name
    folder.mkdir(parents=True)
    request = dataclasses.replace(
        shell('echo "$LS_SUBCWD" > told; pwd > worked'), working_directory=folder
    )
    executor = LSFExecutor()

    status = end_of(executor, executor.submit(request).job)

    assert status.state is JobState.COMPLETED
    assert (folder / "worked").read_text() == f"{folder}\n"
    assert (folder / "told").read_text() == (f"{folder}\n" if name == "plain" else "/\n")


def test_elements_are_told_their_positions_and_ids(
    lsf: FakeScheduler, shell: Shell, tmp_path: Path
) -> None:
    request = shell('echo "$REFLOW_NATIVE_ID" > got-$1', size=3, throttle=2)
    executor = LSFExecutor()

    handle = executor.submit(request).job
    until(lambda: all(state.over for state in states(executor, handle)))

    got = [(tmp_path / f"got-{position}").read_text().strip() for position in range(3)]
    assert got == [f"{handle.native_id}[{index}]" for index in (1, 2, 3)]


def test_work_that_was_killed_and_ends_as_it_likes_was_cancelled(
    lsf: FakeScheduler, shell: Shell, tmp_path: Path
) -> None:
    executor = LSFExecutor()
    text = "trap 'exit 1' INT TERM; : > began; while :; do sleep 0.05; done"
    handle = executor.submit(shell(text)).job
    until(lambda: (tmp_path / "began").exists())

    executor.cancel([handle])

    assert end_of(executor, handle).state is JobState.CANCELLED


def test_a_function_that_somebody_interrupts_was_cancelled(
    lsf: FakeScheduler, flow_file: MakeFlow
) -> None:
    flow = flow_file(SLOW)
    run = flow.load().submit(run_dir="run", executor="lsf")
    until(lambda: flow.calls["begun"])
    listed = subprocess.run(["bjobs", "-w", "-r"], capture_output=True, text=True, check=True)
    (native_id,) = re.findall(r"^(\d+) .* slow-", listed.stdout, re.MULTILINE)

    subprocess.run(["bkill", native_id], check=True)
    until(lambda: run.state.final)

    assert counts(run, "slow") == {"CANCELLED": 1}


def test_an_array_that_was_killed_as_a_whole_was_cancelled(
    lsf: FakeScheduler, shell: Shell, tmp_path: Path
) -> None:
    """No element waits: one that does is passed over by LSF, and goes on."""
    executor = LSFExecutor()
    handle = executor.submit(shell(": > began-$1; exec sleep 60", size=2)).job
    until(lambda: (tmp_path / "began-0").exists() and (tmp_path / "began-1").exists())

    executor.cancel([JobHandle(native_id=handle.native_id)])

    until(lambda: all(state.over for state in states(executor, handle)))
    assert set(states(executor, handle)) == {JobState.CANCELLED}


def test_of_an_array_what_waits_is_cancelled_too(
    lsf: FakeScheduler, shell: Shell, tmp_path: Path
) -> None:
    executor = LSFExecutor()
    handle = executor.submit(shell(": > began-$1; exec sleep 60", size=4, throttle=2)).job
    until(lambda: (tmp_path / "began-0").exists() and (tmp_path / "began-1").exists())

    executor.cancel([handle])

    until(lambda: all(state.over for state in states(executor, handle)))
    assert not (tmp_path / "began-2").exists()


def test_gpus_are_refused_where_bsub_would_pass_them_over(lsf: FakeScheduler, shell: Shell) -> None:
    with pytest.raises(SubmissionRefusedError, match="gpu_option"):
        LSFExecutor().submit(shell("true", resources=Resources(gpus=1)))


@pytest.mark.parametrize("fields", [{"mem": 9000 * 1024**2}, {"cpus": 12}])
def test_what_no_host_has_is_told(tmp_path: Path, shell: Shell, fields: dict[str, Any]) -> None:
    with fake_of("lsf", tmp_path, node_names=["vm", "vm2"]) as fake:
        fake.activate()
        executor = LSFExecutor()
        handle = executor.submit(shell("true", resources=Resources(**fields))).job

        until(lambda: executor.poll([handle])[0].impossible)

        (status,) = executor.poll([handle])
        assert status.state is JobState.QUEUED
        assert "no host has" in status.reason


GREEDY = """exec python3 -c 'x = bytearray(200 * 2**20); import time; time.sleep(60)'"""


@pytest.mark.parametrize("size", [None, 1])
def test_what_a_site_ends_over_its_memory(tmp_path: Path, shell: Shell, size: int | None) -> None:
    """OpenLava says nothing of it, neither in bjobs nor in bhist."""
    with fake_of("lsf", tmp_path, enforce_memory=True) as fake:
        fake.activate()
        (Path(fake.environment["LSF_ENVDIR"]) / "lsf.conf").write_text("LSB_MEMLIMIT_ENFORCE=y\n")
        executor = LSFExecutor()
        request = shell(GREEDY, size=size, resources=Resources(mem=100 * 1024**2))

        status = end_of(executor, executor.submit(request).job)

    assert (status.state, status.cause) == (JobState.FAILED, FailureCause.MEMORY)


def test_a_history_that_cannot_be_read_here_holds_up_nothing(tmp_path: Path, shell: Shell) -> None:
    with fake_of("lsf", tmp_path, readable_events=False) as fake:
        fake.activate()
        executor = LSFExecutor()
        handle = executor.submit(shell("exit 3")).job
        assert end_of(executor, handle).exit_code == 3

        fake.age_out()

        assert states(executor, handle) == [JobState.UNKNOWN]
        assert executor.find("convert-ab12-3") == []


def test_a_job_is_of_the_project_that_was_asked_for(
    lsf: FakeScheduler, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LSB_DEFAULTPROJECT", "everybody")
    executor = LSFExecutor()

    request = shell("true", resources=Resources(account="my 'own'"))
    handle = executor.submit(request).job
    other = executor.submit(shell("true", token="other-ab12-3")).job

    def project(job: JobHandle) -> str:
        said = subprocess.run(
            ["bjobs", "-UF", job.native_id], capture_output=True, text=True, check=True
        )
        (found,) = re.findall(r"Project <(.*?)>,", said.stdout)
        return str(found)

    assert [project(handle), project(other)] == ["my 'own'", "everybody"]


def test_every_second_element_of_a_large_array_is_cancelled(tmp_path: Path, shell: Shell) -> None:
    with fake_of("lsf", tmp_path) as fake:
        fake.activate()
        executor = LSFExecutor()
        later = timedelta(hours=1)
        handle = executor.submit(shell("true", size=600, begin_in=later)).job

        executor.cancel_positions(handle, list(range(0, 600, 2)))

        until(lambda: states(executor, handle).count(JobState.CANCELLED) == 300)
        assert states(executor, handle).count(JobState.QUEUED) == 300
        executor.cancel([handle])


def test_a_job_that_lsf_has_forgotten_is_in_its_history(lsf: FakeScheduler, shell: Shell) -> None:
    executor = LSFExecutor()
    handle = executor.submit(shell("exit 3")).job
    end_of(executor, handle)

    lsf.age_out()

    assert end_of(executor, handle).exit_code == 3
    assert [found.native_id for found in executor.find("convert-ab12-3")] == [handle.native_id]
    lsf.age_out(accounting=True)
    assert states(executor, handle) == [JobState.UNKNOWN]
    assert executor.find("convert-ab12-3") == []


def test_a_submission_whose_answer_was_lost_is_found(lsf: FakeScheduler, shell: Shell) -> None:
    executor = LSFExecutor()
    lsf.lose_next_answer("bsub")

    with pytest.raises((SubmissionUncertainError, SchedulerUnavailableError)):
        executor.submit(shell("true", size=3))

    (found,) = executor.find("convert-ab12-3")
    assert found.native_id.isdigit()


def test_commands_that_never_return_are_given_up(lsf: FakeScheduler, shell: Shell) -> None:
    handle = LSFExecutor().submit(shell("true")).job
    lsf.go_down()
    executor = LSFExecutor(timeout=0.5, max_array_size=10)

    with pytest.raises(SchedulerUnavailableError, match=r"did not answer within 0\.5 s"):
        executor.poll([handle])
    executor.wait(0)  # until the next step
    with pytest.raises(SubmissionUncertainError):
        executor.submit(shell("true", token="other-ab12-3"))
    lsf.come_up()


def test_limits_come_from_bparams(lsf: FakeScheduler) -> None:
    assert LSFExecutor().limits().max_array_size == 1000


def test_jobs_inherit_little(
    lsf: FakeScheduler, shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "told")
    monkeypatch.setenv("BSUB_QUIET", "1")
    monkeypatch.setenv("LANG", "de_DE.UTF-8")
    executor = LSFExecutor()

    handle = executor.submit(shell("env > got", environment={"GIVEN": "yes"})).job
    end_of(executor, handle)

    got = (tmp_path / "got").read_text()
    assert "SECRET" not in got
    assert "GIVEN=yes" in got
    assert "LANG=de_DE.UTF-8" in got
    assert "LC_ALL" not in got
    assert sys.platform != "linux" or "PATH=" in got
