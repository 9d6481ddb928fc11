"""Text as databases accept it: without NUL and lone surrogates.

File names and the output of programs may hold NUL and bytes that are no UTF-8, which Python carries
as lone surrogates; PostgreSQL refuses both, SQLite the latter. Such characters are stored as a
mark and four hexadecimal digits; all other text is stored unchanged.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TypeVar

_MARK = "\x1a"
_REFUSED = re.compile(f"[\x00{_MARK}\ud800-\udfff]")
_ESCAPED = re.compile(f"{_MARK}([0-9a-f]{{4}})")

T = TypeVar("T", str, str | None)

_LOOK = 500
"""Texts that are checked at once."""


def stored(text: str) -> str:
    """Escape the characters of `text` that a database may refuse."""
    if text.isascii() and "\x00" not in text and _MARK not in text:
        return text
    return _REFUSED.sub(lambda found: f"{_MARK}{ord(found[0]):04x}", text)


def stored_column(texts: Sequence[T]) -> Sequence[T]:
    """Apply `stored` to many texts; fast where, as most often, there is nothing to escape."""
    for start in range(0, len(texts), _LOOK):
        together = "".join(filter(None, texts[start : start + _LOOK]))
        if not together.isascii() or "\x00" in together or _MARK in together:
            return [text and stored(text) for text in texts]
    return texts


def plain(text: str) -> str:
    """Return the text that `stored` was given."""
    if _MARK not in text:
        return text
    return _ESCAPED.sub(lambda found: chr(int(found[1], 16)), text)


def stored_or_none(text: str | None) -> str | None:
    """Apply `stored` to a text that may be absent."""
    return None if text is None else stored(text)


def plain_or_none(text: str | None) -> str | None:
    """Apply `plain` to a text that may be absent."""
    return None if text is None else plain(text)
