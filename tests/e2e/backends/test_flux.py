"""Jobs and whole workflows through reflow-flux, on a fake Flux that really runs them."""

from __future__ import annotations

import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from reflow.errors import (
    SchedulerUnavailableError,
    SubmissionUncertainError,
)
from reflow.model.jobs import JobHandle
from reflow.model.resources import Resources
from reflow.model.states import FailureCause, JobState, RunState
from reflow.testing.fakes import FakeScheduler
from reflow_flux.executor import FluxExecutor

from tests.e2e.backends.on_a_fake import STAGES, MakeFlow, Shell, end_of, states
from tests.e2e.backends.on_a_fake import shell as shell
from tests.e2e.fixtures import flow_file as flow_file
from tests.e2e.fixtures import on_fakes
from tests.e2e.support import until
from tests.fakes import fake_of
from tests.unit.executors.batch.pond import ScriptedRunner

LIMITED = """
wf = Workflow("limited")


@wf.job()
def prepare() -> list[int]:
    return list(range(5))


@wf.job(array=True, array_parallelism=2)
def each(number: Annotated[int, Result(step="prepare")]) -> int:
    did("began")
    import time
    time.sleep(0.3)
    did("ended")
    return number
"""


flux = on_fakes("flux")


def test_no_more_elements_run_at_once_than_are_allowed(
    flux: FakeScheduler, flow_file: MakeFlow
) -> None:
    flow = flow_file(LIMITED)
    run = flow.load().submit(run_dir="run", executor="flux")

    until(lambda: run.state.final)

    running = most = 0
    for word in flow.journal.read_text().split():
        running += 1 if word == "began" else -1
        most = max(most, running)
    assert run.state is RunState.SUCCESS
    assert most <= 2


def test_elements_are_told_their_positions_and_ids(
    flux: FakeScheduler, shell: Shell, tmp_path: Path
) -> None:
    request = shell('echo "$REFLOW_NATIVE_ID" > got-$1', size=3)
    executor = FluxExecutor()

    handle = executor.submit(request).job
    until(lambda: all(state.over for state in states(executor, handle)))

    got = [(tmp_path / f"got-{position}").read_text().strip() for position in range(3)]
    assert states(executor, *(JobHandle(native_id=own) for own in got)) == [JobState.COMPLETED] * 3
    assert len(set(got)) == 3
    assert handle.native_id == "convert-ab12-3"


def test_a_job_knows_itself_by_the_id_of_its_handle(
    flux: FakeScheduler, shell: Shell, tmp_path: Path
) -> None:
    executor = FluxExecutor()

    handle = executor.submit(shell('echo "$REFLOW_NATIVE_ID" > got')).job
    end_of(executor, handle)

    assert (tmp_path / "got").read_text().strip() == handle.native_id


def test_a_job_has_nothing_to_read(flux: FakeScheduler, shell: Shell) -> None:
    # 1 is the end of the input, and more than 128 that none came in time.
    executor = FluxExecutor(setup=("read -t 20 line; [ $? = 1 ] || exit 7",))

    status = end_of(executor, executor.submit(shell("read line && exit 8; true")).job)

    assert status.state is JobState.COMPLETED


def test_a_request_that_can_never_be_met_failed_at_submission(
    flux: FakeScheduler, shell: Shell
) -> None:
    executor = FluxExecutor()

    status = end_of(executor, executor.submit(shell("true", resources=Resources(cpus=9999))).job)

    assert (status.state, status.cause) == (JobState.FAILED, FailureCause.SUBMIT)
    assert "unsatisfiable" in status.reason


def test_a_job_that_flux_has_purged_is_unknown(flux: FakeScheduler, shell: Shell) -> None:
    executor = FluxExecutor()
    plain = executor.submit(shell("exit 3")).job
    array = executor.submit(shell("exit 4", token="other-ab12-3", size=2)).job
    end_of(executor, plain)
    until(lambda: all(state.over for state in states(executor, array)))

    flux.age_out()

    assert set(states(executor, plain, array)) == {JobState.UNKNOWN}
    assert executor.find("convert-ab12-3") == []


def test_a_submission_that_was_cut_in_half_is_completed(
    flux: FakeScheduler, shell: Shell, tmp_path: Path
) -> None:
    executor = FluxExecutor()
    flux.do("cut_next_submission", after=2)
    request = shell(": > ran-$1-$$", size=5)
    with pytest.raises(SubmissionUncertainError):
        executor.submit(request)
    assert executor.find(request.token) == []

    handle = executor.submit(request).job

    until(lambda: all(state.over for state in states(executor, handle)))
    assert sorted(path.name[:5] for path in tmp_path.glob("ran-*")) == [
        f"ran-{position}" for position in range(5)
    ]
    assert [found.native_id for found in executor.find(request.token)] == [request.token]


def test_an_array_that_is_too_large_for_now_comes_through_bit_by_bit(
    tmp_path: Path, shell: Shell
) -> None:
    request = shell(": > ran-$1-$$", size=5)
    with fake_of("flux", tmp_path, max_active_jobs=2) as fake:
        fake.activate()
        executor = FluxExecutor()
        for _ in range(2):
            with pytest.raises(SubmissionUncertainError, match="max_submit_jobs"):
                executor.submit(request)
            fake.wait_until_idle()

        handle = executor.submit(request).job

        until(lambda: all(state.over for state in states(executor, handle)))
    assert sorted(path.name[:5] for path in tmp_path.glob("ran-*")) == [
        f"ran-{position}" for position in range(5)
    ]


def test_a_job_whose_node_was_lost_is_not_to_blame(
    flux: FakeScheduler, shell: Shell, tmp_path: Path
) -> None:
    executor = FluxExecutor()
    handle = executor.submit(shell(": > began; exec sleep 60")).job
    until(lambda: (tmp_path / "began").exists())

    flux.lose_node(handle.native_id)

    status = end_of(executor, handle)
    assert status.cause is FailureCause.NODE
    assert "node failure on node01" in status.reason


def test_a_run_in_a_folder_whose_name_is_no_text(
    flux: FakeScheduler, shell: Shell, tmp_path: Path
) -> None:
    executor = FluxExecutor()
    folder = tmp_path / os.fsdecode(b"a \xff {b}")
    folder.mkdir()
    request = replace(shell(": > ran"), directory=folder, working_directory=folder)

    assert end_of(executor, executor.submit(request).job).state is JobState.COMPLETED
    assert (folder / "ran").exists()


def test_a_submission_whose_answer_was_lost_is_found(flux: FakeScheduler, shell: Shell) -> None:
    executor = FluxExecutor()
    flux.lose_next_answer("flux")

    with pytest.raises((SubmissionUncertainError, SchedulerUnavailableError)):
        executor.submit(shell("true", size=3))

    assert [found.native_id for found in executor.find("convert-ab12-3")] == ["convert-ab12-3"]


def test_an_instance_that_is_down_says_nothing(flux: FakeScheduler, shell: Shell) -> None:
    executor = FluxExecutor()
    handle = executor.submit(shell("true")).job
    flux.go_down()

    with pytest.raises(SchedulerUnavailableError):
        executor.poll([handle])
    with pytest.raises(SchedulerUnavailableError):
        executor.submit(shell("true", token="other-ab12-3"))
    flux.come_up()


def test_without_an_instance_no_run_is_written_down(
    flux: FakeScheduler, flow_file: MakeFlow, tmp_path: Path
) -> None:
    workflow = flow_file(STAGES).load()
    flux.go_down()

    with pytest.raises(SchedulerUnavailableError, match="no Flux instance"):
        workflow.submit(run_dir="run", executor="flux")

    assert not (tmp_path / "run").exists()
    flux.come_up()


def test_jobs_inherit_little(
    flux: FakeScheduler, shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "told")
    executor = FluxExecutor()

    handle = executor.submit(shell("env > got", environment={"GIVEN": "yes"})).job
    end_of(executor, handle)

    got = (tmp_path / "got").read_text()
    assert "SECRET" not in got
    assert "GIVEN=yes" in got
    assert "PATH=" in got


@pytest.mark.parametrize(
    "name",
    ["{a}", "x{cc} %d \\n", "{{id}}", "a 'b' \"c\" $HOME é", os.fsdecode(b"{\xff\xe9\x7f %s")],
)
def test_braces_in_a_path_are_kept_from_flux(shell: Shell, tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    executor, runner = FluxExecutor(shell="/bin/echo -n"), ScriptedRunner([(0, "f1\n", "")])
    executor.runner = runner  # type: ignore[assignment]

    executor.submit(replace(shell("true"), directory=tmp_path / name))

    argv = list(runner.argvs[0])
    command = argv[argv.index("--env=USER") + 1 :]
    assert not any("{" in word or "}" in word for word in command)
    # What is no UTF-8 cannot be told to Flux.
    assert all(word.encode() for word in command)
    shown = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout
    assert shown == os.fsencode(tmp_path / name / "job.sh")
