"""Arrays and scalars of numpy, as `.npy` files whose data is mapped."""

from __future__ import annotations

import ast
import struct
import sys
import warnings
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from reflow.codecs.contract import CodecContext
from reflow.codecs.self_contained import SelfContained
from reflow.codecs.unstorable import UnstorablePartError
from reflow.errors import StoredValueError
from reflow.model.json import Json

if TYPE_CHECKING:
    import numpy as np

_MAGIC = b"\x93NUMPY"
_ALIGNMENT = 64
_LENGTHS = {1: struct.Struct("<H"), 2: struct.Struct("<I"), 3: struct.Struct("<I")}
"""How the length of the header is written, by the version of the format."""


class ArrayCodec(SelfContained):
    """Arrays without Python objects: dtype, shape and order come back as they were.

    Records and matrices come back as such; an array that is mapped from a file comes back as an
    ordinary one, which says the same.
    """

    name = "numpy.array"

    def handles(self, kind: type) -> bool:
        """Tell whether a class is the one of arrays, or one of numpy's views of them."""
        numpy = sys.modules.get("numpy")
        return numpy is not None and kind in (
            numpy.ndarray, numpy.memmap, numpy.recarray, numpy.matrix,
        )  # fmt: skip

    # [start:bytes]
    def encode(self, value: np.ndarray[Any, Any], context: CodecContext) -> Json:
        """Write the array as an `.npy` file holds it."""
        import numpy as np

        view = type(value).__name__ if type(value) in (np.recarray, np.matrix) else None
        plain = value.view(np.ndarray)
        if plain.dtype.type is np.record:
            view = view or "record"
            plain = plain.view(np.dtype((np.void, plain.dtype)))
        if plain.dtype.kind == "T":
            return ["strings", _strings(plain, context)]
        _require_storable(plain.dtype)
        return [view, context.write_bytes(*npy(plain), suffix=".npy")]

    def decode(self, data: Json, kind: type, context: CodecContext) -> Any:
        """Return the array, over the bytes as they are mapped."""
        import numpy as np

        match data:
            case ["strings", strings]:
                return _from_strings(strings, context)
            case [view, content]:
                array = from_npy(context.read_bytes(content))
                if view == "record":
                    return array.view(np.dtype((np.record, array.dtype)))
                return array if view is None else array.view(getattr(np, str(view)))
        raise StoredValueError("no array")

    # [end:bytes]


class MaskedArrayCodec(SelfContained):
    """Arrays with a mask: what the mask hides comes back, too."""

    name = "numpy.masked"

    def handles(self, kind: type) -> bool:
        """Tell whether a class is numpy's masked array, or the one of `numpy.ma.masked`."""
        masked = sys.modules.get("numpy.ma.core")
        return masked is not None and kind in (masked.MaskedArray, masked.MaskedConstant)

    def encode(self, value: np.ma.MaskedArray[Any, Any], context: CodecContext) -> Json:
        """Encode data, mask and fill value."""
        import numpy as np

        if value is np.ma.masked:
            return None
        mask = np.ma.getmask(value)
        fill = value._fill_value  # type: ignore[attr-defined] # the property would set it
        return {
            "data": context.encode(np.ma.getdata(value)),
            "fill": None if fill is None else context.encode(np.asarray(fill)),
            "hard": bool(value.hardmask),
            "mask": None if mask is np.ma.nomask else context.encode(mask),
        }

    def decode(self, data: Json, kind: type, context: CodecContext) -> Any:
        """Return the masked array."""
        import numpy as np

        if not isinstance(data, dict):
            return np.ma.masked
        mask, fill = data["mask"], data["fill"]
        array: np.ma.MaskedArray[Any, Any] = np.ma.MaskedArray(
            context.decode(data["data"], Any),
            mask=np.ma.nomask if mask is None else context.decode(mask, Any),
            hard_mask=bool(data["hard"]),
            fill_value=None if fill is None else context.decode(fill, Any)[()],
        )
        return array


class ScalarCodec(SelfContained):
    """Numpy's scalars, where the annotation does not ask for Python's."""

    name = "numpy.scalar"

    def handles(self, kind: type) -> bool:
        """Tell whether a class is one of numpy's scalars."""
        numpy = sys.modules.get("numpy")
        return numpy is not None and issubclass(kind, numpy.generic)

    def encode(self, value: np.generic, context: CodecContext) -> Json:
        """Encode texts as texts, and anything else as the bytes of its type."""
        import numpy as np

        if type(value) is np.str_:
            return ["str_", context.encode(str.__str__(value))]
        if type(value) is np.bytes_:
            return ["bytes_", context.encode(bytes.__bytes__(value))]
        array = np.asarray(value)
        if type(value) not in (type(array[()]), np.record):
            raise UnstorablePartError(f"a value of {type(value).__qualname__}", "use numpy's own")
        if array.dtype.type is np.record:
            array = array.view(np.dtype((np.void, array.dtype)))
        _require_storable(array.dtype)
        description = repr(np.lib.format.dtype_to_descr(array.dtype))
        named = "record" if type(value) is np.record else description
        return [named, description, context.encode(array.tobytes())]

    def decode(self, data: Json, kind: type, context: CodecContext) -> Any:
        """Return the scalar."""
        import numpy as np

        match data:
            case ["str_" | "bytes_" as name, text]:
                return getattr(np, name)(context.decode(text, Any))
            case [named, str() as description, content]:
                dtype = _dtype(description)
                if named == "record":
                    dtype = np.dtype((np.record, dtype))
                found = np.ndarray((), dtype, bytearray(context.decode(content, Any)))
                return found[()]
        raise StoredValueError("no scalar")


CODECS = (ArrayCodec(), MaskedArrayCodec(), ScalarCodec())


# -- the format of .npy files ------------------------------------------------------------------
def npy(array: np.ndarray[Any, Any]) -> tuple[bytes, memoryview]:
    """Return header and data of an `.npy` file, the data without a copy where it is contiguous."""
    import numpy as np

    fortran = array.flags.f_contiguous and not array.flags.c_contiguous
    flat = array.ravel(order="F" if fortran else "C")
    data = flat.view(np.uint8).data if flat.nbytes else memoryview(b"")
    return _header(array.dtype, fortran, array.shape), data


def from_npy(content: memoryview) -> np.ndarray[Any, Any]:
    """Return the array in an `.npy` file's bytes, which it shares."""
    import numpy as np

    if content[: len(_MAGIC)] != _MAGIC:
        raise StoredValueError("no .npy file")
    version = content[len(_MAGIC)]
    start = len(_MAGIC) + 2
    (length,) = _LENGTHS[version].unpack_from(content, start)
    start += _LENGTHS[version].size
    described = ast.literal_eval(
        bytes(content[start : start + length]).decode("utf-8" if version == 3 else "latin-1")
    )
    return np.ndarray(
        described["shape"],
        np.lib.format.descr_to_dtype(described["descr"]),
        content[start + length :] if len(content) > start + length else None,
        order="F" if described["fortran_order"] else "C",
    )


@lru_cache(maxsize=64)  # the elements of a task mostly return arrays of one kind
def _header(dtype: np.dtype[Any], fortran: bool, shape: tuple[int, ...]) -> bytes:
    import numpy as np

    described = np.lib.format.dtype_to_descr(dtype)
    text = repr({"descr": described, "fortran_order": fortran, "shape": shape})
    version, encoded = (1, text.encode()) if text.isascii() else (3, text.encode())
    if version == 1 and len(encoded) + _ALIGNMENT > 0xFFFF:
        version = 2
    before = len(_MAGIC) + 2 + _LENGTHS[version].size
    encoded += b" " * (-(before + len(encoded) + 1) % _ALIGNMENT) + b"\n"
    return _MAGIC + bytes((version, 0)) + _LENGTHS[version].pack(len(encoded)) + encoded


def _dtype(description: str) -> np.dtype[Any]:
    import numpy as np

    return np.lib.format.descr_to_dtype(ast.literal_eval(description))


def _require_storable(dtype: np.dtype[Any]) -> None:
    """Raise `UnstorablePartError` unless a dtype comes back from what an `.npy` file says of it."""
    if dtype.isbuiltin == 1 and not dtype.hasobject:
        return
    import numpy as np

    if dtype.hasobject:
        raise UnstorablePartError(
            f"an array of dtype {dtype}",
            "its items are Python objects; return a list of them, or an array of another dtype",
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of dtypes that other libraries define
            back = np.lib.format.descr_to_dtype(np.lib.format.dtype_to_descr(dtype))
    except ValueError:
        raise UnstorablePartError(
            f"an array of dtype {dtype}",
            "its fields overlap, or are not in the order of their places: give it the dtype of "
            "numpy.lib.recfunctions.repack_fields",
        ) from None
    if not _is_same(dtype, back):
        raise UnstorablePartError(
            f"an array of dtype {dtype}",
            f".npy files have no name for it, and it would come back as {back}: convert it with "
            "astype, or annotate it as Annotated[..., Pickled()]",
        )


def _is_same(one: np.dtype[Any], other: np.dtype[Any]) -> bool:
    """Tell whether dtypes are equal in all their parts; to `==`, records are like any fields."""
    if one.subdtype is not None and other.subdtype is not None:
        return one.shape == other.shape and _is_same(one.base, other.base)
    if one.names is None or other.names is None:
        return one == other and (one.kind != "V" or one.type is other.type)
    return (
        one == other
        and one.type is other.type
        and all(_is_same(one[name], other[name]) for name in one.names)
    )


# -- texts of any length -----------------------------------------------------------------------
def _strings(array: np.ndarray[Any, Any], context: CodecContext) -> Json:
    dtype: Any = array.dtype
    if hasattr(dtype, "na_object") or not dtype.coerce:
        raise UnstorablePartError(
            f"an array of dtype {dtype!r}",
            "use StringDType(), without na_object and coerce, or return a list",
        )
    return {"items": context.encode(array.ravel().tolist()), "shape": list(array.shape)}


def _from_strings(data: Any, context: CodecContext) -> Any:
    import numpy as np

    dtype: Any = np.dtypes.StringDType()
    return np.array(context.decode(data["items"], Any), dtype).reshape(data["shape"])
