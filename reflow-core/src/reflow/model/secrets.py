"""What is never shown: values that are secrets by their name.

Parameters and constants carry no mark of being secret, so that their names decide. Passwords in
URLs are left out wherever they stand. What is recorded is whole, as runs need it.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

HIDDEN = "***"
"""Stands for what is not shown."""

_WORDS = frozenset(
    {"apikey", "auth", "credential", "credentials", "passphrase", "passwd", "password", "pwd"}
    | {"secret", "secrets", "token", "tokens"}
)
_PAIRS = frozenset({("access", "key"), ("api", "key"), ("private", "key"), ("secret", "key")})
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_PASSWORD = re.compile(r"(://[^:/@\s]*:)[^/@\s]+(?=@)")
_ASSIGNED = re.compile(
    # A name, alone or in quotes, what stands before the value, its type too, and a text.
    r"""(\w+)(["']?(?:\s*:[^=:,()"']*)?\s*[=:]\s*\w{0,2})("(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')"""
)


def is_secret(name: str) -> bool:
    """Tell whether a name says that its value is a secret: `api_key`, `DB_PASSWORD`."""
    words = [word.lower() for word in _WORD.findall(name)]
    return not (_WORDS.isdisjoint(words) and _PAIRS.isdisjoint(pairwise(words)))


def without_passwords(value: Any) -> Any:
    """Return JSON data with the passwords of URLs in it replaced, and what secret names hold."""
    if isinstance(value, str):
        return _PASSWORD.sub(rf"\1{HIDDEN}", value)
    if isinstance(value, list):
        return [without_passwords(each) for each in value]
    if isinstance(value, dict):
        return {
            name: HIDDEN if is_secret(name) else without_passwords(each)
            for name, each in value.items()
        }
    return value


def shown_text(name: str, text: str) -> str:
    """Return the text of what has a name as it is shown; empty where there is none."""
    return HIDDEN if text and is_secret(name) else _PASSWORD.sub(rf"\1{HIDDEN}", text)


def shown_source(line: str) -> str:
    """Return a line of source without the texts that it gives to secret names."""

    def hide(found: re.Match[str]) -> str:
        name, between, text = found.groups()
        return f"{name}{between}{text[0]}{HIDDEN}{text[0]}" if is_secret(name) else found[0]

    return str(without_passwords(_ASSIGNED.sub(hide, line)))
