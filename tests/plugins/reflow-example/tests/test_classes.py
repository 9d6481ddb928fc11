"""The codec for attrs classes, through the kit for codecs; and their instances on their way."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import attrs
import numpy
import pytest
from reflow import Result, Workflow
from reflow.testing.codecs import CodecConformance
from reflow_example.classes import AttrsCodec


# [start:conformance]
@attrs.frozen
class Place:
    name: str
    height: float | None = None


@attrs.define(eq=False)
class Station:
    place: Place
    heights: Any = ()


class TestAttrs(CodecConformance):
    @pytest.fixture
    def codec(self) -> AttrsCodec:
        return AttrsCodec()

    @pytest.fixture
    def annotation(self) -> Any:
        return Place | Station

    @pytest.fixture
    def values(self) -> Sequence[Any]:
        return [
            Place(""),
            Place("Zugspitze", 2962.0),
            Place("Zugspitze", float("inf")),
            Station(Place("ü"), numpy.zeros((0, 3))),
            Station(Place("ü"), numpy.arange(1e6)),
        ]

    def same(self, value: Any, back: Any) -> bool:
        if isinstance(value, Station):
            return value.place == back.place and numpy.array_equal(value.heights, back.heights)
        return type(value) is type(back) and bool(value == back)


# [end:conformance]
calls: list[str] = []


def stations_workflow(number: int) -> Workflow:
    wf = Workflow("stations")

    @wf.job(version="1")
    def stations() -> list[Station]:
        calls.append("stations")
        return [Station(Place("a"), numpy.full(10**6, number)), Station(Place("b"))]

    @wf.job(array=True, version="1")
    def total(station: Annotated[Station, Result(step="stations")]) -> int:
        calls.append(f"total {station.place.name}")
        return sum(station.heights)

    return wf


def test_an_instance_reaches_its_element_and_comes_back_from_the_cache(tmp_path: Path) -> None:
    calls.clear()
    for _ in range(2):
        run = stations_workflow(3).run_local(run_dir=tmp_path / "run", max_workers=1)
        assert run.result("total") == [3_000_000, 0]
    assert calls == ["stations", "total a", "total b"]


def test_an_instance_whose_array_is_gone_is_made_again(tmp_path: Path) -> None:
    calls.clear()
    stations_workflow(3).run_local(run_dir=tmp_path / "run", max_workers=1)
    for path in (tmp_path / "run").rglob("*.npy"):
        path.unlink()
    stations_workflow(3).run_local(run_dir=tmp_path / "run", max_workers=1)
    assert calls.count("stations") == 2
