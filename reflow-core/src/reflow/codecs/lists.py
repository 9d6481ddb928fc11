"""The text of a list, taken apart and put together without decoding its items."""

from __future__ import annotations

import json
from collections.abc import Iterable

from reflow.codecs.registry import tag_of
from reflow.errors import StoredValueError
from reflow.model.canonical import loads
from reflow.model.json import Json

_read_item = json.JSONDecoder().raw_decode
_KINDS = {type(None): "None", bool: "bool", int: "int", float: "float", str: "str", dict: "dict"}


class NotAListError(StoredValueError):
    """A value that was to be split into elements is not a list."""


def parts(text: str) -> list[str]:
    """Return the canonical texts of a list's items, from the canonical text of the list.

    Raises `NotAListError` when the value is no list; a tuple or a set is none.
    """
    if not text.startswith("["):
        raise NotAListError(f"a list is needed to make one element of each item, not {kind(text)}")
    items: list[str] = []
    start, end = 1, len(text) - 1
    while start < end:
        _, stop = _read_item(text, start)
        items.append(text[start:stop])
        start = stop + 1
    return items


def join(texts: Iterable[str]) -> str:
    """Return the text of the list of these items: the reverse of `parts`."""
    return f"[{','.join(texts)}]"


def kind(text: str) -> str:
    """Return the kind of a stored value, in users' words: `tuple`, `dict`, `dataclass`."""
    data: Json = loads(text)
    tag = tag_of(data) if isinstance(data, dict) else None
    return tag or _KINDS.get(type(data), "list")
