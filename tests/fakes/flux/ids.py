"""Flux's job ids in their forms, and its sets of indices."""

from __future__ import annotations

import re
from collections.abc import Mapping

_DIGITS = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
LETTER = "ƒ"


def to_f58(number: int, *, ascii_only: bool = False) -> str:
    """Write an id as `ƒ2CdTGeK`."""
    text = ""
    while number:
        number, digit = divmod(number, 58)
        text = _DIGITS[digit] + text
    return ("f" if ascii_only else LETTER) + (text or "1")


def parse(text: str) -> int | None:
    """Read an id in any form; None for what is none."""
    if re.fullmatch(r"\d+", text):
        number = int(text)
    elif re.fullmatch(r"0x[0-9a-fA-F]+", text):
        number = int(text, 16)
    elif re.fullmatch(r"(job\.)?[0-9a-f]{4}(\.[0-9a-f]{4}){3}", text):
        number = int(text.removeprefix("job.").replace(".", ""), 16)
    elif text[:1] in (LETTER, "f") and text[1:] and set(text[1:]) <= set(_DIGITS):
        number = 0
        for character in text[1:]:
            number = number * 58 + _DIGITS.index(character)
    else:
        return None
    return number if number < 2**64 else None


def convert(number: int, form: str, *, ascii_only: bool) -> str | None:
    """Write an id in one of the forms of `flux job id --to`; None for a form there is not."""
    dotted = ".".join(f"{number:016x}"[at : at + 4] for at in range(0, 16, 4))
    forms = {
        "dec": str(number),
        "hex": hex(number),
        "kvs": f"job.{dotted}",
        "dothex": dotted,
        "f58": to_f58(number, ascii_only=ascii_only),
        "f58plain": to_f58(number, ascii_only=True),
    }
    return forms.get(form)


def is_ascii(environment: Mapping[str, str]) -> bool:
    """Whether ids are printed with a plain `f` in this environment."""
    if "FLUX_F58_FORCE_ASCII" in environment:
        return True
    for name in ("LC_ALL", "LC_CTYPE", "LANG"):
        if environment.get(name):
            return "utf" not in environment[name].lower()
    return True


def parse_set(text: str) -> list[int] | None:
    """Read `0-4,7`; None for what is no set."""
    found: set[int] = set()
    for part in text.removeprefix("[").removesuffix("]").split(","):
        match = re.fullmatch(r"(\d+)(?:-(\d+))?", part)
        if match is None:
            return None
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first:
            return None
        found.update(range(first, last + 1))
    return sorted(found)
