from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pytest
from reflow.errors import UsageError
from reflow.report.export import export


def test_text_and_bytes_are_written_as_they_are(tmp_path: Path) -> None:
    export("a\r\nΩ", tmp_path / "text.md")
    assert (tmp_path / "text.md").read_bytes() == "a\r\nΩ".encode()
    export(b"\x00", tmp_path / "raw")
    assert (tmp_path / "raw").read_bytes() == b"\x00"


def test_a_path_is_written_as_a_copy_of_what_it_names(tmp_path: Path) -> None:
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "part").write_text("1")
    export(tmp_path / "made" / "part", tmp_path / "one.txt")
    export(tmp_path / "made", tmp_path / "all")
    assert (tmp_path / "one.txt").read_text() == "1"
    assert (tmp_path / "all" / "part").read_text() == "1"


@pytest.mark.parametrize("value", [3, [1, 2], {"a": None}, "text"])
def test_anything_plain_is_written_as_json_or_as_a_pickle(value: Any, tmp_path: Path) -> None:
    export(value, tmp_path / "value.json")
    assert json.loads((tmp_path / "value.json").read_text()) == value
    export(value, tmp_path / "value.pkl")
    assert pickle.loads((tmp_path / "value.pkl").read_bytes()) == value


def test_values_of_libraries_are_written_by_their_own_writers(tmp_path: Path) -> None:
    numpy, pandas = pytest.importorskip("numpy"), pytest.importorskip("pandas")
    export(numpy.arange(3), tmp_path / "a.npy")
    assert numpy.load(tmp_path / "a.npy").tolist() == [0, 1, 2]
    export(numpy.arange(3), tmp_path / "a.csv")
    assert numpy.loadtxt(tmp_path / "a.csv").tolist() == [0, 1, 2]
    frame = pandas.DataFrame({"a": [1, 2]})
    export(frame, tmp_path / "f.csv")
    assert pandas.read_csv(tmp_path / "f.csv", index_col=0).equals(frame)
    xarray = pytest.importorskip("xarray")
    export(xarray.Dataset({"a": ("x", [1, 2])}), tmp_path / "d.nc")
    assert xarray.load_dataset(tmp_path / "d.nc")["a"].values.tolist() == [1, 2]


@pytest.mark.parametrize("name", ["value.npy", "value", "value.JPG"])
def test_a_suffix_without_a_format_is_refused_with_those_there_are(
    name: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=r"use \.json, \.pkl"):
        export([1], tmp_path / name)


def test_a_file_that_cannot_be_written_is_the_users_mistake(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file or directory"):
        export([1], tmp_path / "nowhere" / "value.json")
    with pytest.raises(UsageError, match="not written"):
        export(lambda: 0, tmp_path / "value.pkl")
