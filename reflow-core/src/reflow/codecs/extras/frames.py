"""Tables, columns and labels of pandas, as Arrow files."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from reflow.codecs.contract import CodecContext
from reflow.codecs.extras.objects import are_same
from reflow.codecs.self_contained import SelfContained
from reflow.codecs.unstorable import UnstorablePartError, type_name
from reflow.model.json import Json

if TYPE_CHECKING:
    import pandas as pd

_SCALARS = ("Timestamp", "Timedelta", "Period", "Interval")
_SHOWN = 4
_PICKLE = "annotate it as Annotated[..., Pickled()]"


class FrameCodec(SelfContained):
    """Data frames: columns with their types, index, and labels of any kind.

    Arrow keeps no labels but texts, and no levels that labels lie on, so that these are stored
    apart; so are categories that are intervals or periods, as `pandas.cut` makes them. It does not
    tell texts in a column of objects from a column of texts, nor the frequency of an index: these
    stand beside it.
    """

    name = "pandas.frame"

    def handles(self, kind: type) -> bool:
        """Tell whether a class is pandas' data frame."""
        return _is(kind, "DataFrame")

    def encode(self, value: pd.DataFrame, context: CodecContext) -> Json:
        """Write the frame as an Arrow file, and make sure that it comes back."""
        import pandas as pd

        labels = value.columns
        plain = value.set_axis([str(number) for number in range(len(labels))], axis="columns")
        if _are_names(labels):
            plain = plain.set_axis(labels, axis="columns")
        apart = isinstance(value.index, pd.MultiIndex) or _needs_codes(value.index.dtype)
        plain, categories = _with_codes(plain.reset_index(drop=True) if apart else plain, context)
        data: dict[str, Json] = {
            "attrs": context.encode(dict(value.attrs)),
            "categories": categories,
            "freq": _frequency(value.index),
            "index": context.encode(value.index) if apart else None,
            "labels": None if _are_names(labels) else context.encode(labels),
            "objects": [at for at, dtype in enumerate(value.dtypes) if _holds_objects(dtype)],
            "table": _written(plain, context, [f"column {label!r}" for label in labels]),
            "unique": value.flags.allows_duplicate_labels,
        }
        _require_same(value, self.decode(data, object, context))
        return data

    def decode(self, data: Any, kind: type, context: CodecContext) -> pd.DataFrame:
        """Read the frame."""
        table = _read(data["table"], context)
        frame: pd.DataFrame = table.to_pandas()
        if data["index"] is not None:
            frame.index = context.decode(data["index"], Any)
        for at in data["objects"]:
            frame.isetitem(at, _objects(table, at, frame.index))
        for at, dtype in data["categories"].items():
            frame.isetitem(int(at), _from_codes(frame.iloc[:, int(at)], dtype, context))
        if data["labels"] is not None:
            frame.columns = context.decode(data["labels"], Any)
        if data["freq"] is not None:
            frame.index.freq = data["freq"]
        frame.attrs = context.decode(data["attrs"], Any)
        frame.flags.allows_duplicate_labels = data["unique"]
        return frame


class SeriesCodec(SelfContained):
    """Columns by themselves."""

    name = "pandas.series"

    def handles(self, kind: type) -> bool:
        """Tell whether a class is pandas' series."""
        return _is(kind, "Series")

    def encode(self, value: pd.Series[Any], context: CodecContext) -> Json:
        """Encode the frame that has this column alone."""
        return [context.encode(value.name), context.encode(value.to_frame("values"))]

    def decode(self, data: Any, kind: type, context: CodecContext) -> pd.Series[Any]:
        """Read the series."""
        name, frame = (context.decode(part, Any) for part in data)
        series: pd.Series[Any] = frame.iloc[:, 0].rename(name)
        series.attrs = frame.attrs
        return series


class IndexCodec(SelfContained):
    """Labels of rows or columns, on one level or several."""

    name = "pandas.index"

    def handles(self, kind: type) -> bool:
        """Tell whether a class is one of pandas' indexes."""
        pandas = sys.modules.get("pandas")
        return pandas is not None and issubclass(kind, pandas.Index)

    def encode(self, value: pd.Index[Any], context: CodecContext) -> Json:
        """Write the labels as the column of an Arrow file, and make sure that they come back.

        Of labels on several levels, the columns are their numbers among the labels of each level.
        """
        import pandas as pd

        if isinstance(value, pd.RangeIndex):
            return [context.encode(value.name), [value.start, value.stop, value.step]]
        data: dict[str, Json] = {"names": context.encode(list(value.names))}
        if isinstance(value, pd.MultiIndex):
            data["levels"] = context.encode(list(value.levels))
            frame = pd.DataFrame({str(at): codes for at, codes in enumerate(value.codes)})
        else:
            frame, data["categories"] = _with_codes(pd.DataFrame({"0": value}), context)
            data["freq"] = _frequency(value)
            data["objects"] = _holds_objects(value.dtype)
        data["table"] = _written(frame, context, [f"an index of type {type(value).__name__}"])
        _require_same_index(value, self.decode(data, object, context))
        return data

    def decode(self, data: Any, kind: type, context: CodecContext) -> pd.Index[Any]:
        """Read the index."""
        import pandas as pd

        if isinstance(data, list):
            name, (start, stop, step) = data
            return pd.RangeIndex(start, stop, step, name=context.decode(name, Any))
        table, names = _read(data["table"], context), context.decode(data["names"], Any)
        columns = [column for _, column in table.to_pandas().items()]
        if "levels" in data:
            return pd.MultiIndex(context.decode(data["levels"], Any), columns, names=names)
        column = _objects(table, 0) if data["objects"] else columns[0]
        for dtype in data["categories"].values():
            column = _from_codes(column, dtype, context)
        index: pd.Index[Any] = pd.Index(column).rename(names[0])
        if data["freq"] is not None:
            index.freq = data["freq"]
        return index


class ArrayCodec(SelfContained):
    """Pandas' own arrays, such as categories and integers with missing ones."""

    name = "pandas.array"

    def handles(self, kind: type) -> bool:
        """Tell whether a class is one of pandas' arrays."""
        pandas = sys.modules.get("pandas")
        if pandas is None:
            return False
        return issubclass(kind, pandas.api.extensions.ExtensionArray)

    def encode(self, value: Any, context: CodecContext) -> Json:
        """Encode the series of the same items."""
        import pandas as pd

        return _encoded_as(value, pd.Series(value), context)

    def decode(self, data: Json, kind: type, context: CodecContext) -> Any:
        """Read the array."""
        return context.decode(data, Any).array


class ScalarCodec(SelfContained):
    """Times, periods and intervals, and what stands for a missing one."""

    name = "pandas.scalar"

    def handles(self, kind: type) -> bool:
        """Tell whether a class is one of pandas' scalars."""
        pandas = sys.modules.get("pandas")
        return pandas is not None and (
            any(_is(kind, name) for name in _SCALARS) or kind in (type(pandas.NaT), type(pandas.NA))
        )

    def encode(self, value: Any, context: CodecContext) -> Json:
        """Encode the series of this one item."""
        import pandas as pd

        if value is pd.NaT or value is pd.NA:
            return "NaT" if value is pd.NaT else "NA"
        series = pd.Series([value])
        back = series.iloc[0]
        if type(back) is not type(value) or back != value or _fold(back) != _fold(value):
            raise UnstorablePartError(f"this {type(value).__name__}", _PICKLE)
        return [_encoded_as(value, series, context)]

    def decode(self, data: Json, kind: type, context: CodecContext) -> Any:
        """Read the scalar."""
        import pandas as pd

        if isinstance(data, list):
            return context.decode(data[0], Any).iloc[0]
        return getattr(pd, str(data))


CODECS = (FrameCodec(), SeriesCodec(), IndexCodec(), ArrayCodec(), ScalarCodec())


def _encoded_as(value: Any, series: pd.Series[Any], context: CodecContext) -> Json:
    """Encode a value as a series; errors name the value, not the series."""
    try:
        return context.encode(series)
    except UnstorablePartError as error:
        raise error.of_whole(type(value)) from error


def _is(kind: type, name: str) -> bool:
    return kind is getattr(sys.modules.get("pandas"), name, None)


def _fold(value: Any) -> Any:
    return getattr(value, "fold", None), getattr(value, "unit", None), getattr(value, "tz", None)


def _frequency(index: pd.Index[Any]) -> str | None:
    """Return the frequency of times that Arrow does not keep; that of periods is in their type.

    Raises `UnstorablePartError` for one that its name does not tell, such as days with holidays.
    """
    import pandas as pd

    if not isinstance(index, pd.DatetimeIndex | pd.TimedeltaIndex) or index.freq is None:
        return None
    name = str(index.freq.freqstr)
    if pd.tseries.frequencies.to_offset(name) != index.freq:
        raise UnstorablePartError(
            f"an index of type {type(index).__name__} whose freq is {index.freq!r}",
            f"its name, {name!r}, does not tell it all: set index.freq = None, or {_PICKLE}",
        )
    return name


def _needs_codes(dtype: Any) -> bool:
    """Tell whether values are of categories that Arrow writes and does not read back."""
    import pandas as pd

    return isinstance(dtype, pd.CategoricalDtype) and isinstance(
        dtype.categories, pd.IntervalIndex | pd.PeriodIndex
    )


def _with_codes(frame: pd.DataFrame, context: CodecContext) -> tuple[pd.DataFrame, dict[str, Json]]:
    """Put codes into columns that need them; return their categories by the column's number."""
    found: dict[str, Json] = {}
    for at, dtype in enumerate(frame.dtypes):
        if _needs_codes(dtype):
            frame = frame if found else frame.copy(deep=False)
            frame.isetitem(at, frame.iloc[:, at].cat.codes)
            found[str(at)] = [context.encode(dtype.categories), dtype.ordered]
    return frame, found


def _from_codes(codes: Any, dtype: Any, context: CodecContext) -> pd.Categorical:
    import pandas as pd

    categories, ordered = dtype
    return pd.Categorical.from_codes(codes, context.decode(categories, Any), ordered=ordered)


def _are_names(labels: pd.Index[Any]) -> bool:
    """Tell whether labels are such as Arrow has for columns."""
    import pandas as pd

    return (
        type(labels) is pd.Index
        and labels.dtype == pd.Index(["text"]).dtype
        and labels.name is None
        and labels.is_unique
        and all(isinstance(label, str) for label in labels)
    )


def _written(frame: pd.DataFrame, context: CodecContext, names: Sequence[str]) -> Json:
    """Write a frame; `names` are what its columns are called where they cannot be stored."""
    import pyarrow as pa

    try:
        table = pa.Table.from_pandas(frame)
    except (pa.ArrowException, ValueError, TypeError) as error:
        raise _no_type(frame, names) from error
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    return context.write_bytes(sink.getvalue(), suffix=".arrow")


def _no_type(frame: pd.DataFrame, names: Sequence[str]) -> UnstorablePartError:
    """Return the error for a frame that Arrow has no type for, which names the column."""
    import pyarrow as pa

    what, column = "the index of this table", frame.index.to_series()
    for name, (_, each) in zip(names, frame.items(), strict=False):
        try:
            pa.Table.from_pandas(each.to_frame("values"), preserve_index=False)
        except (pa.ArrowException, ValueError, TypeError):
            what, column = name, each
            break
    return UnstorablePartError(
        f"{what}, of type {column.dtype}",
        f"Arrow has no type for {_trouble(column)}, or {_PICKLE}",
    )


def _trouble(column: pd.Series[Any]) -> str:
    """Return what Arrow has no type for, and what to write instead."""
    import pandas as pd

    if isinstance(column.dtype, pd.SparseDtype):
        return "what is sparse: make it dense (.sparse.to_dense())"
    if getattr(column.dtype, "kind", "") == "c":
        return "complex numbers: store .real and .imag as two columns"
    if _holds_objects(column.dtype):
        kinds = sorted({type_name(type(item)) for item in column})
        shown = ", ".join(kinds[:_SHOWN]) + (", ..." if len(kinds) > _SHOWN else "")
        return f"objects of these classes in one column ({shown}): make them texts or numbers"
    return "its values: give them another type (.astype)"


def _read(data: Json, context: CodecContext) -> Any:
    import pyarrow as pa

    return pa.ipc.open_file(pa.py_buffer(context.read_bytes(data))).read_all()


def _objects(table: Any, at: int, index: Any = None) -> pd.Series[Any]:
    """Return a column as Python's own objects: mostly texts, and None where one is missing."""
    import pandas as pd

    return pd.Series(table.column(at).to_pylist(), index=index, dtype=object)


def _require_same(value: pd.DataFrame, back: pd.DataFrame) -> None:
    """Raise `UnstorablePartError` where a frame does not come back as it was."""
    _require_same_index(value.index, back.index)
    _require_same_index(value.columns, back.columns)
    for at, label in enumerate(value.columns):
        one, other = value.iloc[:, at], back.iloc[:, at]
        if one.dtype != other.dtype or not one.equals(other) or not _same_objects(one, other):
            raise UnstorablePartError(
                f"column {label!r}",
                f"its values, of type {one.dtype}, do not come back from Arrow as they are: "
                f"give it another type, or {_PICKLE}",
            )


def _require_same_index(value: pd.Index[Any], back: pd.Index[Any]) -> None:
    import pandas as pd

    same = type(value) is type(back) and value.equals(back)
    same = same and list(value.names) == list(back.names)
    if same and isinstance(value, pd.MultiIndex):
        same = all(map(_are_same_labels, value.levels, back.levels))
    elif same:
        same = _are_same_labels(value, back)
    if not same:
        raise UnstorablePartError(
            f"an index of type {type(value).__name__}",
            f"its labels do not come back from Arrow as they are: reset it, or {_PICKLE}",
        )


def _are_same_labels(one: pd.Index[Any], other: pd.Index[Any]) -> bool:
    same = one.equals(other) and one.dtype == other.dtype and _same_objects(one, other)
    return bool(same and getattr(one, "freq", None) == getattr(other, "freq", None))


def _holds_objects(dtype: Any) -> bool:
    return bool(dtype == "object")  # which is false for the types of pandas' own


def _same_objects(one: Any, other: Any) -> bool:
    """Tell whether objects are the same, where `equals` has said that values are equal.

    It takes None for NaN, True for 1, and categories in any order.
    """
    if hasattr(one.dtype, "categories"):
        left, right = one.dtype.categories, other.dtype.categories
        return bool(left.equals(right) and left.name == right.name and _same_objects(left, right))
    return not _holds_objects(one.dtype) or are_same(one, other)
