"""The text of a list, taken apart and put together without decoding its items.

A tuple is taken apart as a list is, and a dict into its items, which are tuples of key and value.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from reflow.codecs.registry import tag_of
from reflow.errors import StoredValueError
from reflow.model.canonical import dumps, loads
from reflow.model.json import Json

_read_item = json.JSONDecoder().raw_decode
_TUPLE, _DICT = '{"$tuple":', '{"$dict":'
_KINDS = {type(None): "None", bool: "bool", int: "int", float: "float", str: "str", dict: "dict"}


class NotAListError(StoredValueError):
    """A value that was to be split into elements is not a list."""


def parts(text: str) -> list[str]:
    """Return the canonical texts of the items of a list or a tuple, from its canonical text.

    Raises `NotAListError` when the value is neither; a set and a dict are none.
    """
    if text.startswith("["):
        return _split(text)
    if text.startswith(_TUPLE):
        return _split(text[len(_TUPLE) : -1])
    raise NotAListError(f"a list is needed to make one element of each item, not {kind(text)}")


def pairs(text: str) -> list[str]:
    """Return the canonical texts of a dict's items, each a tuple, from the text of the dict.

    They are in the order of the dict. Raises `NotAListError` when the value is no dict.
    """
    if text.startswith(_DICT):
        return [f"{_TUPLE}{pair}}}" for pair in _split(text[len(_DICT) : -1])]
    data: Json = loads(text)
    if not isinstance(data, dict) or tag_of(data) is not None:
        raise NotAListError(f"a dict is needed to make one element of each item, not {kind(text)}")
    return [dumps({"$tuple": [key, value]}) for key, value in data.items()]


def _split(text: str) -> list[str]:
    """Return the texts of the items of a JSON array."""
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
