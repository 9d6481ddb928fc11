"""Arrays and data sets of xarray, as netCDF files.

The files are netCDF 4, which h5netcdf writes: the older format, which scipy would write, has no
64-bit integers, no texts of any length and no unsigned numbers. What netCDF has another type for
(byte order, the unit of times, texts as objects), and attributes, stand beside the file; whatever
still does not come back as it was is refused.
"""

from __future__ import annotations

import io
import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from reflow.codecs.contract import CodecContext
from reflow.codecs.extras.objects import are_same
from reflow.codecs.self_contained import SelfContained
from reflow.codecs.unstorable import UnstorablePartError
from reflow.errors import StoredValueError
from reflow.model.json import Json

if TYPE_CHECKING:
    import xarray as xr

_ENGINE: Any = "h5netcdf"
_MEANING = frozenset(
    ("units", "calendar", "dtype", "coordinates", "_FillValue", "missing_value", "scale_factor")
) | {"add_offset", "_Unsigned", "_Encoding", "grid_mapping", "bounds"}
"""Attributes that change how a netCDF file is read, which the values here have behind them."""


_IN_OBJECTS = (str, bytes, int, float, complex, type(None))
"""What netCDF may have a form for in an array of objects."""


class DatasetCodec(SelfContained):
    """Data sets: variables, coordinates and attributes. What is computed lazily is computed.

    Variables and dimensions come back in their order, which `to_array` and `to_dataframe` follow.
    """

    name = "xarray.dataset"

    def handles(self, kind: type) -> bool:
        """Tell whether a class is xarray's data set."""
        return kind is getattr(sys.modules.get("xarray"), "Dataset", None)

    def encode(self, value: xr.Dataset, context: CodecContext) -> Json:
        """Write a netCDF file, and make sure that the data set comes back."""
        value = value.compute()
        variables = value.variables
        data: dict[str, Json] = {
            "attrs": context.encode(dict(value.attrs)),
            "coords": [str(name) for name in value.coords],
            "file": _written(value, context),
            "sizes": [str(name) for name in value.sizes],
            "variables": [
                [str(name), variable.dtype.str, context.encode(dict(variable.attrs))]
                for name, variable in variables.items()
            ],
        }
        back = self.decode(data, object, context)
        _require_same(value, back)
        return data

    def decode(self, data: Any, kind: type, context: CodecContext) -> xr.Dataset:
        """Read the data set."""
        import xarray as xr

        content = io.BufferedReader(_Content(context.read_bytes(data["file"])))
        kinds = {name: dtype.lstrip("<>|=")[0] for name, dtype, _ in data["variables"]}
        # Others may have units of time as well, which their values are not to be converted by.
        with xr.open_dataset(
            content,
            engine=_ENGINE,
            decode_times={name: kind == "M" for name, kind in kinds.items()},
            decode_timedelta={name: kind == "m" for name, kind in kinds.items()},
        ) as file:
            variables = {
                name: xr.Variable(
                    file.variables[name].dims,
                    file.variables[name].values.astype(dtype, copy=False),
                    context.decode(attrs, Any),
                )
                for name, dtype, attrs in data["variables"]
            }
        coords = {name: variables.pop(name) for name in data["coords"]}
        unordered = xr.Dataset(variables, coords, context.decode(data["attrs"], Any))
        return _ordered(unordered, [name for name, _, _ in data["variables"]], data["sizes"])


class DataArrayCodec(SelfContained):
    """Arrays with coordinates."""

    name = "xarray.array"

    def handles(self, kind: type) -> bool:
        """Tell whether a class is xarray's array."""
        return kind is getattr(sys.modules.get("xarray"), "DataArray", None)

    def encode(self, value: xr.DataArray, context: CodecContext) -> Json:
        """Encode the data set that has this array alone."""
        import xarray as xr

        taken = {*value.coords, *value.dims}
        name = value.name if isinstance(value.name, str) and _is_name(value.name) else "values"
        while name in taken:
            name += "_"
        dataset = xr.Dataset({name: value.variable}, value.coords)
        return {
            "dataset": context.encode(dataset),
            "name": context.encode(value.name),
            "variable": name,
        }

    def decode(self, data: Any, kind: type, context: CodecContext) -> xr.DataArray:
        """Read the array."""
        dataset = context.decode(data["dataset"], Any)
        array: xr.DataArray = dataset[data["variable"]]
        return array.rename(context.decode(data["name"], Any))


CODECS = (DatasetCodec(), DataArrayCodec())


class _Content(io.RawIOBase):
    """A file that reads from memory, without a copy of all of it."""

    def __init__(self, content: memoryview) -> None:
        super().__init__()
        self._content = content
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        starts = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: len(self._content)}
        self._at = starts[whence] + offset
        return self._at

    def readinto(self, buffer: Any) -> int:
        part = self._content[self._at : self._at + len(buffer)]
        buffer[: len(part)] = part
        self._at += len(part)
        return len(part)


def _written(value: xr.Dataset, context: CodecContext) -> Json:
    _require_names([*value.variables, *value.sizes])
    plain = value.drop_encoding()
    plain.attrs = _plain_attributes(value.attrs)
    for variable in plain.variables.values():
        variable.attrs = _plain_attributes(variable.attrs)
        if variable.dtype.kind in "mM":
            variable.attrs.pop("units", None)  # netCDF needs it for their own
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what is lost is found by reading it back
            content: Any = plain.to_netcdf(engine=_ENGINE)
    except Exception as error:  # whatever netCDF has no type for
        name, trouble = next(
            _troubles(value), ("", f"netCDF has no form for it ({error}): change it")
        )
        raise UnstorablePartError(
            f"variable {name!r} of a data set" if name else "this data set",
            f"{trouble}, or annotate it as Annotated[..., Pickled()]",
        ) from error
    return context.write_bytes(content, suffix=".nc")


def _is_name(name: object) -> bool:
    """Tell whether netCDF files can call a variable or dimension so."""
    return isinstance(name, str) and name not in ("", ".") and not {"/", "\0"} & set(name)


def _require_names(names: Iterable[object]) -> None:
    """Raise `UnstorablePartError` for the first name that netCDF files cannot have."""
    for name in names:
        if not _is_name(name):
            raise UnstorablePartError(
                f"variable or dimension {name!r} of a data set",
                "names in netCDF are texts, not empty, and without '/' and NUL: rename it, or "
                "annotate the data set as Annotated[..., Pickled()]",
            )


def _troubles(value: xr.Dataset) -> Iterator[tuple[str, str]]:
    """Yield variables that netCDF has no form for, and what to do about each."""
    import numpy as np
    import pandas as pd

    for name, variable in value.variables.items():
        dtype: Any = variable.dtype
        if isinstance(value.indexes.get(name), pd.MultiIndex):
            yield str(name), f"netCDF has no labels on several levels: reset_index({name!r}) first"
        elif not isinstance(dtype, np.dtype):
            yield str(name), f"netCDF has nothing like pandas' type {dtype}: convert it (.astype)"
        elif dtype.kind in "OU":
            items = list(variable.values.flat)
            if any(isinstance(item, str) and "\0" in item for item in items):
                yield str(name), "netCDF has no texts with a NUL character: replace it"
            elif not all(isinstance(item, _IN_OBJECTS) for item in items):
                yield str(name), "netCDF has no form for its objects: make them texts or numbers"


def _plain_attributes(attributes: Mapping[Any, Any]) -> dict[Any, Any]:
    """Return the attributes that other programs can read, and that change nothing for them."""
    return {
        name: value
        for name, value in attributes.items()
        if isinstance(name, str)
        and type(value) in (str, int, float)
        and (name not in _MEANING or name == "units")
    }


def _ordered(dataset: xr.Dataset, variables: list[str], sizes: list[str]) -> xr.Dataset:
    """Return a data set with its variables and dimensions in a certain order."""
    import numpy as np

    found = dataset[variables]
    if list(found.sizes) != sizes:  # as after `transpose`, which turns the variables alone
        first = "first"
        while first in found.variables:
            first += "_"
        shape = tuple(dataset.sizes[name] for name in sizes)
        found = found.assign_coords({first: (sizes, np.broadcast_to(np.uint8(0), shape))})
        found = found[[first, *variables]].reset_coords(first, drop=True)
    if [*found.variables, *found.sizes] != [*variables, *sizes]:
        raise StoredValueError("the variables or dimensions of a data set lost their order")
    return found


def _require_same(value: xr.Dataset, back: xr.Dataset) -> None:
    variables: Mapping[Any, Any] = value.variables
    changed = [
        str(name)
        for name, variable in variables.items()
        if not variable.identical(back.variables[name])
        or variable.dtype != back.variables[name].dtype
        or not _same_objects(variable, back.variables[name])
    ]
    same = value.identical(back) and set(value.xindexes) == set(back.xindexes)
    same = same and list(variables) == list(back.variables)
    if changed or not same or list(value.sizes) != list(back.sizes):
        what = f"{', '.join(changed)} of a data set" if changed else "this data set"
        raise UnstorablePartError(
            what,
            "it does not come back from netCDF as it is: give it another type, or annotate it as "
            "Annotated[..., Pickled()]",
        )


def _same_objects(one: Any, other: Any) -> bool:
    return one.dtype.kind != "O" or are_same(one.values.flat, other.values.flat)
