"""Runs whose jobs have a PATH that does not lead to the scheduler, on fakes that run jobs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from reflow.executors.contract import Executor
from reflow.model.states import RunState
from reflow.plugins.registry import registry
from reflow.rundir.run_settings import read_settings
from reflow.testing.fakes import FakeScheduler

from tests.e2e.fixtures import on_fakes
from tests.e2e.support import FlowFile, fake_scheduler, until

MakeFlow = Callable[..., FlowFile]

STAGES = """
wf = Workflow("stages")


@wf.job()
def first() -> int:
    return 1


@wf.job()
def second(number: Annotated[int, Result(step="first")]) -> int:
    return number + 1
"""


cluster = on_fakes("slurm", "sge", "pbs", "lsf", "flux")


@pytest.fixture
def executor(cluster: FakeScheduler, tmp_path: Path) -> Executor:
    """The executor of a cluster whose jobs do not find its commands, nor a real scheduler's."""
    folder = tmp_path / "commands"
    folder.mkdir()
    for command in Path("/usr/bin").iterdir():
        if not (cluster.bin / command.name).exists():
            (folder / command.name).symlink_to(command)
    return registry().make_executor(cluster.name, {"setup": [f"export PATH={folder}"]})


def test_commands_that_only_the_submitters_path_leads_to_are_found_by_jobs(
    cluster: FakeScheduler, executor: Executor, flow_file: MakeFlow
) -> None:
    flow = flow_file(STAGES)

    run = flow.load().submit(run_dir="run", executor=executor)

    until(lambda: run.state.final)
    assert run.state is RunState.SUCCESS
    cluster.wait_until_idle()


def test_status_says_that_dispatch_jobs_do_not_find_the_commands(
    cluster: FakeScheduler, executor: Executor, flow_file: MakeFlow
) -> None:
    if cluster.name == "sge":
        pytest.skip("execd tells jobs where its commands are")
    flow = flow_file(STAGES)
    cluster.pause()
    run = flow.load().submit(run_dir="run", executor=executor)
    settings = read_settings(run.run_dir, run.run_id)
    replace(settings, command_path="").write()

    cluster.unpause()

    until(settings.layout.dispatch_trouble.exists)
    (note,) = run.status(as_dict=True)["notes"]
    assert "could not use the scheduler" in note
    assert "cannot be run here" in note
    until(lambda: run.status(as_dict=True)["run"]["status"] == "SUCCESS")


@pytest.mark.parametrize("name", ["slurm", "sge", "pbs", "lsf", "flux"])
def test_submit_fails_where_the_submit_command_is_missing(
    name: str,
    flow_file: MakeFlow,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    command = {"slurm": "sbatch", "sge": "qsub", "pbs": "qsub", "lsf": "bsub", "flux": "flux"}[name]
    with fake_scheduler(name, tmp_path, monkeypatch):
        monkeypatch.setenv(f"REFLOW_EXECUTOR_{name.upper()}_{command.upper()}", "/no/such/command")
        workflow = flow_file(STAGES).load()

        with pytest.raises(SystemExit) as ending:
            workflow.cli(["submit", "--executor", name, "--run-dir", "run"])

    assert ending.value.code == 2
    assert "/no/such/command" in capsys.readouterr().err
    assert [run.state for run in workflow.store.list_runs()] in ([], [RunState.FAILED])
