from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from reflow.config.schema import Config
from reflow.errors import DamagedRunError
from reflow.model.pilots import Pilots
from reflow.rundir.claims import BY_LINK
from reflow.rundir.flow_reference import FlowRef
from reflow.rundir.run_settings import RunSettings, parse_settings, read_settings

OLD = {
    "format": 1,
    "run_id": "tides-20260301-0a1b",
    "workflow": "tides",
    "run_dir": "/scratch/tides",
    "store": "sqlite:///home/ada/manifest.db",
    "executor": "local",
    "python": "/usr/bin/python3",
    "working_directory": "/home/ada",
    "flow": {
        "workflow": "tides",
        "path": "/home/ada/tides.py",
        "module": None,
        "source": "/home/ada/tides.py",
        "sys_path": ["/home/ada"],
    },
    "parameters": {"year": "2026"},
    "force_tasks": ["prepare"],
    "config": {"dispatch": {"lease_seconds": 30}, "cache": {"files": "content"}},
}
"""What a run file held that was written before most of today's settings."""


@pytest.fixture
def settings(tmp_path: Path) -> RunSettings:
    config = Config().with_values({"setup": ("module load x",), "executor.pond.depth": 2})
    made = RunSettings(
        run_id="r",
        workflow="w",
        run_dir=tmp_path,
        store="sqlite:///m.db",
        executor="pond",
        executor_settings={"depth": 2},
        python="python",
        working_directory=tmp_path,
        flow=FlowRef(workflow="w", module="flows.w", source="/flows/w.py", sys_path=("/flows",)),
        parameters={"year": "2026"},
        parameter_states={"stat": {"year": [{"kind": "file"}]}},
        force_tasks=("a", "b"),
        config_data=config.as_dict(),
        pilots=Pilots(jobs=4, cpus=32, mem="120G", time="08:00:00", nodes="whole"),
    )
    made.layout.root.mkdir(parents=True)
    return made


def test_settings_are_read_back_as_they_were(settings: RunSettings) -> None:
    settings.write()
    found = read_settings(settings.run_dir, "r")
    assert found == settings
    assert found.config.executor.settings == {"pond": {"depth": 2}}
    assert found.config.setup == ("module load x",)


def test_the_configuration_is_read_once(settings: RunSettings) -> None:
    assert settings.config is settings.config


def test_a_copy_with_another_configuration_has_that_configuration(settings: RunSettings) -> None:
    assert settings.config.dispatch.lease_seconds == 60
    other = replace(settings, config_data={"dispatch": {"lease_seconds": 5}})
    assert other.config.dispatch.lease_seconds == 5


def parsed(data: dict[str, Any]) -> RunSettings:
    return parse_settings(Path("run.json"), json.dumps(data).encode())


def test_what_an_older_run_did_not_say_has_its_default() -> None:
    found = parsed(OLD)
    assert found.run_dir == Path("/scratch/tides")
    assert found.flow is not None
    assert found.flow.sys_path == ("/home/ada",)
    assert (found.force_tasks, found.claims, found.lineage) == (("prepare",), BY_LINK, "")
    assert found.config.dispatch.lease_seconds == 30
    assert found.config.dispatch.grace_seconds == Config().dispatch.grace_seconds
    assert (found.files_mode, found.ignored_files, found.latency) == ("content", (), 0)
    assert found.pilots is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"run_dir": 5},
        {"flow": "tides.py"},
        {"unheard_of": 1},
        {"format": 2},
        {"pilots": {"jobs": 0}},
        {"pilots": {"jobs": 1, "time": "long"}},
    ],
)
def test_damaged_settings_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(DamagedRunError, match=r"run\.json"):
        parsed({**OLD, **wrong})
