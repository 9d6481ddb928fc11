"""The wheel of the core, in a clean environment, without anything of the source tree."""

from __future__ import annotations

import email
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.packaging.environments import ROOT, Environment, pip

# One process builds and installs for all of these.
pytestmark = [
    pytest.mark.packaging,
    pytest.mark.xdist_group("packaging"),
    pytest.mark.timeout(600),  # the first test waits for the package index
]

FLOW = """
from typing import Annotated

from reflow import Param, Result, RunDir, Workflow

wf = Workflow("small")


@wf.job()
def prepare(count: Annotated[int, Param(help="How many", short="-c")] = 3) -> list[int]:
    return list(range(count))


@wf.job(array=True)
def square(number: Annotated[int, Result(step="prepare")]) -> int:
    return number * number


@wf.job()
def total(
    squares: Annotated[list[int], Result(step="square")], run_dir: RunDir = RunDir()
) -> int:
    (run_dir / "total.txt").write_text(str(sum(squares)))
    return sum(squares)


if __name__ == "__main__":
    wf.cli()
"""


def test_the_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    outside = [name for name in names if not name.startswith(("reflow/", "reflow_core-"))]
    assert outside == []
    assert "reflow/py.typed" in names
    assert "reflow/testing/plugins.py" in names
    assert not [name for name in names if "__pycache__" in name]


def test_every_file_of_the_package_is_in_the_wheel(wheel: Path) -> None:
    source = ROOT / "reflow-core" / "src"
    tracked = subprocess.run(
        ["git", "ls-files", "reflow"], cwd=source, capture_output=True, text=True, check=False
    )
    if tracked.returncode:
        pytest.skip("the project's files are not under version control here")
    assert set(tracked.stdout.split()) <= set(zipfile.ZipFile(wheel).namelist())


def test_every_distribution_has_a_wheel_and_a_source_with_the_license(wheels: Path) -> None:
    license = (ROOT / "LICENSE").read_bytes()
    projects = [path.parent.name for path in ROOT.glob("reflow-*/pyproject.toml")]
    assert len(projects) == 6
    for project in projects:
        [built] = wheels.glob(f"{project.replace('-', '_')}-*.whl")
        inside = zipfile.ZipFile(built)
        [name] = [name for name in inside.namelist() if name.endswith("/licenses/LICENSE")]
        assert inside.read(name) == license
        [source] = wheels.glob(f"{project.replace('-', '_')}-*.tar.gz")
        with tarfile.open(source) as archive:
            [name] = [name for name in archive.getnames() if name.endswith("/LICENSE")]
            assert name.count("/") == 1


def test_every_wheel_says_for_whom_it_is_and_where_its_releases_are(wheels: Path) -> None:
    for project in ROOT.glob("reflow-*/pyproject.toml"):
        [built] = wheels.glob(f"{project.parent.name.replace('-', '_')}-*.whl")
        inside = zipfile.ZipFile(built)
        [name] = [name for name in inside.namelist() if name.endswith(".dist-info/METADATA")]
        metadata = email.message_from_bytes(inside.read(name))
        classifiers = metadata.get_all("Classifier", [])
        for version in ("3.11", "3.12", "3.13", "3.14"):
            assert f"Programming Language :: Python :: {version}" in classifiers
        assert ("Operating System :: MacOS" in classifiers) is (metadata["Name"] == "reflow-core")
        releases = f"https://pypi.org/project/{metadata['Name']}/#history"
        assert metadata.get_all("Project-URL") == [f"Releases, {releases}"]


def test_requirements_fit_together(clean: Environment) -> None:
    pip("--python", clean.bin / "python", "check")


def test_every_name_of_the_package_can_be_imported(clean: Environment) -> None:
    clean.python("from reflow import *; from reflow import Workflow, Run, Config, load_config")
    clean.python(
        "import reflow, importlib.metadata as m; "
        "assert reflow.__version__ == m.version('reflow-core')"
    )


def test_a_missing_backend_says_what_to_install(clean: Environment) -> None:
    ended = clean.python("from reflow import SlurmExecutor", check=False)
    assert "ImportError" in ended.stderr or "MissingExecutorError" in ended.stderr
    assert "pip install reflow-slurm" in ended.stderr


def test_reflow_plugins_shows_the_core(clean: Environment) -> None:
    shown = clean.run("reflow", "plugins").stdout
    assert "reflow-core" in shown
    assert "local" in shown


@pytest.mark.parametrize("workers", [1, 2])
def test_a_workflow_runs(clean: Environment, tmp_path: Path, workers: int) -> None:
    (tmp_path / "flow.py").write_text(FLOW)
    (tmp_path / "run.py").write_text(
        "from flow import wf\n"
        "if __name__ == '__main__':\n"
        f"    run = wf.run_local(run_dir='r', max_workers={workers}, count=4)\n"
        "    print(run.result('total'), run.result('square'), run.state)\n"
    )
    assert clean.run("python", "run.py").stdout.strip().endswith("14 [0, 1, 4, 9] SUCCESS")
    assert (tmp_path / "r" / "total.txt").read_text() == "14"


def test_the_command_line_of_a_flow_file_works(clean: Environment, tmp_path: Path) -> None:
    (tmp_path / "flow.py").write_text(FLOW)
    clean.run("python", "flow.py", "run", "--run-dir", "r", "--count", "5")
    assert (tmp_path / "r" / "total.txt").read_text() == "30"
    assert "small" in clean.run("reflow", "runs").stdout
