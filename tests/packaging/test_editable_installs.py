"""Code of the user's own where the build backends' editable installs point to it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.packaging.environments import Environment

pytestmark = [
    pytest.mark.packaging,
    pytest.mark.xdist_group("packaging"),
    pytest.mark.timeout(600),  # the first test waits for the package index
]

REQUIREMENTS = ("setuptools>=64", "hatchling", "pdm-backend", "uv_build", "editables")
BACKENDS = {
    "setuptools": "setuptools.build_meta",
    "hatchling": "hatchling.build",
    "pdm": "pdm.backend",
    "uv": "uv_build",
}
EXACT_HATCHLING = "[tool.hatch.build.targets.wheel]\ndev-mode-exact = true\npackages = "
# Where a backend can do it by an import finder as well as by a .pth file, one layout asks for it.
OPTIONS = {
    "setuptools_flat": '[tool.setuptools]\npackages = ["setuptools_flat"]',
    "setuptools_shared": '[tool.setuptools.packages.find]\ninclude = ["setuptools_shared*"]',
    "hatchling_flat": f'{EXACT_HATCHLING}["hatchling_flat"]',
    "hatchling_shared": ('[tool.hatch.build.targets.wheel]\npackages = ["src/hatchling_shared"]\n'),
    "pdm_flat": '[tool.pdm.build]\neditable-backend = "editables"\nincludes = ["pdm_flat"]',
    "pdm_shared": '[tool.pdm.build]\npackage-dir = "src"\nincludes = ["src/pdm_shared"]',
    "uv_flat": '[tool.uv.build-backend]\nmodule-root = ""',
    "uv_shared": '[tool.uv.build-backend]\nmodule-name = "uv_shared.physics"',
}
FLAT = ("setuptools_flat", "setuptools_shared", "hatchling_flat", "pdm_flat", "uv_flat")
NAMES = [f"{backend}_{layout}" for backend in BACKENDS for layout in ("flat", "src", "shared")]
"""A project each; one that is shared has a part of a namespace package."""

FLOW = """
from pathlib import Path

from reflow import Workflow
{imports}

wf = Workflow("editable")


def ran(name):
    with open({log!r}, "a") as log:
        print(name, file=log)
{tasks}

if __name__ == "__main__":
    wf.cli()
"""
TASKS = """

@wf.job()
def {name}_early() -> int:
    ran("{name}_early")
    return {module}.value()


@wf.job()
def {name}_late() -> int:
    import {module}

    ran("{name}_late")
    return {module}.value()
"""


def module_of(name: str) -> str:
    return f"{name}.physics" if name.endswith("shared") else name


def file_of(name: str, folder: Path) -> Path:
    top = folder / name if name in FLAT else folder / name / "src"
    return top.joinpath(*module_of(name).split("."), "__init__.py")


def make_project(name: str, folder: Path) -> Path:
    """Write a project of one package; returns its folder."""
    file = file_of(name, folder)
    file.parent.mkdir(parents=True)
    file.write_text("def value():\n    return 1\n")
    backend = name.partition("_")[0]
    (folder / name / "pyproject.toml").write_text(
        f'[project]\nname = "{name}"\nversion = "1"\n'
        f'[build-system]\nrequires = []\nbuild-backend = "{BACKENDS[backend]}"\n'
        f"{OPTIONS.get(name, '')}\n"
    )
    return folder / name


@pytest.fixture(scope="module")
def projects(
    clean: Environment, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Environment, Path]:
    """An environment with all projects installed to be edited, and the folder they are in."""
    folder = tmp_path_factory.mktemp("projects")
    environment = clean.layer(tmp_path_factory.mktemp("editable") / "venv")
    environment.install(*REQUIREMENTS)
    editable = [word for name in NAMES for word in ("-e", make_project(name, folder))]
    with pytest.MonkeyPatch.context() as patch:
        # uv_build looks for its program there.
        patch.setenv("PATH", str(environment.bin), prepend=os.pathsep)
        environment.install("--no-build-isolation", "--no-deps", *editable)
    return environment, folder


def test_what_is_installed_to_be_edited_is_the_users_own(
    projects: tuple[Environment, Path], tmp_path: Path
) -> None:
    environment, folder = projects
    log, flow = tmp_path / "log", tmp_path / "flow.py"
    flow.write_text(
        FLOW.format(
            log=str(log),
            imports="\n".join(f"import {module_of(name)}" for name in NAMES),
            tasks="".join(TASKS.format(name=name, module=module_of(name)) for name in NAMES),
        )
    )
    everything = {f"{name}_{when}" for name in NAMES for when in ("early", "late")}

    def run() -> set[str]:
        log.write_text("")
        environment.run("python", flow, "run")
        return set(log.read_text().split())

    assert run() == everything
    assert run() == set()
    for name in NAMES:
        file_of(name, folder).write_text("def value():\n    return 2\n")
    assert run() == everything
