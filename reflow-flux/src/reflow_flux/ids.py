"""The ids of jobs, and the names of the elements of an array.

Flux has no arrays: an array here is a set of jobs named `TOKEN-POSITION-of-SIZE`, and its native
id is the token. The size is in each name, so that a set that was submitted in part is recognised.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_LETTERS = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_F58 = re.compile(rf"[ƒf]([{_LETTERS}]+)")
_TOKEN = re.compile(r"[\w-]+", re.ASCII)
_ELEMENT = re.compile(r"(?P<token>[\w-]+)-(?P<position>\d+)-of-(?P<size>\d+)", re.ASCII)


def number(text: str) -> int | None:
    """Parse a job's id as a number: `f2CdTGeK`, `ƒ2CdTGeK` or `45701136384`; None for no id."""
    if text.isascii() and text.isdigit():
        return int(text)
    found = _F58.fullmatch(text)
    if found is None:
        return None
    value = 0
    for letter in found[1]:
        value = 58 * value + _LETTERS.index(letter)
    return value if value < 1 << 64 else None


def is_token(text: str) -> bool:
    """Tell whether a text can be the token of an array."""
    return _TOKEN.fullmatch(text) is not None


def native_id(value: int) -> str:
    """Write a number as Flux prints it in the C locale, as scripts export it: `f2CdTGeK`."""
    letters = ""
    while value or not letters:
        value, rest = divmod(value, 58)
        letters = _LETTERS[rest] + letters
    return f"f{letters}"


def printed_ids(text: str) -> Iterator[str]:
    """Yield the ids that flux submit prints, one per line."""
    for line in text.splitlines():
        value = number(line.strip())
        if value is not None:
            yield native_id(value)


def element_name(token: str, position: int | str, size: int) -> str:
    """Name the job of one element."""
    return f"{token}-{position}-of-{size}"


def element_of(name: str) -> tuple[str, int, int] | None:
    """Parse token, position and size in an element's name; None for another name."""
    found = _ELEMENT.fullmatch(name)
    return (found["token"], int(found["position"]), int(found["size"])) if found else None
