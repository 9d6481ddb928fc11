"""Stored values as texts, and how two of them differ."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import pytest
from reflow.codecs.codecs import Codecs
from reflow.model.canonical import dumps
from reflow.runs.explain.shown import LONGEST, shown
from reflow.runs.replay.compare import Moved, differences

CODECS = Codecs()


class Colour(Enum):
    RED = 1


@dataclass
class Fit:
    slope: float
    names: list[str]


@dataclass
class Trend:
    slope: float
    names: list[str]


def text_of(value: Any, annotation: Any = Any) -> str:
    return dumps(CODECS.encode(value, annotation))


@pytest.mark.parametrize(
    ("value", "annotation", "text"),
    [
        (1.5, float, "1.5"),
        ("a", str, "'a'"),
        (None, None, "None"),
        ([1, "b"], list, "[1, 'b']"),
        ((1,), tuple, "(1,)"),
        ({"a": 1}, dict, "{'a': 1}"),
        ({"b": 1, "a": 2}, dict, "{'b': 1, 'a': 2}"),
        (Path("x/y"), Path, "x/y"),
        (b"1234", bytes, "4 bytes"),
        (Colour.RED, Colour, "Colour.RED"),
        (Fit(0.5, ["a"]), Fit, "Fit(names=['a'], slope=0.5)"),
    ],
)
def test_a_stored_value_is_shown_much_as_python_writes_it(
    value: Any, annotation: Any, text: str
) -> None:
    assert shown(text_of(value, annotation)) == text


def test_a_long_value_is_cut() -> None:
    assert len(shown(text_of(list(range(10_000))))) <= LONGEST
    assert shown(text_of("x" * 1000)).endswith("...")
    assert shown("no JSON") == "no JSON"


@pytest.mark.parametrize(
    ("old", "new", "annotation", "texts"),
    [
        (1, 1, Any, []),
        (1, 2, Any, ["it: 1 → 2"]),
        ([1, 2], [1, 3], Any, ["[1]: 2 → 3"]),
        ([1], [1, 2], Any, ["it has 2 items, and had 1"]),
        ({"a": [1]}, {"a": [2]}, Any, [".a[0]: 1 → 2"]),
        ({"b": 1, "a": 2}, {"b": 1, "a": 3}, Any, [".a: 2 → 3"]),
        ({"a": 1}, {"c": 1}, Any, [".a is gone, and was 1", ".c is new: 1"]),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, Any, []),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1, "c": 3}, Any, [".c is new: 3"]),
        ({"b": 2, "a": 1}, {"a": 1}, Any, [".b is gone, and was 2"]),
        ({"x": {"a": 1, "b": 2}}, {"x": {"b": 3, "a": 1}}, Any, [".x.b: 2 → 3"]),
        ({1: 1}, {1: 2}, Any, ["[1]: 1 → 2"]),
        ({"1": 1}, {1: 1}, Any, [".1 is gone, and was 1", "[1] is new: 1"]),
        ([1, 2], {"a": 1, "b": 2}, Any, ["it: [1, 2] → {'a': 1, 'b': 2}"]),
        ((1, 2), {"b": 1, "a": 2}, Any, ["it: (1, 2) → {'b': 1, 'a': 2}"]),
        (1, True, Any, ["it: 1 → True"]),
        (Fit(1.0, ["a"]), Fit(2.0, ["a"]), Fit, [".slope: 1.0 → 2.0"]),
        ((1, 2), (1, 3), tuple, ["[1]: 2 → 3"]),
    ],
)
def test_values_are_compared_place_by_place(
    old: Any, new: Any, annotation: Any, texts: list[str]
) -> None:
    moved = Moved({}, "/")
    before, now = text_of(old, annotation), text_of(new, annotation)
    assert differences(before, now, CODECS, moved) == (texts, len(texts))


def test_a_value_of_another_class_differs() -> None:
    before, now = text_of(Fit(1.0, []), Fit), text_of(Trend(1.0, []), Trend)
    texts, number = differences(before, now, CODECS, Moved({}, "/"))
    assert (texts, number) == (["it: Fit(names=[], slope=1.0) → Trend(names=[], slope=1.0)"], 1)


@pytest.mark.parametrize("damaged", ["no JSON", '{"$dict":[1]}', '{"$dict":7}'])
def test_what_cannot_be_compared_differs(damaged: str) -> None:
    for old, new in ((damaged, text_of({"a": 1})), (text_of({"a": 1}), damaged)):
        texts, number = differences(old, new, CODECS, Moved({}, "/"))
        assert number == 1
        assert "cannot be compared" in texts[0]


def test_what_the_codec_of_a_plugin_cannot_count_differs(monkeypatch: pytest.MonkeyPatch) -> None:
    def fingerprint(*_: Any) -> None:
        raise RuntimeError("no such library")

    monkeypatch.setattr(CODECS, "fingerprint", fingerprint)
    texts, number = differences(text_of((1,)), text_of((2,)), CODECS, Moved({}, "/"))
    assert (texts, number) == (["it cannot be compared (RuntimeError), and counts as different"], 1)


def test_many_differences_are_counted() -> None:
    found, number = differences(
        text_of(list(range(100))), text_of(list(range(1, 101))), CODECS, Moved({}, "/")
    )
    assert (len(found), number) == (10, 100)


def test_a_path_of_the_replay_stands_for_that_of_the_run(tmp_path: Path) -> None:
    moved = Moved({str(tmp_path / "run"): "/data/run", str(tmp_path / "files"): ""}, "/work")
    for old, new in (
        ("/data/run/a.txt", tmp_path / "run" / "a.txt"),
        ("out.txt", tmp_path / "files" / "work" / "out.txt"),
        ("/abs/out.txt", tmp_path / "files" / "abs" / "out.txt"),
    ):
        before, now = text_of(Path(old), Path), text_of(new, Path)
        assert differences(before, now, CODECS, moved) == ([], 0)
    found, _ = differences(text_of(Path("/a"), Path), text_of(Path("/b"), Path), CODECS, moved)
    assert found == ["it: /a → /b"]


def test_a_file_of_another_content_differs(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "new").mkdir()
    (tmp_path / "old" / "x").write_text("one")
    (tmp_path / "new" / "x").write_text("two")
    moved = Moved({str(tmp_path / "new"): str(tmp_path / "old")}, "/")
    old, new = (text_of(tmp_path / name / "x", Path) for name in ("old", "new"))
    assert differences(old, new, CODECS, moved)[0] == ["the file: x has another content"]
    (tmp_path / "new" / "x").write_text("one")
    assert differences(old, new, CODECS, moved)[0] == []
