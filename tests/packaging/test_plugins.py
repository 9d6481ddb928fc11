"""Wheels of plugins beside the core's, in clean environments."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from reflow.plugin_api import API_VERSION
from reflow.testing.fakes import FakeScheduler
from reflow.testing.plugins import write_distribution

from tests.fakes import fake_of
from tests.packaging.environments import Environment, pip

# One process builds and installs for all of these, and for the tests of the core's wheel.
pytestmark = [
    pytest.mark.packaging,
    pytest.mark.xdist_group("packaging"),
    pytest.mark.timeout(600),  # the first test waits for the package index
]

BACKENDS = ("slurm", "sge", "pbs", "lsf", "flux")

FLOW = """
from typing import Annotated

from reflow import Result, Workflow

wf = Workflow("small")


@wf.job()
def prepare() -> list[int]:
    return [1, 2, 3]


@wf.job(array=True)
def square(number: Annotated[int, Result(step="prepare")]) -> int:
    return number * number


@wf.job()
def total(squares: Annotated[list[int], Result(step="square")]) -> int:
    return sum(squares)


if __name__ == "__main__":
    wf.cli()
"""

GRID = """
from typing import Annotated

import numpy

from reflow import Result, Workflow

wf = Workflow("grid")


@wf.job()
def grid() -> numpy.ndarray:
    return numpy.arange(4)


@wf.job()
def numbers() -> list[int]:
    return [2, 3, 4]


@wf.job(array=True)
def scaled(
    field: Annotated[numpy.ndarray, Result(step="grid")],
    number: Annotated[int, Result(step="numbers")],
) -> numpy.ndarray:
    return field * number


@wf.job()
def total(fields: Annotated[list[numpy.ndarray], Result(step="scaled")]) -> int:
    return int(sum(field.sum() for field in fields))
"""

SUBMIT = """
from flow import wf

run = wf.submit(run_dir="run", executor="{executor}")
run.wait(timeout=60)
print(run.state, run.result("total"))
"""

OFFER = """
from reflow.plugin_api import ExecutorPlugin, hookimpl

@hookimpl
def reflow_executors():
    return [ExecutorPlugin(name="pond", target="{module}:PondExecutor", api_version={version})]

class PondExecutor:
    pass
"""


@pytest.fixture(scope="module")
def with_slurm(
    clean: Environment, wheels: Path, tmp_path_factory: pytest.TempPathFactory
) -> Environment:
    """`pip install reflow-core reflow-slurm`."""
    return _installed(clean, wheels, tmp_path_factory, "reflow-slurm")


@pytest.fixture(scope="module")
def with_everything(
    clean: Environment, wheels: Path, tmp_path_factory: pytest.TempPathFactory
) -> Environment:
    """All distributions, and the third party's."""
    names = [f"reflow-{backend}" for backend in BACKENDS]
    return _installed(clean, wheels, tmp_path_factory, *names, "reflow-example")


def _installed(
    clean: Environment, wheels: Path, folders: pytest.TempPathFactory, *names: str
) -> Environment:
    """What pip makes of these names; what the core requires is there already."""
    environment = clean.layer(folders.mktemp("layer") / "venv")
    environment.install("--find-links", wheels, *names)
    return environment


def reported(environment: Environment) -> dict[str, dict[str, Any]]:
    """What `reflow plugins` says, by distribution."""
    shown = json.loads(environment.run("python", "-m", "reflow", "plugins", "--json").stdout)
    return {plugin["distribution"]: plugin for plugin in shown}


# -- the core alone -----------------------------------------------------------------------------
def test_the_core_alone_has_its_own_plugin_and_runs_a_workflow(
    clean: Environment, tmp_path: Path
) -> None:
    assert list(reported(clean)) == ["reflow-core"]
    (tmp_path / "flow.py").write_text(FLOW)
    clean.run("python", "flow.py", "run", "--run-dir", "run")
    assert "SUCCESS" in clean.run("reflow", "runs").stdout


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_backend_that_is_missing_is_named_with_what_to_install(
    clean: Environment, tmp_path: Path, backend: str
) -> None:
    (tmp_path / "flow.py").write_text(FLOW)
    words = ("flow.py", "submit", "--run-dir", "run", "--executor", backend)
    ended = clean.run("python", *words, check=False)
    assert ended.returncode == 2
    assert f"pip install reflow-{backend}" in ended.stderr
    assert "Traceback" not in ended.stderr


# -- with one backend ---------------------------------------------------------------------------
def test_a_backend_beside_the_core_runs_a_workflow_on_its_scheduler(
    with_slurm: Environment, tmp_path: Path
) -> None:
    pip("--python", with_slurm.bin / "python", "check")
    assert list(reported(with_slurm)) == ["reflow-core", "reflow-slurm"]
    assert reported(with_slurm)["reflow-slurm"]["provides"] == ["executor slurm"]
    (tmp_path / "flow.py").write_text(FLOW)
    (tmp_path / "submit.py").write_text(SUBMIT.format(executor="slurm"))
    with fake_of("slurm", tmp_path) as fake:
        fake.activate()
        assert with_slurm.run("python", "submit.py").stdout == "SUCCESS 14\n"
        fake.wait_until_idle()


# -- with everything ----------------------------------------------------------------------------
def test_all_distributions_and_a_third_partys_are_found_side_by_side(
    with_everything: Environment,
) -> None:
    pip("--python", with_everything.bin / "python", "check")
    found = reported(with_everything)
    assert sorted(found) == sorted(
        ["reflow-core", "reflow-example", *(f"reflow-{backend}" for backend in BACKENDS)]
    )
    assert found["reflow-example"]["provides"] == [
        "executor harbour",
        "store ledger",
        "type rule array-broadcast",
        "codec attrs",
    ]
    assert not any(plugin["problems"] for plugin in found.values())
    with_everything.python(
        "from reflow import FluxExecutor, HarbourExecutor, LSFExecutor, PBSExecutor, "
        "SGEExecutor, SlurmExecutor"
    )


def test_a_workflow_runs_on_what_the_third_party_gives(
    with_everything: Environment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REFLOW_STORE", f"ledger://{tmp_path}/ledger.db")
    (tmp_path / "flow.py").write_text(GRID)
    (tmp_path / "submit.py").write_text(SUBMIT.format(executor="harbour"))
    with FakeScheduler("harbour_fake:HarbourEmulator", tmp_path) as fake:
        fake.activate()
        assert with_everything.run("python", "submit.py").stdout == "SUCCESS 54\n"
        fake.wait_until_idle()
    assert (tmp_path / "ledger.db").exists()


# -- plugins that go wrong ----------------------------------------------------------------------
@pytest.fixture
def beside(clean: Environment, tmp_path: Path) -> Environment:
    """An environment of the test's own."""
    return clean.layer(tmp_path / "venv")


def add(beside: Environment, name: str, version: str, source: str) -> None:
    """Install a distribution `reflow-NAME` with one module."""
    module = f"{name}_plugin"
    text = source.replace("{module}", module)
    write_distribution(beside.site, f"reflow-{name}", version, {name: module}, {module: text})


def test_a_plugin_for_another_interface_is_told_and_harms_nothing(beside: Environment) -> None:
    add(beside, "pond", "0.9", OFFER.replace("{version}", "99"))
    [problem] = reported(beside)["reflow-pond"]["problems"]
    assert "version 99" in problem
    ended = beside.python("from reflow import PondExecutor", check=False)
    assert "reflow-pond 0.9" in ended.stderr
    assert "version 99" in ended.stderr
    beside.python(
        "from reflow.plugins.registry import registry; registry().executor_class('local')"
    )


def test_two_plugins_of_one_name_are_an_error_that_names_both(beside: Environment) -> None:
    add(beside, "pond", "0.9", OFFER.replace("{version}", str(API_VERSION)))
    add(beside, "puddle", "2.0", OFFER.replace("{version}", str(API_VERSION)))
    ended = beside.python("from reflow import PondExecutor", check=False)
    assert "reflow-pond 0.9 and reflow-puddle 2.0" in ended.stderr
    for name in ("pond", "puddle"):
        assert "provided more than once" in reported(beside)[f"reflow-{name}"]["problems"][0]


def test_a_plugin_that_cannot_be_imported_is_told_and_harms_nothing(
    beside: Environment, tmp_path: Path
) -> None:
    add(beside, "mire", "0.1", "import no_such_module")
    found = reported(beside)
    assert not found["reflow-mire"]["usable"]
    assert "no_such_module" in found["reflow-mire"]["problems"][0]
    (tmp_path / "flow.py").write_text(FLOW)
    beside.run("python", "flow.py", "run", "--run-dir", "run")
