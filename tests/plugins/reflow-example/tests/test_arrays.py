"""The codec for NumPy arrays, through the kit for codecs; and arrays on their way."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy
import pytest
from numpy.typing import NDArray
from reflow import Result, Workflow
from reflow.testing.codecs import FileCodecConformance
from reflow_example.arrays import NpyCodec


# [start:conformance]
class TestNpy(FileCodecConformance):
    @pytest.fixture
    def codec(self) -> NpyCodec:
        return NpyCodec()

    @pytest.fixture
    def values(self) -> Sequence[Any]:
        return [
            numpy.array([1.5, numpy.nan, -0.0]),
            numpy.arange(6).reshape(2, 3),
            numpy.arange(6).reshape(2, 3).T,
            numpy.arange(6, dtype=">i2"),
            numpy.array(7),
            numpy.zeros((0, 3)),
            numpy.array(["ü", "\x00x"]),
            numpy.array([(1, 2.0)], dtype=[("a", int), ("b", float)]),
            numpy.array(["2026-11-22", "NaT"], dtype="datetime64[s]"),
        ]

    @pytest.fixture
    def unstorable(self) -> Sequence[Any]:
        return [numpy.array([object()]), numpy.ma.masked_array([1, 2], [True, False])]

    def same(self, value: Any, back: Any) -> bool:
        return (
            type(value) is type(back)
            and value.dtype == back.dtype
            and value.shape == back.shape
            and value.tobytes() == back.tobytes()
        )


# [end:conformance]
calls: list[str] = []


def grid_workflow(number: int) -> Workflow:
    wf = Workflow("grid")

    @wf.job(version="1")
    def grid() -> NDArray[numpy.int64]:
        calls.append("grid")
        return numpy.full((2, 2), number)

    @wf.job(version="1")
    def numbers() -> list[int]:
        return [1, 2]

    @wf.job(array=True, version="1")
    def scaled(
        field: Annotated[NDArray[numpy.int64], Result(step="grid")],
        number: Annotated[int, Result(step="numbers")],
    ) -> NDArray[numpy.int64]:
        calls.append(f"scaled {number}")
        return field * number

    return wf


def test_an_array_reaches_every_element_and_comes_back_from_the_cache(tmp_path: Path) -> None:
    calls.clear()
    for _ in range(2):
        run = grid_workflow(3).run_local(run_dir=tmp_path / "run", max_workers=1)
        assert [array.tolist() for array in run.result("scaled")] == [
            [[3, 3], [3, 3]],
            [[6, 6], [6, 6]],
        ]
    assert calls == ["grid", "scaled 1", "scaled 2"]


def test_an_array_whose_file_is_gone_is_made_again(tmp_path: Path) -> None:
    calls.clear()
    grid_workflow(3).run_local(run_dir=tmp_path / "run", max_workers=1)
    for path in (tmp_path / "run").rglob("*.npy"):
        path.unlink()
    grid_workflow(3).run_local(run_dir=tmp_path / "run", max_workers=1)
    assert calls.count("grid") == 2
