"""Entry points are found as `importlib.metadata` finds them, at a fraction of its price."""

from __future__ import annotations

import importlib.metadata
import sys
import zipfile
from pathlib import Path

import pytest
from reflow.plugins.entry_points import EntryPoint, find_entry_points
from reflow.testing.plugins import write_distribution


def by_importlib(group: str) -> list[EntryPoint]:
    return sorted(
        EntryPoint(point.name, point.value, point.dist.name, point.dist.version)
        for point in importlib.metadata.entry_points(group=group)
        if point.dist
    )


@pytest.mark.parametrize("group", ["reflow", "console_scripts", "pytest11", "no such group"])
def test_what_is_installed_is_found_as_importlib_finds_it(group: str) -> None:
    assert sorted(find_entry_points(group)) == by_importlib(group)


def write(folder: Path, distribution: str, version: str, text: str) -> None:
    write_distribution(folder, distribution, version, {}, {})
    [information] = folder.glob(f"*-{version}.dist-info")
    (information / "entry_points.txt").write_text(text)


@pytest.mark.parametrize(
    "text",
    [
        "[reflow]\npond = pond.plugin\n",
        "# comment\n\n[other]\na = b\n\n[reflow]\n  pond=pond.plugin:hooks [extra]\nlake = lake\n",
        "[other]\na = [reflow]\n",
        "[reflow]\n# none\n",
        "",
    ],
)
def test_files_are_read_as_importlib_reads_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    write(tmp_path, "reflow-pond", "1.2", text)
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    assert sorted(find_entry_points("reflow")) == by_importlib("reflow")


def test_of_a_distribution_that_is_there_twice_the_first_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "a", "Reflow.Pond", "2.0", "[reflow]\nnew = new\n")
    write(tmp_path / "b", "reflow-pond", "1.0", "[reflow]\nold = old\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path / "a"), str(tmp_path / "b")])
    assert [point.value for point in find_entry_points("reflow")] == ["new"]


def test_distributions_in_a_source_tree_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    information = tmp_path / "reflow_pond.egg-info"
    information.mkdir()
    (information / "PKG-INFO").write_text("Metadata-Version: 2.1\nName: reflow-pond\nVersion: 3\n")
    (information / "entry_points.txt").write_text("[reflow]\npond = pond\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    assert find_entry_points("reflow") == [EntryPoint("pond", "pond", "reflow-pond", "3")]


def test_distributions_in_an_archive_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "tree", "reflow-pond", "1.0", "[reflow]\npond = pond\n")
    archive = tmp_path / "archive.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        for file in (tmp_path / "tree").glob("*/*"):
            packed.write(file, file.relative_to(tmp_path / "tree"))
    monkeypatch.setattr(sys, "path", [str(archive)])
    assert find_entry_points("reflow") == [EntryPoint("pond", "pond", "reflow-pond", "1.0")]


def test_distributions_that_an_import_hook_provides_are_found(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    write(tmp_path, "reflow-pond", "1.0", "[reflow]\npond = pond\n")
    [information] = tmp_path.glob("*.dist-info")

    class Hook(importlib.metadata.DistributionFinder):
        def find_spec(self, *arguments: object) -> None:
            return None

        def find_distributions(
            self, context: object = None
        ) -> list[importlib.metadata.Distribution]:
            return [importlib.metadata.PathDistribution(information)]

    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, Hook()])
    monkeypatch.setattr(sys, "path", [])
    assert find_entry_points("reflow") == [EntryPoint("pond", "pond", "reflow-pond", "1.0")]


def test_folders_that_are_not_there_are_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", ["/no/such/folder"])
    assert find_entry_points("reflow") == []


@pytest.mark.parametrize("value", ["pathlib:Path.cwd", "pathlib : Path.cwd [extra]"])
def test_an_entry_point_leads_to_what_it_names(value: str) -> None:
    assert EntryPoint("x", value, "d", "1").load() == Path.cwd
    assert EntryPoint("x", "pathlib", "d", "1").load() is sys.modules["pathlib"]
