"""Options that people hand through to a scheduler's submit command."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from reflow.errors import ParameterError

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")


def long_options(
    executor: str, options: Mapping[str, Any], reserved: Mapping[str, str]
) -> list[tuple[str, ...]]:
    """Each option as words: `{"qos": "high", "exclusive": True}` to `--qos=high`, `--exclusive`.

    One letter gives a short option, True an option without a value, a list the same option
    several times; False and None leave it out. Underscores in names stand for dashes.
    Raises `ParameterError` for a name in `reserved` (with what is said there), and for a value
    that is no option's.
    """
    written: list[tuple[str, ...]] = []
    for given, value in options.items():
        name = given.replace("_", "-")
        if not _NAME.fullmatch(given):
            raise ParameterError(f"{given!r} is not the name of an option for {executor}")
        if name in reserved:
            raise ParameterError(
                f"the {executor} option {given!r} is reflow's own: {reserved[name]}"
            )
        items = value if isinstance(value, list | tuple) else (value,)
        given_items = (item for item in items if item is not None and item is not False)
        written.extend(_words(executor, name, item) for item in given_items)
    return written


def resource_names(value: object) -> set[str]:
    """Names of what a value of `-l` asks for: `{"select", "place"}` of `select=1:ncpus=2,place=x`.

    A list holds several such values.
    """
    texts = value if isinstance(value, list | tuple) else (value,)
    found = (re.findall(r"(?:^|,)\s*(\w+)(?:=|$|,)", str(text)) for text in texts)
    return {name for names in found for name in names}


def _words(executor: str, name: str, value: object) -> tuple[str, ...]:
    flag = f"-{name}" if len(name) == 1 else f"--{name}"
    if value is True:
        return (flag,)
    if not isinstance(value, str | int | float):
        raise ParameterError(
            f"the {executor} option {name!r} must be text, a number, true, false or a list, "
            f"not {value!r}"
        )
    text = str(value)
    if not text.isprintable():
        raise ParameterError(f"the {executor} option {name!r} holds an unprintable character")
    return (flag, text) if len(name) == 1 else (f"{flag}={text}",)
