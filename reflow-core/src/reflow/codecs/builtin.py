"""The codecs of Python's own types.

These codecs never see what JSON keeps unchanged: None, booleans, most numbers and texts, lists, and
objects with ordinary keys. `codecs.py` decides that and asks here for the rest. A class is handled
only if it is exactly the one named here: a subclass is another type.
"""

from __future__ import annotations

import binascii
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone, tzinfo
from pathlib import Path, PurePath, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING, Any

from reflow.codecs.classes import DataclassCodec, EnumCodec, NamedTupleCodec
from reflow.codecs.contract import Codec, CodecContext
from reflow.codecs.pickled import PickledCodec
from reflow.codecs.self_contained import SelfContained
from reflow.codecs.unstorable import UnstorablePartError, step
from reflow.codecs.value_files import FileReference
from reflow.errors import StoredValueError
from reflow.model.canonical import dumps
from reflow.model.json import Json

if TYPE_CHECKING:
    from decimal import Decimal
    from fractions import Fraction
    from types import EllipsisType
    from uuid import UUID
    from zoneinfo import ZoneInfo

_BETWEEN_SURROGATES = re.compile("(?<=[\ud800-\udbff])(?=[\udc00-\udfff])")


@dataclass(frozen=True, slots=True)
class BuiltinCodec(SelfContained):
    """A codec for one class, made of two functions."""

    name: str
    kind: type | str
    """The class, or `module.Class` for modules that are not imported for this."""
    pack: Callable[[Any, CodecContext], Json]
    unpack: Callable[[Any, CodecContext], Any]

    def handles(self, kind: type) -> bool:
        """Tell whether a class is the codec's own class."""
        if isinstance(self.kind, type):
            return kind is self.kind
        module, _, name = self.kind.rpartition(".")
        return kind is getattr(sys.modules.get(module), name, None)

    def encode(self, value: Any, context: CodecContext) -> Json:
        """Encode the value as JSON."""
        return self.pack(value, context)

    def decode(self, data: Json, kind: type, context: CodecContext) -> Any:
        """Decode the value."""
        return self.unpack(data, context)


# -- numbers and texts -------------------------------------------------------------------------
def _pack_int(value: int, context: CodecContext) -> Json:
    return hex(value)  # not decimal: Python refuses to convert more than some thousand digits


def _unpack_int(data: str, context: CodecContext) -> int:
    return int(data, 16)


def _pack_float(value: float, context: CodecContext) -> Json:
    return repr(value)


def _unpack_float(data: str, context: CodecContext) -> float:
    return float(data)


def _pack_complex(value: complex, context: CodecContext) -> Json:
    return [context.encode(value.real), context.encode(value.imag)]


def _unpack_complex(data: list[Json], context: CodecContext) -> complex:
    return complex(*[context.decode(part, Any) for part in data])


def _pack_fraction(value: Fraction, context: CodecContext) -> Json:
    return [context.encode(value.numerator), context.encode(value.denominator)]


def _unpack_fraction(data: list[Json], context: CodecContext) -> Fraction:
    from fractions import Fraction

    return Fraction(*[context.decode(part, Any) for part in data])


def splits_in_json(text: str) -> bool:
    """Tell whether JSON would read two lone surrogates of this text as one character."""
    return not text.isascii() and _BETWEEN_SURROGATES.search(text) is not None


def _pack_str(value: str, context: CodecContext) -> Json:
    return list(_BETWEEN_SURROGATES.split(value))


def _unpack_str(data: list[str], context: CodecContext) -> str:
    return "".join(data)


def _pack_bytes(value: bytes, context: CodecContext) -> Json:
    return binascii.b2a_base64(value, newline=False).decode("ascii")


def _unpack_bytes(data: str, context: CodecContext) -> bytes:
    return binascii.a2b_base64(data, strict_mode=True)


def _pack_decimal(value: Decimal, context: CodecContext) -> Json:
    return str(value)


def _unpack_decimal(data: str, context: CodecContext) -> Decimal:
    from decimal import Decimal

    return Decimal(data)


def _pack_uuid(value: UUID, context: CodecContext) -> Json:
    return str(value)


def _unpack_uuid(data: str, context: CodecContext) -> UUID:
    from uuid import UUID

    return UUID(data)


# -- indices -----------------------------------------------------------------------------------
def _pack_bounds(value: range | slice, context: CodecContext) -> Json:
    return _encode_each((value.start, value.stop, value.step), _bound, context)


def _bound(number: int, item: object) -> str:
    return f".{('start', 'stop', 'step')[number]}"


def _unpack_range(data: list[Json], context: CodecContext) -> range:
    return range(*[context.decode(part, Any) for part in data])


def _unpack_slice(data: list[Json], context: CodecContext) -> slice:
    return slice(*[context.decode(part, Any) for part in data])


def _pack_ellipsis(value: EllipsisType, context: CodecContext) -> Json:
    return None


def _unpack_ellipsis(data: None, context: CodecContext) -> EllipsisType:
    return ...


# -- containers --------------------------------------------------------------------------------
def _encode_each(
    items: Iterable[Any], name: Callable[[int, Any], str], context: CodecContext
) -> list[Json]:
    encoded: list[Json] = []
    for number, item in enumerate(items):
        try:
            encoded.append(context.encode(item))
        except UnstorablePartError as error:
            raise error.inside(name(number, item)) from None
    return encoded


def _position(number: int, item: object) -> str:
    return f"[{number}]"


def _element(number: int, item: object) -> str:
    return f"{{{step(item)[1:-1]}}}"


def _key(number: int, key: object) -> str:
    return f"(key {step(key)[1:-1]})"


def _pack_tuple(value: tuple[Any, ...], context: CodecContext) -> Json:
    return _encode_each(value, _position, context)


def _unpack_tuple(data: list[Json], context: CodecContext) -> tuple[Any, ...]:
    return tuple([context.decode(item, Any) for item in data])


def _pack_set(value: Iterable[Any], context: CodecContext) -> Json:
    return sorted(_encode_each(value, _element, context), key=dumps)


def _unpack_set(data: list[Json], context: CodecContext) -> set[Any]:
    return {context.decode(item, Any) for item in data}


def _unpack_frozenset(data: list[Json], context: CodecContext) -> frozenset[Any]:
    return frozenset(_unpack_set(data, context))


def _pack_dict(value: dict[Any, Any], context: CodecContext) -> Json:
    keys = _encode_each(value, _key, context)
    pairs: list[Json] = []
    for encoded, (key, part) in zip(keys, value.items(), strict=True):
        try:
            pairs.append([encoded, context.encode(part)])
        except UnstorablePartError as error:
            raise error.inside(step(key)) from None
    return pairs


def _unpack_dict(data: list[list[Json]], context: CodecContext) -> dict[Any, Any]:
    return {context.decode(key, Any): context.decode(part, Any) for key, part in data}


# -- dates and times ---------------------------------------------------------------------------
def _pack_date(value: date, context: CodecContext) -> Json:
    return value.isoformat()


def _unpack_date(data: str, context: CodecContext) -> date:
    return date.fromisoformat(data)


def _pack_clock(value: datetime | time, context: CodecContext) -> Json:
    """Encode the naive text, and beside it the zone and the fold, which the text would lose."""
    naive = value.replace(tzinfo=None, fold=0).isoformat()
    if value.tzinfo is None and not value.fold:
        return naive
    return [naive, value.fold, context.encode(value.tzinfo)]


def _clock_parts(data: str | list[Any], context: CodecContext) -> tuple[str, int, tzinfo | None]:
    if isinstance(data, str):
        return data, 0, None
    naive, fold, zone = data
    return naive, fold, context.decode(zone, Any)


def _unpack_datetime(data: str | list[Any], context: CodecContext) -> datetime:
    naive, fold, zone = _clock_parts(data, context)
    return datetime.fromisoformat(naive).replace(fold=fold, tzinfo=zone)


def _unpack_time(data: str | list[Any], context: CodecContext) -> time:
    naive, fold, zone = _clock_parts(data, context)
    return time.fromisoformat(naive).replace(fold=fold, tzinfo=zone)


def _pack_timedelta(value: timedelta, context: CodecContext) -> Json:
    return [value.days, value.seconds, value.microseconds]


def _unpack_timedelta(data: list[int], context: CodecContext) -> timedelta:
    return timedelta(*data)


def _pack_timezone(value: timezone, context: CodecContext) -> Json:
    offset = value.utcoffset(None)
    name = value.tzname(None)
    named = name != timezone(offset).tzname(None)
    return [_pack_timedelta(offset, context), context.encode(name if named else None)]


def _unpack_timezone(data: list[Any], context: CodecContext) -> timezone:
    offset, name = _unpack_timedelta(data[0], context), context.decode(data[1], Any)
    return timezone(offset) if name is None else timezone(offset, name)


def _pack_zoneinfo(value: ZoneInfo, context: CodecContext) -> Json:
    if value.key is None:
        raise UnstorablePartError("a ZoneInfo without a key", "make it with ZoneInfo(name)")
    return value.key


def _unpack_zoneinfo(data: str, context: CodecContext) -> ZoneInfo:
    from zoneinfo import ZoneInfo

    return ZoneInfo(data)


# -- paths -------------------------------------------------------------------------------------
def _pack_purepath(value: PurePath, context: CodecContext) -> Json:
    return context.encode(str(value))


def _unpack_posix_path(data: Json, context: CodecContext) -> PurePosixPath:
    return PurePosixPath(context.decode(data, Any))


def _unpack_windows_path(data: Json, context: CodecContext) -> PureWindowsPath:
    return PureWindowsPath(context.decode(data, Any))


class PathCodec:
    """Paths of this machine, which stand for the files at them; pure paths are only texts."""

    name = "path"
    needs_class = False

    def handles(self, kind: type) -> bool:
        """Tell whether a class is the one that `Path()` creates here."""
        return kind is type(Path())

    def encode(self, value: Path, context: CodecContext) -> Json:
        """Encode the text of the path."""
        return context.encode(str(value))

    def decode(self, data: Json, kind: type, context: CodecContext) -> Path:
        """Decode the path."""
        return Path(context.decode(data, Any))

    def places(self, data: Json) -> Sequence[str]:
        """Return the path."""
        return (path_text(data),)

    def fingerprint(self, data: Json) -> Json:
        """Return None: the file at the path is the value."""
        return None


class FileCodec(SelfContained):
    """References to bytes in files, which other codecs have written through their context."""

    name = "file"

    def handles(self, kind: type) -> bool:
        """Tell that no value is one by itself."""
        return False

    def encode(self, value: FileReference, context: CodecContext) -> Json:
        """Encode the reference."""
        return value.as_json()

    def decode(self, data: Json, kind: type, context: CodecContext) -> memoryview:
        """Read the bytes."""
        return context.read_bytes({f"${self.name}": data})

    def fingerprint(self, data: Json) -> Json:
        """Return length and digest: where the bytes lie does not count."""
        reference = FileReference.from_json(data)
        return [reference.length, reference.digest]


def path_text(data: Json) -> str:
    """Return the text of an encoded path, whatever characters it holds."""
    if isinstance(data, dict):
        (data,) = data.values()
    if isinstance(data, list):
        return "".join(str(piece) for piece in data)
    if not isinstance(data, str):
        raise StoredValueError(f"no path: {data!r}")
    return data


_CODECS: tuple[Codec, ...] = (
    BuiltinCodec("int", int, _pack_int, _unpack_int),
    BuiltinCodec("float", float, _pack_float, _unpack_float),
    BuiltinCodec("complex", complex, _pack_complex, _unpack_complex),
    BuiltinCodec("str", str, _pack_str, _unpack_str),
    BuiltinCodec("bytes", bytes, _pack_bytes, _unpack_bytes),
    BuiltinCodec("tuple", tuple, _pack_tuple, _unpack_tuple),
    BuiltinCodec("range", range, _pack_bounds, _unpack_range),
    BuiltinCodec("slice", slice, _pack_bounds, _unpack_slice),
    BuiltinCodec("ellipsis", type(...), _pack_ellipsis, _unpack_ellipsis),
    BuiltinCodec("dict", dict, _pack_dict, _unpack_dict),
    BuiltinCodec("set", set, _pack_set, _unpack_set),
    BuiltinCodec("frozenset", frozenset, _pack_set, _unpack_frozenset),
    PathCodec(),
    FileCodec(),
    PickledCodec(),
    BuiltinCodec("pureposixpath", PurePosixPath, _pack_purepath, _unpack_posix_path),
    BuiltinCodec("purewindowspath", PureWindowsPath, _pack_purepath, _unpack_windows_path),
    BuiltinCodec("datetime", datetime, _pack_clock, _unpack_datetime),
    BuiltinCodec("date", date, _pack_date, _unpack_date),
    BuiltinCodec("time", time, _pack_clock, _unpack_time),
    BuiltinCodec("timedelta", timedelta, _pack_timedelta, _unpack_timedelta),
    BuiltinCodec("timezone", timezone, _pack_timezone, _unpack_timezone),
    BuiltinCodec("zoneinfo", "zoneinfo.ZoneInfo", _pack_zoneinfo, _unpack_zoneinfo),
    BuiltinCodec("uuid", "uuid.UUID", _pack_uuid, _unpack_uuid),
    BuiltinCodec("decimal", "decimal.Decimal", _pack_decimal, _unpack_decimal),
    BuiltinCodec("fraction", "fractions.Fraction", _pack_fraction, _unpack_fraction),
    EnumCodec(),
    DataclassCodec(),
    NamedTupleCodec(),
)


def builtin_codecs() -> Sequence[Codec]:
    """Return the codecs of Python's own types and kinds of classes; always the same objects."""
    return _CODECS
