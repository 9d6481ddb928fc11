from __future__ import annotations

import os
from pathlib import Path

import pytest
from reflow.fingerprint.files.places import Surroundings, Ways, place

from tests.unit.fingerprint.looks import look_at, surroundings


def links_on_the_way(place: str, surroundings: Surroundings) -> tuple[tuple[str, str], ...]:
    return Ways(surroundings).to(place).links


@pytest.mark.parametrize(
    ("text", "placed"),
    [
        ("data", "/work/data"),
        ("/abs/data", "/abs/data"),
        ("./data/", "/work/data"),
        (".", "/work"),
        ("a//b", "/work/a/b"),
        ("../other", "/work/../other"),  # `..` after a link is not what its text says
        (".hidden", "/work/.hidden"),
    ],
)
def test_a_place_is_the_path_as_given_made_absolute(text: str, placed: str) -> None:
    assert place(text, "/work") == placed


def test_a_place_is_not_resolved(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    assert place("link/x", str(tmp_path)) == f"{tmp_path}/link/x"


def links(path: Path, folder: Path) -> tuple[tuple[str, str], ...]:
    return links_on_the_way(str(path), surroundings(folder))


def test_each_link_on_the_way_and_at_the_end_counts_by_its_text(tmp_path: Path) -> None:
    (tmp_path / "v1").mkdir()
    (tmp_path / "v1" / "file").write_text("")
    (tmp_path / "v1" / "newest").symlink_to("file")
    (tmp_path / "stable").symlink_to("v1")
    (tmp_path / "current").symlink_to(tmp_path / "stable")
    assert links(tmp_path / "current" / "newest", tmp_path) == (
        (f"{tmp_path}/current", f"{tmp_path}/stable"),
        (f"{tmp_path}/stable", "v1"),
        (f"{tmp_path}/current/newest", "file"),
    )


def test_parents_are_those_of_where_a_link_leads(tmp_path: Path) -> None:
    (tmp_path / "far" / "inner").mkdir(parents=True)
    (tmp_path / "far" / "file").write_text("here")
    (tmp_path / "link").symlink_to("far/inner")
    state = look_at(tmp_path / "link/../file")
    assert (state.kind, state.size) == ("file", 4)


@pytest.mark.skipif(os.geteuid() != 0, reason="makes links that belong to somebody else")
@pytest.mark.parametrize(
    ("users", "inside", "counts"),
    [(False, False, False), (False, True, True), (True, False, True), (True, True, True)],
)
def test_links_of_root_outside_the_users_folders_do_not_count(
    tmp_path: Path, users: bool, inside: bool, counts: bool
) -> None:
    folder = tmp_path / ("home" if inside else "site")
    (folder / "v1").mkdir(parents=True)
    link = folder / "current"
    link.symlink_to("v1")
    if users:
        os.chown(link, 12345, 12345, follow_symlinks=False)
    nowhere = str(tmp_path / "nowhere")
    found = links_on_the_way(f"{link}/x", Surroundings(nowhere, nowhere, str(tmp_path / "home")))
    assert found == (((str(link), "v1"),) if counts else ())


@pytest.mark.skipif(os.geteuid() != 0, reason="makes links that are the site's")
def test_links_below_the_sites_are_named_alike_on_every_host(tmp_path: Path) -> None:
    found = set()
    for host in ("one", "two"):
        (tmp_path / host / "user").mkdir(parents=True)
        link = tmp_path / host / "user" / "current"
        link.symlink_to("v1")
        os.chown(link, 12345, 12345, follow_symlinks=False)
        (tmp_path / "scratch").unlink(missing_ok=True)
        (tmp_path / "scratch").symlink_to(host)
        nowhere = Surroundings("/nowhere", "/nowhere", "/nowhere")
        found.add(links_on_the_way(f"{tmp_path}/scratch/user/current", nowhere))
    assert found == {((f"{tmp_path}/scratch/user/current", "v1"),)}


def test_a_working_directory_below_a_link_is_still_the_users(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "current").symlink_to("v1")
    (tmp_path / "spelt").symlink_to("real")
    spelt = str(tmp_path / "spelt")
    found = links_on_the_way(f"{spelt}/current", Surroundings(spelt, spelt, spelt))
    assert (f"{spelt}/current", "v1") in found


def test_links_in_a_circle_are_unreadable(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    state = look_at(tmp_path / "a" / "x")
    assert state.kind == "unreadable"
    assert "symbolic links" in state.reason


def test_links_that_double_at_each_step_end_soon(tmp_path: Path) -> None:
    (tmp_path / "l0").mkdir()
    for number in range(1, 60):
        (tmp_path / f"l{number}").symlink_to(f"l{number - 1}/../l{number - 1}")
    assert look_at(tmp_path / "l59").kind == "unreadable"
