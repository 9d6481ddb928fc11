"""Results as plain JSON, for programs that are not Python."""

from __future__ import annotations

import math
from base64 import b64encode
from collections.abc import Mapping, Set
from dataclasses import fields, is_dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from pathlib import PurePath
from typing import Any
from uuid import UUID

from reflow.errors import UsageError
from reflow.model.json import Json


def plain_json(value: Any) -> Json:
    """Convert a result to JSON without reflow's own marks.

    Sequences and sets become arrays; mappings and records become objects; times are ISO 8601 and
    durations seconds; bytes are Base64; a complex number is an array of two; what is no finite
    number is null. Arrays are nested, frames have an array per column. Raises `UsageError` for
    what has no such form.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, Enum):
        return plain_json(value.value)
    if isinstance(value, str | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if hasattr(value, "_asdict"):
        return _object(value._asdict())
    if isinstance(value, Mapping):
        return _object(value)
    if isinstance(value, list | tuple | Set | range):
        return [plain_json(item) for item in value]
    if is_dataclass(value) and not isinstance(value, type):
        return _object({field.name: getattr(value, field.name) for field in fields(value)})
    return _scalar(value)


def _object(value: Mapping[Any, Any]) -> Json:
    keys = {key: key if isinstance(key, str) else plain_json(key) for key in value}
    return {
        key if isinstance(key, str) else str(key): plain_json(value[given])
        for given, key in keys.items()
    }


def _scalar(value: Any) -> Json:
    match value:
        case datetime() | date() | time():
            return value.isoformat()
        case timedelta():
            return value.total_seconds()
        case bytes() | bytearray():
            return b64encode(value).decode()
        case complex():
            return [plain_json(value.real), plain_json(value.imag)]
        case PurePath() | Decimal() | Fraction() | UUID():
            return str(value)
    return _of_a_library(value)


def _of_a_library(value: Any) -> Json:
    """Convert a value of a library by its own method, told by name: none of them is imported."""
    match type(value).__module__.partition(".")[0], type(value).__name__:
        case "numpy", "MaskedArray":
            return plain_json(value.tolist())
        case "numpy", _:
            listed = value.tolist() if hasattr(value, "tolist") else value
            return plain_json(listed) if type(listed) is not type(value) else _refused(value)
        case "pandas", "DataFrame":
            return _object(value.to_dict(orient="list"))
        case "pandas", _ if hasattr(value, "tolist"):
            return plain_json(value.tolist())
        case "pandas", "Timestamp":
            return str(value.isoformat())
        case "xarray", _ if hasattr(value, "to_dict"):
            return plain_json(value.to_dict())
    if hasattr(value, "model_dump"):
        return plain_json(value.model_dump())
    return _refused(value)


def _refused(value: Any) -> Json:
    kind = f"{type(value).__module__}.{type(value).__qualname__}"
    raise UsageError(
        f"a {kind} cannot be written as JSON: write the result to a file with -o FILE.pkl, or read "
        "it in Python with Run.result()"
    )
