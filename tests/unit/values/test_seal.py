from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reflow.errors import StoredValueError, UnstorableValueError
from reflow.model.json import Json
from reflow.values.codecs import Codecs
from reflow.values.contract import CodecContext
from reflow.values.seal import (
    NotAListError,
    Sealed,
    changed_since,
    concatenate,
    content_fingerprint,
    is_stale,
    join,
    parts,
    seal,
)
from reflow.values.text import digest, dumps, loads

from tests.unit.values.shapes import Point

codecs = Codecs()
json_values = st.recursive(
    st.none() | st.integers() | st.floats() | st.text(), st.lists, max_leaves=8
)
RUN = Path("/scratch/project/run")


def sealed(value: Any, run_dir: Path = RUN, annotation: Any = Any) -> Sealed:
    return seal(value, annotation, run_dir, codecs)


# -- fingerprints ---------------------------------------------------------------------------------
@pytest.mark.parametrize("value", [None, 0, "", [], {"a": (1, {2})}, "$path", {"$path": "x"}])
def test_a_value_without_files_counts_by_its_text(value: Any) -> None:
    result = sealed(value)
    assert result.output == dumps(codecs.encode(value))
    assert result.fingerprint == digest(result.output)
    assert result.fingerprint == content_fingerprint(result.output, codecs)
    assert result.paths is None
    assert result.bound_dir is None


def test_values_that_differ_only_in_type_or_order_count_differently() -> None:
    values: list[Any] = [
        1, True, 1.0, "1", b"1", [1], (1,), {1}, frozenset({1}), 0, False, 0.0, -0.0, None,
        {"a": 1, "b": 2}, {"b": 2, "a": 1}, {1: 2}, {"1": 2},
    ]  # fmt: skip
    assert len({sealed(value).fingerprint for value in values}) == len(values)


def test_a_value_with_a_path_has_no_fingerprint_that_lasts(tmp_path: Path) -> None:
    assert sealed([{"x": tmp_path / "missing"}]).fingerprint is None


def test_a_file_counts_by_path_size_and_time(tmp_path: Path) -> None:
    file = tmp_path / "a.nc"
    file.write_bytes(b"one")
    os.utime(file, ns=(1, 1))
    output = sealed([Point(file)], annotation=Point).output
    before = content_fingerprint(output, codecs)
    assert content_fingerprint(output, codecs) == before

    file.write_bytes(b"two")
    os.utime(file, ns=(1, 1))
    assert content_fingerprint(output, codecs) == before

    os.utime(file, ns=(1, 2))
    assert content_fingerprint(output, codecs) != before

    file.write_bytes(b"three")
    os.utime(file, ns=(1, 1))
    assert content_fingerprint(output, codecs) != before

    other = tmp_path / "b.nc"
    other.write_bytes(b"one")
    os.utime(other, ns=(1, 1))
    assert content_fingerprint(dumps(codecs.encode([other])), codecs) != before


def test_a_folder_or_a_missing_file_counts_by_path_alone(tmp_path: Path) -> None:
    folder = dumps(codecs.encode(tmp_path))
    missing = dumps(codecs.encode(tmp_path / "missing"))
    before = [content_fingerprint(text, codecs) for text in (folder, missing)]
    (tmp_path / "new").touch()
    os.utime(tmp_path, ns=(5, 5))
    assert [content_fingerprint(text, codecs) for text in (folder, missing)] == before
    (tmp_path / "missing").touch()
    assert content_fingerprint(missing, codecs) != before[1]


def test_a_link_counts_by_the_file_it_leads_to(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    output = dumps(codecs.encode(tmp_path / "link"))
    before = content_fingerprint(output, codecs)
    (tmp_path / "file").write_text("xyz")
    assert content_fingerprint(output, codecs) != before


def test_a_relative_path_to_a_file_counts_by_the_folder_it_is_seen_from_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = dumps(codecs.encode(Path("a.nc")))
    found = []
    for name in ("one", "two", "none"):
        folder = tmp_path / name
        folder.mkdir()
        if name != "none":
            (folder / "a.nc").write_text("x")
            os.utime(folder / "a.nc", ns=(1, 1))
        monkeypatch.chdir(folder)
        found.append(content_fingerprint(output, codecs))
    assert len(set(found)) == 3


def test_a_text_that_looks_like_a_path_is_a_text(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    result = sealed(str(tmp_path / "file"))
    assert result.fingerprint == digest(result.output)
    assert result.paths is None


@pytest.mark.parametrize("name", ["\x00", "a\x00b", "\udcff", "x" * 5000, "", "~", "\ud800\udc00"])
def test_a_path_that_no_file_can_have_is_a_missing_file(name: str) -> None:
    result = sealed(Path("/nowhere") / name)
    assert is_stale(result.paths, result.output, codecs) is None
    assert changed_since(result.paths, result.output, codecs) is None
    assert content_fingerprint(result.output, codecs)


# -- what was recorded about files ----------------------------------------------------------------
@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "data" / "a.nc"
    file.parent.mkdir()
    file.write_text("content")
    os.utime(file, ns=(10, 10))
    return file


def test_a_hit_whose_file_is_gone_says_which(file: Path) -> None:
    result = sealed({"b": [file], "a": Path("/never/there")})
    assert is_stale(result.paths, result.output, codecs) is None
    file.unlink()
    assert is_stale(result.paths, result.output, codecs) == f"{file} no longer exists"
    assert changed_since(result.paths, result.output, codecs) == f"{file} no longer exists"


def test_a_folder_that_is_gone_makes_a_hit_a_miss_too(file: Path) -> None:
    result = sealed(file.parent)
    file.unlink()
    assert is_stale(result.paths, result.output, codecs) is None
    assert changed_since(result.paths, result.output, codecs) is None
    file.parent.rmdir()
    assert is_stale(result.paths, result.output, codecs) is not None


@pytest.mark.parametrize("how", ["size", "time", "kind"])
def test_a_file_that_changed_is_told_only_when_verifying(file: Path, how: str) -> None:
    result = sealed((file,))
    assert changed_since(result.paths, result.output, codecs) is None
    if how == "size":
        file.write_text("longer content")
        os.utime(file, ns=(10, 10))
    elif how == "time":
        os.utime(file, ns=(10, 11))
    else:
        file.unlink()
        file.mkdir()
    assert is_stale(result.paths, result.output, codecs) is None
    reason = changed_since(result.paths, result.output, codecs)
    assert reason is not None
    assert str(file) in reason


def test_what_is_recorded_is_canonical_and_says_path_kind_size_and_time(file: Path) -> None:
    paths = sealed(file).paths
    assert paths is not None
    assert dumps(loads(paths)) == paths
    facts = {"path": str(file), "kind": "file", "size": 7, "mtime_ns": 10}
    assert loads(paths) == [{"codec": "path", "existed": True, "recorded": facts}]


@pytest.mark.parametrize("paths", ["[]", "{}", "[1]", '[{"codec":"other"}]', "nonsense"])
def test_a_record_that_does_not_fit_makes_a_hit_a_miss(file: Path, paths: str) -> None:
    output = sealed(file).output
    assert is_stale(paths, output, codecs) is not None
    assert changed_since(paths, output, codecs) is not None


# -- mentions of the run directory ----------------------------------------------------------------
@pytest.mark.parametrize(
    "value",
    [
        RUN,
        RUN / "out.nc",
        RUN / ".." / "run" / "x",
        RUN / "..",
        str(RUN),
        f"{RUN}/",
        f"{RUN}/out.nc",
        f"written to {RUN}/out.nc, and more",
        f"see {RUN}.",
        f"see {RUN}: done",
        f'"{RUN}"',
        f"--out={RUN}/x",
        f"-I{RUN}/include",
        f"file://{RUN}/x",
        f"host:{RUN}/x",
        f"a:{RUN}:b",
        "/scratch//project/./run/x",
        "/scratch/project/other/../run/x",
        f"first\n{RUN}/é\n",
        {"a": [({f"{RUN}/x"},)]},
        {f"{RUN}/x": 1},
        {"b": 1, f"{RUN}/x": 1},
        {RUN / "x": 1},
        Point(str(RUN)),
        f"/x{RUN} and then {RUN}",
    ],
    ids=repr,
)
def test_a_value_that_mentions_the_run_directory_is_bound_to_it(value: Any) -> None:
    assert sealed(value, annotation=Point).bound_dir == str(RUN)


@pytest.mark.parametrize(
    "value",
    [
        Path(f"{RUN}2"),
        RUN.parent,
        RUN.parent / "other",
        Path(f"/x{RUN}/y"),
        f"{RUN}2/x",
        f"{RUN}-old/x",
        f"{RUN}_1",
        f"{RUN}.bak",
        f"{RUN}é",
        f"/x{RUN}/y",
        f"/x/y{RUN}/y",
        "/scratch/project",
        "scratch/project/run",
        "run",
        b"" + str(RUN).encode(),
    ],
    ids=repr,
)
def test_a_value_that_mentions_only_something_like_it_is_not(value: Any) -> None:
    assert sealed(value).bound_dir is None


@pytest.mark.parametrize("name", ['a "b"', "é", "$HOME", "a\\b", "x.y", "(a|b)", "\udcff", "😀"])
def test_the_name_of_the_run_directory_may_hold_any_character(name: str) -> None:
    run = RUN / name
    for value in (run / "x", f"in {run}/x", {f"{run}/x": 1}):
        assert sealed(value, run).bound_dir == str(run)
    assert sealed(f"{run}x", run).bound_dir is None


def test_the_run_directory_is_found_under_its_real_name_and_through_links(tmp_path: Path) -> None:
    real, link, other = tmp_path / "real", tmp_path / "link", tmp_path / "other"
    real.mkdir()
    link.symlink_to(real)
    other.symlink_to(real)
    for mention in (str(real / "x"), real / "x", str(link / "x"), link / "x", other / "x"):
        assert sealed(mention, link).bound_dir == str(link)
    assert sealed(tmp_path / "realx", link).bound_dir is None


def test_a_link_in_the_run_directory_to_something_outside_is_a_mention(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (tmp_path / "data").touch()
    (run / "input").symlink_to(tmp_path / "data")
    assert sealed(run / "input", run).bound_dir == str(run)


def test_a_relative_path_that_leads_into_the_run_directory_is_a_mention(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "run").mkdir()
    monkeypatch.chdir(tmp_path)
    assert sealed(Path("run/x"), tmp_path / "run").bound_dir is not None
    assert sealed(Path("other/x"), tmp_path / "run").bound_dir is None


def test_everything_lies_in_the_root_directory() -> None:
    assert sealed(Path("/x"), Path("/")).bound_dir == "/"
    assert sealed("nothing", Path("/")).bound_dir is None


# -- lists ----------------------------------------------------------------------------------------
@given(st.lists(json_values))
def test_the_parts_of_a_list_are_the_texts_of_its_items(items: list[Any]) -> None:
    text = dumps(codecs.encode(items))
    assert parts(text) == [dumps(codecs.encode(item)) for item in items]
    assert join(parts(text)) == text


@given(st.lists(st.lists(st.text())))
def test_lists_are_concatenated_without_reading_them(lists: list[list[str]]) -> None:
    texts = [dumps(codecs.encode(items)) for items in lists]
    assert loads(concatenate(texts)) == [item for items in lists for item in items]


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (None, "None"),
        ("[]", "str"),
        (1, "int"),
        ({"a": 1}, "dict"),
        ((1, 2), "tuple"),
        ({1}, "set"),
        (Point(1), "dataclass"),
    ],
)
def test_what_is_no_list_is_not_taken_apart(value: Any, kind: str) -> None:
    text = dumps(codecs.encode(value, Point))
    with pytest.raises(NotAListError, match=kind):
        parts(text)
    with pytest.raises(NotAListError, match=kind):
        concatenate(["[]", text])


def test_a_part_counts_like_the_same_value_alone() -> None:
    result = sealed([{"b": 1, "a": (2,)}, "x"])
    fingerprints = [content_fingerprint(part, codecs) for part in parts(result.output)]
    assert fingerprints == [sealed({"b": 1, "a": (2,)}).fingerprint, sealed("x").fingerprint]


# -- codecs of plugins ----------------------------------------------------------------------------
class Blob:
    def __init__(self, content: str) -> None:
        self.content = content


class BlobCodec:
    """Keeps content in a file, and counts by the content."""

    name = "blob"

    def handles(self, kind: type) -> bool:
        return kind is Blob

    def encode(self, value: Any, context: CodecContext) -> Json:
        assert context.directory is not None
        file = context.directory / f"{digest(value.content)}.blob"
        file.write_text(value.content)
        return {"file": str(file), "path": context.encode(file)}

    def decode(self, data: Any, kind: type, context: CodecContext) -> Any:
        return Blob(Path(data["file"]).read_text())

    def fingerprint(self, data: Any) -> Json:
        return digest(Path(data["file"]).read_text())

    def recorded(self, data: Any) -> Json:
        return {"length": Path(data["file"]).stat().st_size}

    def exists(self, data: Any) -> bool:
        return Path(data["file"]).exists()

    def verify(self, data: Any, recorded: Json) -> bool:
        return self.recorded(data) == recorded


def test_a_plugin_decides_what_its_values_count_by_and_when_they_are_stale(tmp_path: Path) -> None:
    codecs = Codecs(lambda: [BlobCodec()])
    result = seal([Blob("one")], Any, RUN, codecs, tmp_path)
    (file,) = tmp_path.glob("*.blob")
    assert result.fingerprint is None
    before = content_fingerprint(result.output, codecs)
    os.utime(file, ns=(1, 1))
    assert content_fingerprint(result.output, codecs) == before
    file.write_text("three")
    assert content_fingerprint(result.output, codecs) != before
    assert is_stale(result.paths, result.output, codecs) is None
    assert "blob" in str(changed_since(result.paths, result.output, codecs))
    file.unlink()
    assert "blob" in str(is_stale(result.paths, result.output, codecs))


def test_a_file_of_a_plugin_in_the_run_directory_binds_the_value_to_it(tmp_path: Path) -> None:
    codecs = Codecs(lambda: [BlobCodec()])
    assert seal(Blob("x"), Blob, tmp_path, codecs, tmp_path).bound_dir == str(tmp_path)


def test_without_the_plugin_a_hit_is_a_miss_and_a_fingerprint_an_error(tmp_path: Path) -> None:
    result = seal(Blob("x"), Blob, RUN, Codecs(lambda: [BlobCodec()]), tmp_path)
    assert "blob" in str(is_stale(result.paths, result.output, codecs))
    with pytest.raises(StoredValueError, match="blob"):
        content_fingerprint(result.output, codecs)


def test_what_cannot_be_stored_is_not_sealed() -> None:
    with pytest.raises(UnstorableValueError, match="object"):
        sealed([object()])
