"""Schedulers whose commands hang: no command of reflow's waits for more than one of theirs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from reflow.dispatch.lease import holder_lives
from reflow.model.states import RunState
from reflow.testing.fakes import FakeScheduler

from tests.e2e.fixtures import flow_file, on_fakes
from tests.e2e.support import FlowFile, until

__all__ = ["flow_file"]

MakeFlow = Callable[..., FlowFile]

THREE_ARRAYS = """
wf = Workflow("three")


@wf.job()
def words() -> list[str]:
    return ["a", "b"]


@wf.job(array=True)
def first(word: Annotated[str, Result(step="words")]) -> str:
    did(f"first-{word}")
    wait_for("{here}/go")
    return word


@wf.job(array=True)
def second(word: Annotated[str, Result(step="words")]) -> str:
    did(f"second-{word}")
    wait_for("{here}/go")
    return word


@wf.job(array=True)
def third(word: Annotated[str, Result(step="words")]) -> str:
    did(f"third-{word}")
    wait_for("{here}/go")
    return word
"""


class Commands:
    """The record of the commands that a run's processes have run."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read = 0

    def timed_out(self) -> int:
        """Return how many commands were given up since the last call."""
        lines = self._path.read_text().splitlines() if self._path.exists() else []
        new, self._read = lines[self._read :], len(lines)
        return sum(json.loads(line)["exit_code"] is None for line in new)


cluster = on_fakes("slurm", "pbs")


@pytest.fixture
def commands(cluster: FakeScheduler, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Commands:
    config = tmp_path / "config.toml"
    record = tmp_path / "commands.jsonl"
    config.write_text(
        # Follow-ups would run commands of their own meanwhile.
        "[dispatch]\nfollow_up = false\n"
        f'[executor.{cluster.name}]\ntimeout = 3.0\ncommand_record = "{record}"\n'
    )
    monkeypatch.setenv("REFLOW_CONFIG", str(config))
    return Commands(record)


def test_whoever_looks_at_a_run_cancels_or_retries_it_waits_for_one_command_only(
    cluster: FakeScheduler, commands: Commands, flow_file: MakeFlow
) -> None:
    flow = flow_file(THREE_ARRAYS)
    run = flow.load().submit(run_dir="run", executor=cluster.name)
    until(lambda: len(flow.calls) == 6 and not holder_lives(run.store, run.run_id))
    assert commands.timed_out() == 0
    cluster.hang("*", times=None)

    run.status(as_dict=True)
    assert commands.timed_out() == 1

    run.cancel()
    assert commands.timed_out() == 1
    assert run.state is RunState.CANCELLED

    run.retry()
    assert commands.timed_out() == 1

    cluster.clear_faults()
    (flow.folder / "go").touch()
    assert run.wait(60) is RunState.SUCCESS
