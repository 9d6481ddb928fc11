"""`tune`: what tasks should ask for."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import pytest
from reflow import Result, Workflow, load_config
from reflow.dispatch.lease import take
from reflow.model.attempts import Attempt
from reflow.model.outcomes import Outcome
from reflow.model.records import Instance, RunRecord, TaskRecord
from reflow.model.states import FailureCause, RunState, TaskState
from reflow.stores.contract import KeepsAttempts

from tests.unit.cli.conftest import CommandLine


def genome() -> Workflow:
    wf = Workflow("genome")

    @wf.job(mem="1G")
    def prepare() -> list[int]:
        return list(range(6))

    @wf.job(array=True, mem="4G", time="02:00:00")
    def align(x: Annotated[int, Result(step="prepare")]) -> int:
        return x

    return wf


@pytest.fixture
def config(home: Path) -> Path:
    path = home / ".config" / "reflow" / "config.toml"
    path.parent.mkdir(parents=True)
    path.write_text("# mine\n[defaults]\naccount = 'ab'\n")
    return path


@pytest.fixture
def history() -> str:
    """A run in which one element ran out of memory once; its id. Its folder is gone."""
    store, run_id = genome().store, "genome-20261129-0001"
    run = RunRecord(
        run_id=run_id,
        workflow="genome",
        state=RunState.SUCCESS,
        run_dir=Path("/nowhere"),
        created_at=datetime.now(UTC),
        parameters={},
    )
    sizes = {"prepare": 1, "align": 6}
    store.create_run(
        run,
        [
            TaskRecord(name=name, ordinal=place, array=size > 1, size=size)
            for place, (name, size) in enumerate(sizes.items())
        ],
    )
    elements = [(task, index) for task, size in sizes.items() for index in range(size)]
    lease = take(store, run_id)
    assert lease is not None
    with store.fenced(lease) as write:
        assert isinstance(write, KeepsAttempts)
        write.add_instances([Instance(task=task, index=i, attempt=1) for task, i in elements])
        write.record_outcomes([ended(task, index) for task, index in elements])
        lost = ended("align", 5, TaskState.FAILED, FailureCause.MEMORY)
        write.add_attempts([Attempt(outcome=lost, wave=None, mem_scale=0.01)])
    return run_id


def ended(
    task: str,
    index: int,
    state: TaskState = TaskState.SUCCESS,
    cause: FailureCause | None = None,
) -> Outcome:
    now = datetime.now(UTC).timestamp()
    return Outcome(
        task=task,
        index=index,
        attempt=1,
        state=state,
        cause=cause,
        output="1" if cause is None else None,
        started_at=now,
        ended_at=now + 0.5,
        peak_memory=100 * 2**20,
        cpu_time=0.4,
    )


def test_proposals_are_shown_with_now_and_why(flow: CommandLine, history: str) -> None:
    said = flow(genome(), "tune")
    lines = said.out.splitlines()
    assert (said.code, said.err) == (0, "")
    assert lines[0] == f"genome  by 1 run, the newest {history}"
    assert "too little history: 1 of 5 elements" in lines[3]
    assert lines[4].split()[:4] == ["align", "mem", "4G", "300M"]
    assert lines[5].split()[:4] == ["align", "time", "02:00:00", "00:02:00"]
    assert "Of 8 attempts, none would have failed for it." in said.out
    assert "1 failed with less memory or time than is proposed." in said.out
    assert "flow.py tune --apply" in lines[-1]


def test_json_has_all_of_it(flow: CommandLine, history: str) -> None:
    found = json.loads(flow(genome(), "tune", "--json").out)
    assert (found["version"], found["workflow"], found["runs"]) == (1, "genome", [history])
    assert [task["task"] for task in found["tasks"]] == ["prepare", "align"]
    [mem, time] = found["tasks"][1]["changes"]
    assert (mem["option"], mem["now"], mem["proposed"]) == ("mem", "4G", "300M")
    assert (time["option"], time["now"], time["proposed"]) == ("time", "02:00:00", "00:02:00")
    assert (found["attempts"], found["would_fail"], found["had_less"]) == (8, 0, 1)
    assert found["now"]["memory_gb_hours"] > found["proposed"]["memory_gb_hours"]
    assert found["written"] is None


def test_a_patch_is_printed_and_nothing_written(
    flow: CommandLine, history: str, config: Path
) -> None:
    before = config.read_text()
    said = flow(genome(), "tune", "--patch")
    assert '+[tasks."genome.align"]\n+mem = "300M"\n+time = "00:02:00"' in said.out
    assert config.read_text() == before


def test_what_is_applied_is_what_the_next_run_asks_for(
    flow: CommandLine, history: str, config: Path
) -> None:
    said = flow(genome(), "tune", "--apply")
    assert said.code == 0
    assert config.read_text().startswith("# mine\n[defaults]\naccount = 'ab'\n\n# by reflow tune, ")
    assert load_config().tasks == {"genome.align": {"mem": "300M", "time": "00:02:00"}}
    assert genome().graph().tasks["align"].resources.mem == 300 * 2**20
    again = flow(genome(), "tune", "--apply")
    assert "fits: what it asks for is what it uses" in again.out
    assert "written" not in again.out


def test_a_file_that_cannot_be_edited_is_left_and_the_lines_to_write_are_said(
    flow: CommandLine, history: str, config: Path
) -> None:
    config.write_text("tasks = {align = {retries = 1}}\n")
    said = flow(genome(), "tune", "--apply")
    assert said.code == 2
    assert '[tasks."genome.align"]\nmem = "300M"' in said.err
    assert config.read_text() == "tasks = {align = {retries = 1}}\n"


def test_a_workflow_without_runs_says_so(flow: CommandLine) -> None:
    assert flow(genome(), "tune").out == (
        "genome has no runs yet: nothing is known of what it uses\n"
    )


def test_results_from_the_cache_do_not_count(flow: CommandLine) -> None:
    for _ in range(2):
        assert genome().run_local("there").state == "SUCCESS"
    found = json.loads(flow(genome(), "tune", "--json").out)
    assert (len(found["runs"]), found["attempts"]) == (2, 7)


def test_the_flow_file_is_named_as_for_run(reflow: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "greeting.py"
    file.write_text(
        "from reflow import Workflow\nwf = Workflow('hi')\n@wf.job()\ndef greet() -> int:\n"
        "    return 1\n"
    )
    assert reflow("tune", str(file)).out.startswith("hi has no runs yet")
    assert reflow("tune", f"{file}:wf").code == 0
    assert "there is no flow file" in reflow("tune", "other.py").err


def test_writing_and_printing_are_not_done_at_once(flow: CommandLine) -> None:
    assert "give one of them" in flow(genome(), "tune", "--apply", "--patch").err
