"""The codecs of numpy and other libraries, through the kit that authors of codecs are given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from reflow.codecs.contract import Codec
from reflow.codecs.extras import codecs_of
from reflow.testing.codecs import CodecConformance

Array = np.ndarray[Any, Any]
RECORDS = np.array([(1, 2.5), (2, np.nan)], dtype=[("day", "<i4"), ("höhe", ">f8")])


def a_mapped_array() -> Array:
    return np.arange(200_000, dtype="i8").reshape(400, 500)


class LibraryConformance(CodecConformance):
    name: str

    @pytest.fixture
    def codec(self) -> Codec:
        return codecs_of(self.name)[self.name]


class TestArrays(LibraryConformance):
    name = "numpy.array"

    @pytest.fixture
    def values(self) -> Sequence[Any]:
        return [
            np.array([1.5, np.nan, -0.0]),
            np.array([1.5, np.nan, 0.0]),
            np.array(1.5),
            np.arange(6).reshape(2, 3),
            np.asfortranarray(np.arange(6).reshape(2, 3)),
            np.arange(6).reshape(2, 3).T,
            np.arange(12)[::-2],
            np.broadcast_to(np.arange(3), (2, 3)),
            np.arange(6, dtype=">i2"),
            np.zeros((0, 3)),
            np.zeros((3, 0)),
            np.array([1j, 2], dtype="c8"),
            np.array([True, False]),
            np.array(["ü", "\x00x"]),
            np.array([b"a", b"\xff"]),
            np.array([b"ab"], dtype="V2"),
            np.array(["2026-11-22", "NaT"], dtype="datetime64[s]"),
            np.array([1], dtype="timedelta64[ns]"),
            np.array([1 / 3], dtype=np.longdouble),
            np.array([1], dtype=np.float16),
            RECORDS,
            RECORDS.view(np.recarray),
            np.array([(1, 2)], dtype=np.dtype([("a", "i1"), ("b", "f8")], align=True)),
            np.array([((1, 2),)], dtype=[("pair", "i2", (2,))]),
            np.array([[1, 2]]).view(np.matrix),
            np.array(["short", "a much longer text"], dtype=np.dtypes.StringDType()),
            np.arange(1000.0),
            a_mapped_array(),
            np.asfortranarray(a_mapped_array()),
        ]

    @pytest.fixture
    def unstorable(self) -> Sequence[Any]:
        return [
            np.array([object()]),
            np.array([("a", [])], dtype=[("x", "U1"), ("y", object)]),
            np.array(["a"], dtype=np.dtypes.StringDType(na_object=None)),
        ]

    def same(self, value: Any, back: Any) -> bool:
        return same_array(value, back)


def same_array(value: Any, back: Any) -> bool:
    ordered = value.flags.c_contiguous or value.flags.f_contiguous
    return (
        type(value) is type(back)
        and value.dtype == back.dtype
        and value.shape == back.shape
        and (value.dtype.kind == "T" or value.tobytes() == back.tobytes())
        and (value.dtype.kind != "T" or bool((value == back).all()))
        and (not ordered or value.flags.f_contiguous == back.flags.f_contiguous)
        and back.flags.writeable
    )


class TestMaskedArrays(LibraryConformance):
    name = "numpy.masked"

    @pytest.fixture
    def values(self) -> Sequence[Any]:
        hard = np.ma.array([1, 2], mask=[True, False])
        hard.harden_mask()
        return [
            np.ma.array([1.0, 2.0]),
            np.ma.array([1, 2], mask=[True, False]),
            np.ma.array([3, 2], mask=[True, False]),
            np.ma.array([1, 2], mask=[True, False], fill_value=-1),
            np.ma.array(RECORDS, mask=[(True, False), (False, False)]),
            hard,
            np.ma.masked,
        ]

    def same(self, value: Any, back: Any) -> bool:
        if value is np.ma.masked:
            return back is np.ma.masked
        return (
            type(value) is type(back)
            and same_array(np.ma.getdata(value), np.ma.getdata(back))
            and same_array(np.ma.getmaskarray(value), np.ma.getmaskarray(back))
            and value.fill_value == back.fill_value
            and value.hardmask == back.hardmask
        )


class TestScalars(LibraryConformance):
    name = "numpy.scalar"

    @pytest.fixture
    def values(self) -> Sequence[Any]:
        return [
            np.float64(0.5),
            np.float64("nan"),
            np.float32(0.5),
            np.longdouble(1) / 3,
            np.complex64(1j),
            np.int8(1),
            np.uint64(2**64 - 1),
            np.bool_(True),
            np.str_("x\0"),
            np.str_(""),
            np.bytes_(b"x\0"),
            np.datetime64("2026-11-22"),
            np.datetime64("2026-11-22", "ns"),
            np.datetime64("NaT", "s"),
            np.timedelta64(1, "D"),
            np.timedelta64(1),
            np.void(b"abc"),
            RECORDS[0],
            RECORDS.view(np.recarray)[0],
        ]

    def same(self, value: Any, back: Any) -> bool:
        return (
            type(value) is type(back)
            and value.dtype == back.dtype
            and value.tobytes() == back.tobytes()
        )


def test_an_array_that_is_mapped_from_a_file_is_stored_as_an_ordinary_one(tmp_path: Any) -> None:
    from reflow.codecs.codecs import Codecs

    mapped = np.memmap(tmp_path / "numbers", "i4", "w+", shape=(2, 3))
    back = Codecs().decode(Codecs().encode(mapped))
    assert type(back) is np.ndarray
    assert back.tolist() == [[0, 0, 0], [0, 0, 0]]
