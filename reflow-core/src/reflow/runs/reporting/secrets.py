"""What a report leaves out, as it may be passed on: values that are secrets by their name.

Parameters and constants carry no mark of being secret, so that their names decide. Passwords in
URLs are left out wherever they stand.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

_WORDS = frozenset(
    {"apikey", "auth", "credential", "credentials", "passphrase", "passwd", "password", "pwd"}
    | {"secret", "secrets", "token", "tokens"}
)
_PAIRS = frozenset({("access", "key"), ("api", "key"), ("private", "key"), ("secret", "key")})
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_PASSWORD = re.compile(r"(://[^:/@\s]*:)[^/@\s]+(?=@)")


def is_secret(name: str) -> bool:
    """Tell whether a name says that its value is a secret: `api_key`, `DB_PASSWORD`."""
    words = [word.lower() for word in _WORD.findall(name)]
    return not (_WORDS.isdisjoint(words) and _PAIRS.isdisjoint(pairwise(words)))


def without_passwords(value: Any) -> Any:
    """Return JSON data with the passwords of URLs in it replaced, and what secret names hold."""
    if isinstance(value, str):
        return _PASSWORD.sub(r"\1***", value)
    if isinstance(value, list):
        return [without_passwords(each) for each in value]
    if isinstance(value, dict):
        return {
            name: "***" if is_secret(name) else without_passwords(each)
            for name, each in value.items()
        }
    return value
