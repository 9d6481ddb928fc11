"""Flows that a command line names by a file or by a module."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from reflow.cli.named_flow import load_named
from reflow.errors import FlowImportError
from reflow.runs.locate_flow import locate

FLOW = """
from reflow import Workflow

wf = Workflow("{name}")
other = Workflow("{name}-other")
"""


@pytest.fixture(autouse=True)
def untouched_modules(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(sys, "path", [*sys.path])
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.startswith(("packaged", "__reflow_flow__")):
            del sys.modules[name]


@pytest.fixture
def package(tmp_path: Path) -> Path:
    folder = tmp_path / "packaged"
    (folder / "deep").mkdir(parents=True)
    for init in (folder, folder / "deep"):
        (init / "__init__.py").touch()
    (folder / "beside.py").write_text("NAME = 'beside'")
    return folder


@pytest.mark.parametrize(
    ("place", "line"),
    [
        ("flow.py", "from .beside import NAME"),
        ("deep/flow.py", "from ..beside import NAME"),
        ("flow.py", "from packaged.beside import NAME"),
        ("flow.py", "import packaged.beside"),
    ],
)
def test_a_file_that_imports_from_its_package_is_a_part_of_it(
    package: Path, place: str, line: str
) -> None:
    (package / place).write_text(line + FLOW.format(name="inside"))
    workflow = load_named(f"packaged/{place}:wf")
    assert workflow.name == "inside"
    assert locate(workflow).module == f"packaged.{place.replace('/', '.').removesuffix('.py')}"


def test_relative_imports_need_no_init_file(package: Path) -> None:
    (package / "__init__.py").unlink()
    (package / "flow.py").write_text("from .beside import NAME" + FLOW.format(name="bare"))
    assert load_named("packaged/flow.py:wf").name == "bare"


def test_a_script_beside_an_init_file_stays_a_script(package: Path) -> None:
    (package / "flow.py").write_text("from beside import NAME" + FLOW.format(name="script"))
    assert locate(load_named("packaged/flow.py:wf")).path == str(package / "flow.py")


@pytest.mark.parametrize("typed", ["packaged.flow:wf", "packaged.flow:named", "packaged:wf"])
def test_a_module_is_looked_for_in_the_current_folder_first(
    package: Path, tmp_path_factory: pytest.TempPathFactory, typed: str
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "packaged").mkdir()
    (elsewhere / "packaged/__init__.py").touch()
    sys.path.insert(0, str(elsewhere))
    for file in ("flow.py", "__init__.py"):
        (package / file).write_text(FLOW.format(name="named"))
    assert load_named(typed).name == "named"


def test_a_name_that_is_neither_file_nor_module_is_told(package: Path) -> None:
    with pytest.raises(FlowImportError, match=r"neither a flow file .* nor a module"):
        load_named("packaged.nothing")
    with pytest.raises(FlowImportError, match=r"there is no flow file .*missing\.py"):
        load_named("missing.py")


def test_a_module_that_lacks_another_one_says_which(package: Path) -> None:
    (package / "flow.py").write_text("import no_such_module")
    with pytest.raises(FlowImportError, match="no_such_module"):
        load_named("packaged.flow")
