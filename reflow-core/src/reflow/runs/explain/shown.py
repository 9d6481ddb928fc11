"""Stored values as short texts, read as text alone: nothing is decoded or loaded."""

from __future__ import annotations

from typing import Any

from reflow.errors import StoredValueError
from reflow.model.canonical import loads
from reflow.model.json import Json
from reflow.model.secrets import without_passwords

LONGEST = 80
_MOST = 20
"""Items of one list or dict that are looked at."""


def shown(text: str) -> str:
    """Return a stored value as a short text, much as Python writes it."""
    try:
        written = _written(without_passwords(loads(text)))
    except StoredValueError:
        written = text
    return written if len(written) <= LONGEST else f"{written[: LONGEST - 3]}..."


def _written(data: Json) -> str:
    if isinstance(data, list):
        return f"[{_listed(data)}]"
    if not isinstance(data, dict):
        return repr(data)
    tag = next(iter(data)) if len(data) == 1 else ""
    if not tag.startswith("$"):
        return f"{{{_items(data, ': ', repr)}}}"
    return _wrapped(tag[1:], data[tag])


def _wrapped(name: str, content: Any) -> str:
    match name, content:
        case "path", str() as path:
            return path
        case "tuple", list() as items:
            return f"({_listed(items)}{',' if len(items) == 1 else ''})"
        case "dict", list() as pairs if all(isinstance(each, list) for each in pairs):
            some = ", ".join(": ".join(map(_written, pair)) for pair in pairs[:_MOST])
            return f"{{{some}{', ...' if len(pairs) > _MOST else ''}}}"
        case "file", [str(), int(), int() as length, *_]:
            return f"{length:,} bytes"
        case "bytes", str() as encoded:
            return f"{len(encoded) * 3 // 4 - encoded.count('='):,} bytes"
        case _, [str() as kind, dict() as fields]:
            return f"{_last(kind)}({_items(fields, '=', str)})"
        case _, [str() as kind, str() as member] if name == "enum":
            return f"{_last(kind)}.{member}"
        case _, [None | str() as kind, inner]:
            return f"{_last(kind or name)}({_written(inner)})"
    return f"{_last(name)}({_written(content)})"


def _last(name: str) -> str:
    return name.rpartition(".")[2]


def _listed(items: list[Json]) -> str:
    more = ", ..." if len(items) > _MOST else ""
    return ", ".join(map(_written, items[:_MOST])) + more


def _items(items: dict[str, Json], between: str, key: Any) -> str:
    some = list(items.items())[:_MOST]
    more = ", ..." if len(items) > _MOST else ""
    return ", ".join(f"{key(name)}{between}{_written(part)}" for name, part in some) + more
