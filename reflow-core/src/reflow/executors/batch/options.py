"""Options that users pass through to a scheduler's submit command."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from reflow.errors import ParameterError

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")


def long_options(
    executor: str, options: Mapping[str, Any], reserved: Mapping[str, str]
) -> list[tuple[str, ...]]:
    """Write options as words: `{"qos": "high", "exclusive": True}` to `--qos=high`, `--exclusive`.

    One letter gives a short option, True an option without a value, a list the same option
    several times; False and None leave it out. Underscores in names stand for dashes.
    Raises `ParameterError` for a name in `reserved` (with the reason given there), and for a
    value that no option can have.
    """
    values = option_values(executor, options, reserved, lambda given: given.replace("_", "-"))
    return [_words(executor, name, value) for name, value in values]


def option_values(
    executor: str,
    options: Mapping[str, Any],
    reserved: Mapping[str, str],
    name_of: Callable[[str], str],
    names: re.Pattern[str] = _NAME,
) -> Iterator[tuple[str, str | int | float]]:
    """Yield the name and the value of each option; True for one without a value.

    `name_of` converts the given name to the scheduler's, which must match `names`.
    A list gives the same option several times; False and None leave it out. Raises
    `ParameterError` for a name in `reserved`, and for a value that no option can have.
    """
    for given, value in options.items():
        name = name_of(given)
        if not names.fullmatch(name):
            raise ParameterError(f"{given!r} is not the name of an option for {executor}")
        if name in reserved:
            raise ParameterError(
                f"the {executor} option {given!r} is reflow's own: {reserved[name]}"
            )
        for item in value if isinstance(value, list | tuple) else (value,):
            if item is None or item is False:
                continue
            if not isinstance(item, str | int | float):
                raise ParameterError(
                    f"the {executor} option {given!r} must be text, a number, true, false or a "
                    f"list, not {item!r}"
                )
            yield name, item


def resource_names(value: object) -> set[str]:
    """Parse the names in a value of `-l`: `{"select", "place"}` in `select=1:ncpus=2,place=x`.

    A list holds several such values.
    """
    texts = value if isinstance(value, list | tuple) else (value,)
    found = (re.findall(r"(?:^|,)\s*(\w+)(?:=|$|,)", str(text)) for text in texts)
    return {name for names in found for name in names}


def _words(executor: str, name: str, value: str | int | float) -> tuple[str, ...]:
    flag = f"-{name}" if len(name) == 1 else f"--{name}"
    if value is True:
        return (flag,)
    text = str(value)
    if not text.isprintable():
        raise ParameterError(f"the {executor} option {name!r} holds an unprintable character")
    return (flag, text) if len(name) == 1 else (f"{flag}={text}",)
