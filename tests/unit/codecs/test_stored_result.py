from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reflow.codecs.codecs import Codecs
from reflow.codecs.contract import CodecContext
from reflow.codecs.stored_result import (
    NotAListError,
    StoredResult,
    encode_result,
    join,
    pairs,
    parts,
)
from reflow.errors import StoredValueError, UnstorableValueError
from reflow.model.canonical import digest, dumps, loads
from reflow.model.json import Json

from tests.unit.codecs.shapes import Point

codecs = Codecs()
json_values = st.recursive(
    st.none() | st.integers() | st.floats() | st.text(), st.lists, max_leaves=8
)
RUN = Path("/scratch/project/run")


def sealed(value: Any, run_dir: Path = RUN, annotation: Any = Any) -> StoredResult:
    return encode_result(value, annotation, run_dir, codecs)


# -- what a value counts by, and what it refers to -----------------------------------------------
def counted(value: Any, annotation: Any = Any) -> str:
    return dumps(codecs.fingerprint(codecs.encode(value, annotation), {}))


@pytest.mark.parametrize("value", [None, 0, "", [], {"a": (1, {2})}, "$path", {"$path": "x"}])
def test_a_value_without_files_counts_by_its_text(value: Any) -> None:
    result = sealed(value)
    assert result.output == dumps(codecs.encode(value)) == counted(value)
    assert result.places == ()
    assert result.bound_dir is None


def test_values_that_differ_only_in_type_or_order_count_differently() -> None:
    values: list[Any] = [
        1, True, 1.0, "1", b"1", [1], (1,), {1}, frozenset({1}), 0, False, 0.0, -0.0, None,
        {"a": 1, "b": 2}, {"b": 2, "a": 1}, {1: 2}, {"1": 2},
    ]  # fmt: skip
    assert len(set(map(counted, values))) == len(values)


class Pair(NamedTuple):
    one: Path
    other: Path


def test_the_paths_in_a_value_are_found_wherever_they_are() -> None:
    value = {
        "list": [Path("/a"), 1],
        "tuple": (Path("b"),),
        "dict": {2: Path("/c"), Path("/d"): 3},
        "dataclass": Point(Path("/e")),
        "named": Pair(Path("/f"), Path("/g")),
        "set": {Path("/h")},
    }
    assert sorted(sealed(value, annotation=(Point, Pair)).places) == [
        "/a", "/c", "/d", "/e", "/f", "/g", "/h", "b",
    ]  # fmt: skip


def test_a_path_counts_by_its_text_and_by_its_file() -> None:
    assert counted([Path("/a")]) != counted([Path("/b")])
    data = codecs.encode([{"x": Path("/a")}, "y"])
    one, other = (codecs.fingerprint(data, {"/a": state}) for state in ("one", "other"))
    assert one == [{"x": {"$path": ["/a", "one"]}}, "y"]
    assert one != other


def test_texts_and_pure_paths_that_look_like_paths_refer_to_nothing() -> None:
    assert sealed(["/a", PurePosixPath("/a")]).places == ()


@pytest.mark.parametrize("name", ["\x00", "a\x00b", "\udcff", "x" * 5000, "", "~", "\ud800\udc00"])
def test_any_path_is_given_as_it_is_spelt(name: str) -> None:
    assert sealed(Path("/nowhere") / name).places == (str(Path("/nowhere") / name),)


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


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (None, "None"),
        ("[]", "str"),
        (1, "int"),
        ({"a": 1}, "dict"),
        ({1}, "set"),
        (Point(1), "dataclass"),
    ],
)
def test_what_is_no_list_is_not_taken_apart(value: Any, kind: str) -> None:
    text = dumps(codecs.encode(value, Point))
    with pytest.raises(NotAListError, match=kind):
        parts(text)


@given(st.lists(json_values))
def test_a_tuple_is_taken_apart_as_a_list_is(items: list[Any]) -> None:
    text = dumps(codecs.encode(tuple(items)))
    assert parts(text) == [dumps(codecs.encode(item)) for item in items]


@given(st.dictionaries(st.one_of(st.text(), st.integers()), json_values))
def test_a_dict_is_taken_apart_into_its_items_in_their_order(value: dict[Any, Any]) -> None:
    text = dumps(codecs.encode(value))
    assert pairs(text) == [dumps(codecs.encode(item)) for item in value.items()]


@pytest.mark.parametrize(
    ("value", "kind"), [(None, "None"), ("{}", "str"), ([1], "list"), ((1, 2), "tuple")]
)
def test_what_is_no_dict_has_no_items(value: Any, kind: str) -> None:
    with pytest.raises(NotAListError, match=f"a dict is needed .* not {kind}"):
        pairs(dumps(codecs.encode(value)))


# -- codecs of plugins ----------------------------------------------------------------------------
class Blob:
    def __init__(self, content: str) -> None:
        self.content = content


class BlobCodec:
    """Keeps content in a file, and counts by the content."""

    name = "blob"
    needs_class = False

    def handles(self, kind: type) -> bool:
        return kind is Blob

    def encode(self, value: Any, context: CodecContext) -> Json:
        assert context.directory is not None
        file = context.directory / f"{digest(value.content)}.blob"
        file.write_text(value.content)
        return {"file": str(file), "path": context.encode(file)}

    def decode(self, data: Any, kind: type, context: CodecContext) -> Any:
        return Blob(Path(data["file"]).read_text())

    def places(self, data: Any) -> Sequence[str]:
        return (data["file"],)

    def fingerprint(self, data: Any) -> Json:
        return Path(data["file"]).stem


def test_a_value_in_a_file_that_a_plugin_wrote_counts_by_what_the_plugin_says(
    tmp_path: Path,
) -> None:
    codecs = Codecs(lambda: [BlobCodec()])
    one, other = tmp_path / "one", tmp_path / "other"
    counted = []
    for folder in (one, other):
        folder.mkdir()
        result = encode_result([Blob("x")], Any, RUN, codecs, folder)
        file = f"{folder}/{digest('x')}.blob"
        # The path that it keeps beside it is a part of its data, and a place as well.
        assert result.places == (file, file)
        counted.append(codecs.fingerprint(loads(result.output), {file: folder.name}))
    assert counted[0] == counted[1]


def test_a_file_of_a_plugin_in_the_run_directory_binds_the_value_to_it(tmp_path: Path) -> None:
    codecs = Codecs(lambda: [BlobCodec()])
    assert encode_result(Blob("x"), Blob, tmp_path, codecs, tmp_path).bound_dir == str(tmp_path)


def test_without_the_plugin_its_value_counts_by_nothing(tmp_path: Path) -> None:
    result = encode_result(Blob("x"), Blob, RUN, Codecs(lambda: [BlobCodec()]), tmp_path)
    with pytest.raises(StoredValueError, match="blob"):
        codecs.fingerprint(loads(result.output), {})


def test_what_cannot_be_stored_is_not_sealed() -> None:
    with pytest.raises(UnstorableValueError, match="object"):
        sealed([object()])
