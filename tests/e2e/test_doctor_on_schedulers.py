"""`doctor FLOW.py` and `doctor --submit` on fake schedulers that really run jobs."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from reflow.config.schema import Config
from reflow.plugins.hookspecs import Finding
from reflow.plugins.registry import registry
from reflow.runs.diagnosis import trial
from reflow.runs.diagnosis.requests import check_requests

from tests.e2e.support import SECONDS, FlowFile, fake_scheduler

SCHEDULERS = ("slurm", "sge", "pbs", "lsf", "flux")

HUGE = """
wf = Workflow("huge")


@wf.job(cpus=1)
def small() -> int:
    return 1


@wf.job(cpus=999)
def wide() -> int:
    return 1
"""


def run_trial(name: str, patience: float = SECONDS) -> dict[str, Finding]:
    with closing(registry().make_executor(name, {})) as executor:
        return dict(trial.try_a_job(Config(), executor, patience, lambda text: None))


@pytest.mark.parametrize("name", [*SCHEDULERS, "local"])
def test_a_job_tells_what_it_finds_on_its_node_and_leaves_nothing(
    name: str, tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with fake_scheduler("slurm" if name == "local" else name, tmp_path, monkeypatch):
        found = run_trial(name)
    assert [(check, each.text) for check, each in found.items() if not each.ok] == []
    assert list(found)[:3] == ["submission", "on node: host", "on node: python"]
    assert found["on node: store's locks"].text == "a lock of the submitting machine is seen"
    assert not (tmp_path / "runs").exists()
    assert list(home.rglob("*.reflow-doctor*")) == []


def test_a_job_that_does_not_start_in_time_is_cancelled_and_its_reason_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with fake_scheduler("slurm", tmp_path, monkeypatch) as fake:
        executor = registry().make_executor("slurm", {"queue": "closed"})
        said: list[str] = []
        [(name, finding)] = trial.try_a_job(Config(), executor, 1.0, said.append)
        assert (name, finding.ok) == ("submission", False)
        assert "was queued after 1 s" in finding.text
        assert "it was cancelled. Give it more time with --timeout" in finding.text
        assert said[0].startswith("submitted job ")
        fake.wait_until_idle()


def test_ctrl_c_cancels_the_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with fake_scheduler("slurm", tmp_path, monkeypatch) as fake:
        executor = registry().make_executor("slurm", {"queue": "closed"})

        def interrupted(seconds: float) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(executor, "wait", interrupted)
        with pytest.raises(KeyboardInterrupt):
            trial.try_a_job(Config(), executor, SECONDS, lambda text: None)
        fake.wait_until_idle()
        assert not (tmp_path / "runs").exists()


def test_a_job_that_ends_without_an_answer_shows_what_it_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trial, "_LATE", 0.5)
    with fake_scheduler("slurm", tmp_path, monkeypatch):
        executor = registry().make_executor("slurm", {"setup": ["echo no module python", "exit 3"]})
        [(_, finding)] = trial.try_a_job(Config(), executor, SECONDS, lambda text: None)
    assert not finding.ok
    assert "ended without an answer" in finding.text
    assert "it printed: no module python" in finding.text


@pytest.mark.parametrize("name", ["slurm", "sge", "pbs"])
def test_a_request_beyond_every_node_is_found_before_it_waits(
    name: str, flow_file: Callable[..., FlowFile], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with fake_scheduler(name, tmp_path, monkeypatch):
        executor = registry().make_executor(name, {})
        graph = flow_file(HUGE).load().graph()
        found = dict(check_requests(graph, Config(), executor))
    assert {check: finding.ok for check, finding in found.items()} == {
        "task small": True,
        "task wide": False,
        "dispatch jobs": True,
    }
    assert "[tasks.wide]" in found["task wide"].text


@pytest.mark.parametrize("name", ["lsf", "flux"])
def test_what_a_scheduler_does_not_tell_is_not_judged(
    name: str, flow_file: Callable[..., FlowFile], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with fake_scheduler(name, tmp_path, monkeypatch):
        executor = registry().make_executor(name, {})
        graph = flow_file(HUGE).load().graph()
        found = dict(check_requests(graph, Config(), executor))
    assert found["task wide"] == Finding(ok=True, text="cpus=999 not checked on this scheduler")
