"""Which folders hold the user's own code."""

from __future__ import annotations

import importlib.util
import os
import sys
import sysconfig
import time
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest
import reflow
from reflow.fingerprint.code.ownership import Ownership

from tests.unit.fingerprint.code.projects import loaded, source_digest, write


@pytest.fixture
def outside(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder outside of the flow's tree, the working directory and the home."""
    return tmp_path_factory.mktemp("outside")


@pytest.fixture
def flow(tmp_path: Path) -> Path:
    folder = tmp_path / "flows"
    folder.mkdir()
    return folder / "flow.py"


def as_user(monkeypatch: pytest.MonkeyPatch, user: int, writable: bool) -> None:
    """Ask as another user than the one who owns what these tests make."""
    monkeypatch.setattr(os, "geteuid", lambda: user)
    monkeypatch.setattr(os, "access", lambda path, mode: writable)


def test_the_flows_tree_the_working_directory_and_the_home_are_the_users(
    flow: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_user(monkeypatch, 12345, writable=False)
    ownership = Ownership([flow])
    for folder in (flow.parent / "deep" / "down", tmp_path / "lib", Path.home() / "src"):
        assert ownership.owns(folder / "module.py")


@pytest.mark.parametrize("installed", ["site-packages", "dist-packages"])
def test_what_is_installed_is_not_the_users(flow: Path, installed: str) -> None:
    ownership = Ownership([flow])
    assert not ownership.owns(flow.parent / f"venv/lib/python3/{installed}/pandas/core.py")
    assert not ownership.owns(Path.home() / f".local/lib/{installed}/pandas/core.py")


def test_reflow_is_not_the_users_where_it_is_installed_to_be_edited(flow: Path) -> None:
    ownership = Ownership([flow])
    package = Path(os.path.realpath(reflow.__path__[0]))
    modules = list(package.rglob("*.py"))
    assert len(modules) > 100
    assert [module for module in modules if ownership.owns(module)] == []


def test_the_standard_library_is_not_the_users(flow: Path) -> None:
    ownership = Ownership([flow])
    for name in ("stdlib", "platstdlib"):
        assert not ownership.owns(Path(os.path.realpath(sysconfig.get_path(name))) / "json.py")


def test_an_installed_flow_is_the_users_and_its_neighbours_are_not(tmp_path: Path) -> None:
    installed = tmp_path / "site-packages"
    write(installed, {"pipeline/__init__.py": "", "pipeline/flow.py": "", "other/__init__.py": ""})
    ownership = Ownership([installed / "pipeline/flow.py"])
    assert ownership.owns(installed / "pipeline/steps/a.py")
    assert not ownership.owns(installed / "other/a.py")


@pytest.mark.parametrize(
    ("user", "writable", "own"),
    [(12345, True, True), (12345, False, False), (0, True, False)],
    ids=["may write", "may not", "root, of root's"],
)
def test_elsewhere_it_is_the_users_who_may_write_to_it(
    flow: Path,
    outside: Path,
    monkeypatch: pytest.MonkeyPatch,
    user: int,
    writable: bool,
    own: bool,
) -> None:
    os.chown(outside, 0, 0) if os.geteuid() == 0 else None
    as_user(monkeypatch, user, writable)
    if user == 0 and outside.stat().st_uid != 0:
        pytest.skip("needs a folder of root's")
    assert Ownership([flow]).owns(outside / "lib.py") is own


def test_root_owns_what_belongs_to_somebody_else(flow: Path, outside: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    os.chown(outside, 12345, 12345)
    assert Ownership([flow]).owns(outside / "lib.py")


def test_the_configuration_overrules_and_the_innermost_folder_decides(
    flow: Path, outside: Path
) -> None:
    ownership = Ownership(
        [flow],
        own=[str(outside), str(flow.parent / "vendored/ours")],
        foreign=[str(flow.parent / "vendored")],
    )
    assert ownership.owns(outside / "deep/lib.py")
    assert not ownership.owns(flow.parent / "vendored/theirs.py")
    assert ownership.owns(flow.parent / "vendored/ours/lib.py")


def test_what_a_pth_file_points_to_is_the_users_wherever_it_lies(
    flow: Path, outside: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_user(monkeypatch, 12345, writable=False)
    installed = tmp_path / "venv/lib/python3/site-packages"
    write(installed, {"_physics.pth": f"# comment\nimport sys\n{outside}/src\n"})
    monkeypatch.setattr(sys, "path", [str(installed), *sys.path])
    ownership = Ownership([flow])
    assert ownership.owns(outside / "src/physics/laws.py")
    assert not ownership.owns(outside / "other/physics.py")


class EditableFinder:
    """Leads to packages elsewhere, as what editable installs put in `sys.meta_path` does."""

    def __init__(self, mapping: dict[str, Path]) -> None:
        self._mapping = mapping

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        file = self._mapping.get(name)
        if file is None:
            return None
        folders = [str(file.parent)] if file.name == "__init__.py" else None
        return importlib.util.spec_from_file_location(
            name, file, submodule_search_locations=folders
        )


def test_what_an_editable_finder_leads_to_is_the_users_wherever_it_lies(
    flow: Path, outside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_user(monkeypatch, 12345, writable=False)
    text = "from physics_e.laws import scale\nfrom physics_e.moved import shift\n"
    flow.write_text(f"{text}def task(x): return shift(scale(x))")
    write(
        outside,
        {
            "src/physics_e/__init__.py": "",
            "src/physics_e/laws.py": "def scale(x): return 2 * x",
            "elsewhere/moved.py": "def shift(x): return x + 1",
        },
    )
    mapping = {
        "physics_e": outside / "src/physics_e/__init__.py",
        "physics_e.moved": outside / "elsewhere/moved.py",
    }
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, EditableFinder(mapping)])

    def of(name: str, text: str) -> str:
        (outside / name).write_text(text)
        for each in [each for each in sys.modules if each.startswith("physics_e")]:
            del sys.modules[each]
        with loaded(flow) as module:
            return source_digest(module.task)

    first = of("src/physics_e/laws.py", "def scale(x): return 300 * x")
    second = of("src/physics_e/laws.py", "def scale(x): return 4 * x  # other")
    assert first != second
    assert second != of("elsewhere/moved.py", "def shift(x): return x + 10")


def test_deciding_takes_few_milliseconds_where_much_is_installed(
    flow: Path, outside: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_user(monkeypatch, 12345, writable=False)
    installed = tmp_path / "venv/lib/python3/site-packages"
    for number in range(400):
        write(installed, {f"p{number}/__init__.py": "", f"p{number}-1.dist-info/METADATA": ""})
    monkeypatch.setattr(sys, "path", [str(installed), *sys.path])
    folders = [installed / f"p{number}" for number in range(400)]
    folders += [outside / f"module{number}" for number in range(5)]
    files = [folder / "a.py" for folder in folders]

    def decide() -> None:
        ownership = Ownership([flow])
        assert not any(map(ownership.owns, files))

    def resolve() -> None:
        for file in files:
            os.path.realpath(file)

    # In turns, as a machine that is busy is so for both of them.
    tries = [(cpu_seconds(resolve), cpu_seconds(decide)) for _ in range(9)]
    floor, decided = map(min, zip(*tries, strict=True))
    assert decided <= max(0.020, 5 * floor)


def cpu_seconds(action: Callable[[], object]) -> float:
    begin = time.process_time()
    action()
    return time.process_time() - begin
