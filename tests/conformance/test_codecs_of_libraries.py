"""The codecs of numpy and other libraries, through the kit that authors of codecs are given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import pandas as pd
import pydantic
import pytest
import xarray as xr
from reflow.codecs.codecs import Codecs
from reflow.codecs.contract import Codec
from reflow.codecs.extras import codecs_of
from reflow.errors import StoredValueError, UnstorableValueError
from reflow.model.canonical import dumps, loads
from reflow.testing.codecs import CodecConformance

T = TypeVar("T")

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
            RECORDS.view(np.recarray).view(np.ndarray),
            np.arange(3).view(np.recarray),
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
            np.array(["a"], dtype=np.dtypes.StringDType(coerce=False)),
            np.zeros(2, {"names": ["a", "b"], "formats": ["i4", "i2"], "offsets": [0, 0]}),
            np.zeros(2, {"names": ["a", "b"], "formats": ["i4", "i4"], "offsets": [8, 0]}),
            np.zeros(2, [("inner", (np.record, [("a", "i4")]))]),
        ]

    def same(self, value: Any, back: Any) -> bool:
        return same_array(value, back)


def same_array(value: Any, back: Any) -> bool:
    ordered = value.flags.c_contiguous or value.flags.f_contiguous
    return (
        type(value) is type(back)
        and value.dtype == back.dtype
        and value.dtype.type is back.dtype.type
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


def test_a_refused_dtype_is_named_with_what_to_do() -> None:
    overlapping = np.zeros(2, {"names": ["a", "b"], "formats": ["i4", "i2"], "offsets": [0, 0]})
    with pytest.raises(UnstorableValueError, match=r"overlap.*repack_fields"):
        Codecs().encode(overlapping)


def test_a_dtype_of_another_library_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as bfloat16 of ml_dtypes, which an .npy file describes as bytes without a meaning."""
    monkeypatch.setattr(np.lib.format, "dtype_to_descr", lambda dtype: "<V2")
    with pytest.raises(UnstorableValueError, match=r"no name for it.*\|V2"):
        Codecs().encode(np.zeros(2, ">f2"))


def test_an_array_that_is_mapped_from_a_file_is_stored_as_an_ordinary_one(tmp_path: Any) -> None:
    mapped = np.memmap(tmp_path / "numbers", "i4", "w+", shape=(2, 3))
    back = Codecs().decode(Codecs().encode(mapped))
    assert type(back) is np.ndarray
    assert back.tolist() == [[0, 0, 0], [0, 0, 0]]


# -- pandas -------------------------------------------------------------------------------------
def same_frame(value: Any, back: Any) -> bool:
    assert type(value) is type(back)
    check = {
        pd.DataFrame: pd.testing.assert_frame_equal,
        pd.Series: pd.testing.assert_series_equal,
    }[type(value)]
    check(value, back, check_exact=True, check_freq=True)
    return bool(value.attrs == back.attrs)


TIMES = pd.date_range("2026-03-28", periods=4, freq="12h", tz="Europe/Berlin")
LEVELS = pd.MultiIndex.from_product([["a", "b"], [1, 2]], names=["letter", None])


EAST, WEST = (timezone(timedelta(hours=hours)) for hours in (1, -1))
CHANGED: Sequence[Any] = [
    [datetime(2026, 1, 1, 12, tzinfo=EAST), datetime(2026, 1, 1, 12, tzinfo=WEST)],
    [Decimal("1.5"), Decimal("1.50")],
    [[1, 2.5], [3]],
    [[datetime(2026, 1, 1)], [date(2026, 1, 1)]],
    [[np.float32(1.5)]],
    [[np.bool_(True)]],
    [{"a": 1}, {"a": 2.5}],
    [{"a": 1, "b": 2}, {"b": 1, "a": 2}],
    [{"a": {"b": 1, "c": 2}}, {"a": {"c": 1, "b": 2}}],
]
"""Objects that Arrow gives one type to in a column, which most of them had not."""


class TestFrames(LibraryConformance):
    name = "pandas.frame"

    @pytest.fixture
    def values(self) -> Sequence[Any]:
        with_attrs = pd.DataFrame({"a": [1]})
        with_attrs.attrs["unit"] = "K"
        return [
            pd.DataFrame(),
            pd.DataFrame({"a": []}),
            pd.DataFrame(index=[1, 2]),
            pd.DataFrame({"a": [1, 2], "b": [0.5, np.nan], "c": ["x", None]}),
            pd.DataFrame({"a": [1, 2]}, index=["x", "y"]),
            pd.DataFrame({"a": pd.Categorical(["x", "y"], categories=["y", "x", "z"])}),
            pd.DataFrame({"a": pd.Categorical(["x", "y"], ["x", "y"], ordered=True)}),
            pd.DataFrame({"a": range(4)}, index=TIMES),
            pd.DataFrame({"when": TIMES.tz_localize(None).as_unit("s")}),
            pd.DataFrame({"a": range(4)}, index=LEVELS),
            pd.DataFrame([[1, 2, 3, 4]], columns=LEVELS),
            pd.DataFrame([[1, 2]], columns=[0, 1]),
            pd.DataFrame([[1, 2]], columns=["a", "a"]),
            pd.DataFrame([[1, 2]], columns=pd.Index(["a", "b"], name="letter")),
            pd.DataFrame({"a": pd.array([1, None], dtype="Int64")}),
            pd.DataFrame({"a": pd.array([True, None], dtype="boolean")}),
            pd.DataFrame({"a": pd.period_range("2026-01", periods=2, freq="M")}),
            pd.DataFrame({"a": pd.to_timedelta([1, 2], unit="s")}),
            pd.DataFrame({"a": pd.Series(["x", None], dtype=object)}),
            pd.DataFrame({"a": pd.Series([Decimal("1.50"), Decimal("2.25")], dtype=object)}),
            pd.DataFrame({"a": pd.Series([[1, 2], [3]], dtype=object)}),
            pd.DataFrame({"a": pd.Series([{"a": 1}, {"a": 2}], dtype=object)}),
            pd.DataFrame({"a": np.arange(3, dtype="f4"), "b": np.arange(3, dtype="u1")}),
            pd.DataFrame({"x": [1, 5, 9], "bin": pd.cut([1, 5, 9], 3)}),
            pd.DataFrame({"a": [1, 2]}, index=pd.CategoricalIndex(pd.cut([1, 5], 3), name="bin")),
            pd.DataFrame({"a": pd.Categorical(pd.period_range("2026", periods=2, freq="M"))}),
            pd.DataFrame({"a": [1, 2]}, index=LEVELS[:2]),
            with_attrs,
            pd.DataFrame(np.arange(400_000.0).reshape(-1, 4), columns=list("abcd")),
        ]

    @pytest.fixture
    def unstorable(self) -> Sequence[Any]:
        return [
            pd.DataFrame({"a": [1, "x"]}),
            pd.DataFrame({"a": pd.Series([1, True], dtype=object)}),
            pd.DataFrame({"a": pd.Series(["x", np.nan], dtype=object)}),
            pd.DataFrame({"a": [1j]}),
            pd.DataFrame({"a": [object()]}),
            *(pd.DataFrame({"a": pd.Series(column, dtype=object)}) for column in CHANGED),
            *(pd.DataFrame({"a": [1, 2]}, pd.Index(each, dtype=object)) for each in CHANGED[:2]),
            pd.DataFrame({"a": [1, 2]}, [pd.Index(CHANGED[0], dtype=object)]),
            pd.DataFrame({"a": pd.Categorical(["x"], pd.Index(["x"], name="named"))}),
        ]

    def same(self, value: Any, back: Any) -> bool:
        return same_frame(value, back)


class TestSeries(LibraryConformance):
    name = "pandas.series"

    @pytest.fixture
    def values(self) -> Sequence[Any]:
        return [
            pd.Series([1, 2]),
            pd.Series([1.0, np.nan], name="x"),
            pd.Series([1.0, np.nan], name=("x", 1)),
            pd.Series(["a", None]),
            pd.Series(TIMES),
            pd.Series(range(4), index=LEVELS),
            pd.Series(range(4), index=TIMES),
            pd.Series(pd.Categorical(["a", "b"])),
            pd.Series([], dtype="f8"),
        ]

    def same(self, value: Any, back: Any) -> bool:
        return same_frame(value, back)


class TestIndexes(LibraryConformance):
    name = "pandas.index"

    @pytest.fixture
    def values(self) -> Sequence[Any]:
        return [
            pd.RangeIndex(3),
            pd.RangeIndex(1, 7, 2, name="x"),
            pd.Index([1, 2], name="x"),
            pd.Index(["a", "b"]),
            pd.Index(["a", "b"], dtype=object),
            pd.Index([1.5, np.nan]),
            pd.CategoricalIndex(["a", "b"], categories=["b", "a"]),
            TIMES,
            TIMES[[0, 3]],
            pd.to_timedelta([1, 2], unit="D"),
            pd.period_range("2026", periods=3, freq="Y"),
            pd.interval_range(0, 3),
            pd.CategoricalIndex(pd.cut([1, 5, 9], [0, 3, 6, 10])),
            pd.date_range("2026", periods=3, freq="B"),
            LEVELS,
            LEVELS[:2],
            pd.MultiIndex.from_tuples([("a", np.nan), ("b", 1.0)], names=["x", None]),
            pd.MultiIndex.from_arrays([TIMES, pd.cut([1, 2, 3, 4], 2)]),
        ]

    @pytest.fixture
    def unstorable(self) -> Sequence[Any]:
        holidays = pd.offsets.CustomBusinessDay(holidays=["2026-01-01"])
        return [
            pd.date_range("2026", periods=3, freq=holidays),
            pd.MultiIndex.from_arrays([pd.date_range("2026", periods=3, freq=holidays), [1, 2, 3]]),
        ]

    def same(self, value: Any, back: Any) -> bool:
        pd.testing.assert_index_equal(value, back, exact=True)
        if isinstance(value, pd.MultiIndex):  # with those that no label is on
            return list(map(list, value.levels)) == list(map(list, back.levels))
        return type(value) is type(back) and getattr(value, "freq", 0) == getattr(back, "freq", 0)


class TestPandasArrays(LibraryConformance):
    name = "pandas.array"

    @pytest.fixture
    def values(self) -> Sequence[Any]:
        return [
            pd.array([1, None], dtype="Int64"),
            pd.array(["a", None], dtype="string"),
            pd.Categorical(["a", "b"]),
            pd.arrays.IntervalArray.from_breaks([0, 1, 2]),
        ]

    def same(self, value: Any, back: Any) -> bool:
        return type(value) is type(back) and pd.Series(value).equals(pd.Series(back))


class TestPandasScalars(LibraryConformance):
    name = "pandas.scalar"

    @pytest.fixture
    def values(self) -> Sequence[Any]:
        return [
            pd.Timestamp("2026-11-29 12:00:00.000000001"),
            pd.Timestamp("2026-11-29 12:00", tz="Europe/Berlin"),
            pd.Timedelta(1, "ns"),
            pd.Period("2026-11"),
            pd.Interval(0, 1, closed="both"),
            pd.NaT,
            pd.NA,
        ]

    def same(self, value: Any, back: Any) -> bool:
        return value is back or (type(value) is type(back) and bool(value == back))


# -- pydantic -----------------------------------------------------------------------------------
class Depth(pydantic.BaseModel):
    metres: float = 0.0
    _calls: int = pydantic.PrivateAttr(default=0)


class Pond(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(arbitrary_types_allowed=True, extra="allow")

    name: str
    depths: list[Depth] = []
    page: pydantic.AnyUrl | None = None
    levels: Array | None = None
    where: Path | None = None


class Box(pydantic.BaseModel, Generic[T]):
    content: T


class TestModels(LibraryConformance):
    name = "pydantic.model"

    @pytest.fixture
    def annotation(self) -> Any:
        return Pond | Depth | Box[int]

    @pytest.fixture
    def values(self) -> Sequence[Any]:
        visited = Depth(metres=2)
        visited._calls = 3
        return [
            Depth(),
            Depth(metres=0),
            visited,
            Pond(name="a", depths=[Depth(metres=1), Depth(metres=float("inf"))]),
            Pond(name="a", page="https://example.org/a"),  # type: ignore[arg-type]
            Pond(name="a", levels=np.arange(1000.0)),
            Pond.model_validate({"name": "a", "fish": (1, 2)}),
            Pond.model_construct(name=1),
            Box[int](content=1),
        ]

    @pytest.fixture
    def unstorable(self) -> Sequence[Any]:
        return [Pond.model_construct(name=object())]

    def same(self, value: Any, back: Any) -> bool:
        if type(value) is type(back) is Pond and value.levels is not None:
            return same_array(value.levels, back.levels)
        return (
            type(value) is type(back)
            and bool(value == back)
            and value.model_fields_set == back.model_fields_set
        )


def test_a_model_is_stored_only_where_the_annotation_names_its_class() -> None:
    with pytest.raises(UnstorableValueError, match="write Depth into it"):
        Codecs().encode(Depth())
    data = Codecs().encode(Depth(), Depth)
    with pytest.raises(StoredValueError, match="names no such class"):
        Codecs().decode(data)


def test_what_a_model_dumps_keeps_its_order() -> None:
    class Size(pydantic.BaseModel):
        wide: int
        high: int

    size = Size(wide=1, high=2)
    data = loads(dumps(Codecs().encode(size, Size)))
    assert Codecs().decode(data, Size).model_dump_json() == size.model_dump_json()


def test_a_model_that_lacks_a_field_is_refused() -> None:
    with pytest.raises(UnstorableValueError, match="field 'name' is not set"):
        Codecs().encode(Pond.model_construct(depths=[]), Pond)


def test_a_secret_is_not_written_anywhere() -> None:
    class Account(pydantic.BaseModel):
        password: pydantic.SecretStr

    with pytest.raises(UnstorableValueError, match=r"SecretStr in \.password"):
        Codecs().encode(Account(password="x"), Account)  # type: ignore[arg-type]


def test_a_path_in_a_model_stands_for_its_file() -> None:
    assert Codecs().places(Codecs().encode(Pond(name="a", where=Path("/x")), Pond)) == ["/x"]


# -- xarray -------------------------------------------------------------------------------------
def a_dataset() -> xr.Dataset:
    return xr.Dataset(
        {
            "temperature": (("x", "y"), np.arange(6.0).reshape(2, 3), {"units": "K", "n": 3}),
            "height": ("x", np.array([1, 2], dtype=">i2")),
            "half": ("x", np.array([1, 2], dtype="f2")),
            "wave": ("x", np.array([1j, 2])),
            "valid": ("x", [True, False]),
            "name": ("x", np.array(["a", "ü"])),
            "label": ("x", np.array(["a", "ü"], dtype=object)),
            "when": ("x", np.array(["2026-11-29", "NaT"], dtype="M8[s]"), {"units": "odd"}),
            "lasts": ("x", np.array([1, 2], dtype="m8[ns]")),
            "packed": ("x", np.array([1, 2], dtype="u1"), {"scale_factor": 0.1, "_FillValue": 1}),
            "total": ((), 5.0),
            "passed": ("x", [1.0, 2.0], {"units": "seconds"}),
            "since": ("x", [1, 2], {"units": "days since 2000-01-01", "calendar": "noleap"}),
        },
        coords={
            "x": ("x", [10, 20], {"axis": "X"}),
            "lat": ("y", [1.0, 2.0, 3.0], {"range": [0, 90], "valid": True, "none": None}),
            "day": np.datetime64("2026-11-29", "ns"),
        },
        attrs={"title": "Ponds", "numbers": [1, 2], "nested": {"a": (1, 2)}},
    )


class TestDatasets(LibraryConformance):
    name = "xarray.dataset"

    @pytest.fixture
    def values(self) -> Sequence[Any]:
        encoded = xr.Dataset({"a": ("x", [1.25, 2.5])})
        encoded["a"].encoding = {"dtype": "i2", "scale_factor": 1.0}
        return [
            xr.Dataset(),
            xr.Dataset(attrs={"title": "x"}),
            xr.Dataset({"a": ("x", [])}),
            xr.Dataset({"a": ("x", [np.nan, 1.0])}),
            a_dataset(),
            a_dataset().isel(x=0),
            encoded,
            xr.Dataset({"z": ("x", [1.0]), "a": ("x", [2.0])}),
            xr.Dataset({"b": ("y", [1.0]), "a": ("x", [1.0, 2.0])}),
            xr.Dataset({"b": (("y", "x"), np.zeros((1, 2)))}, {"x": [1, 2]}).transpose("x", "y"),
            xr.Dataset(coords={"x": [1, 2]}).assign(first=("x", [1, 2])),
            xr.Dataset({"c": ("x", [1.0]), "a": ("x", [2.0])}).assign_coords(b=5),
            xr.Dataset({"a": ("x", np.arange(200_000.0))}),
        ]

    @pytest.fixture
    def unstorable(self) -> Sequence[Any]:
        stacked = xr.Dataset({"a": (("x", "y"), [[1, 2]])}, {"x": [1], "y": [1, 2]})
        return [
            stacked.stack(z=("x", "y")),
            xr.Dataset({"a": ("x", np.array([1, "x"], dtype=object))}),
            xr.Dataset({1: ("x", [1])}),
        ]

    def same(self, value: Any, back: Any) -> bool:
        dtypes = [
            each.dtype == back.variables[name].dtype for name, each in value.variables.items()
        ]
        return (
            type(value) is type(back)
            and value.identical(back)
            and all(dtypes)
            and list(value.variables) == list(back.variables)
            and list(value.sizes) == list(back.sizes)
        )


class TestDataArrays(LibraryConformance):
    name = "xarray.array"

    @pytest.fixture
    def values(self) -> Sequence[Any]:
        dataset = a_dataset()
        return [
            xr.DataArray(1.0),
            xr.DataArray([1.0, 2.0], dims="values", name="values"),
            xr.DataArray([1.0, 2.0], dims="x", name=("a", 1)),
            dataset["temperature"],
            dataset["x"],
            dataset["when"],
            xr.DataArray([[1, 2]], {"y": [1], "b": ("x", [1, 2]), "a": ("x", [1, 2])}, ("y", "x")),
            dataset["temperature"].rename(None),
        ]

    def same(self, value: Any, back: Any) -> bool:
        return (
            type(value) is type(back)
            and value.identical(back)
            and value.dtype == back.dtype
            and list(value.coords) == list(back.coords)
        )


def test_a_data_set_is_a_mapping_and_stays_one_with_all_that_it_has() -> None:
    dataset = a_dataset()
    codecs = Codecs()
    back = codecs.decode(codecs.encode(dataset, Mapping[str, Any]), Mapping[str, Any])
    assert dataset.identical(back)


def test_a_data_set_is_a_file_that_other_programs_read(tmp_path: Path) -> None:
    array = xr.DataArray(np.arange(1000.0), dims="x", name="t", attrs={"units": "K"})
    (reference,) = Codecs().files(Codecs().encode(array, directory=tmp_path))
    with xr.open_dataset(reference.path, engine="h5netcdf") as file:
        assert file["t"].attrs == {"units": "K"}
        assert file["t"].values.tolist() == list(range(1000))


PAIRS = pd.MultiIndex.from_tuples([(1, 2)], names=["p", "q"])


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (xr.Dataset({"fine": 1, "a/b": ("x", [1.0])}), r"'a/b' .*without '/' and NUL: rename it"),
        (xr.DataArray([1.0], dims="x/y"), r"'x/y' .*rename it"),
        (xr.Dataset({"a\0b": ("x", [1.0])}), r"'a\\x00b' .*rename it"),
        (
            xr.Dataset({"fine": ("y", np.array(["t"], object)), "a": ("x", ["u\0v"])}),
            r"variable 'a' .*no texts with a NUL",
        ),
        (
            xr.Dataset({"a": ("x", [1.0])}, {"x": pd.CategoricalIndex(["u"])}),
            r"variable 'x' .*pandas' type category: convert it \(\.astype\)",
        ),
        (
            xr.Dataset({"a": ("x", [1.0])}, xr.Coordinates.from_pandas_multiindex(PAIRS, "x")),
            r"variable 'x' .*reset_index\('x'\) first",
        ),
        (
            xr.Dataset(
                {"fine": ("y", np.array(["t"], object)), "a": ("x", np.array([{1}], object))}
            ),
            r"variable 'a' .*its objects: make them texts",
        ),
    ],
    ids=["name", "dimension", "NUL in a name", "NUL", "categories", "levels", "objects"],
)
def test_who_returns_a_data_set_that_cannot_be_stored_is_told_what_to_change(
    value: Any, words: str
) -> None:
    with pytest.raises(UnstorableValueError, match=f"cannot store .*{words}.*Pickled"):
        Codecs().encode(value)


def test_the_name_of_a_data_array_may_be_any_text() -> None:
    codecs = Codecs()
    array = xr.DataArray([1.0], dims="x", name="a/b")
    xr.testing.assert_identical(codecs.decode(codecs.encode(array)), array)
