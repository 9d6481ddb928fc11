"""The values of run parameters: the only module that parses and checks them.

The command line passes texts, Python passes objects; both become the same values. Supported are
`str int float bool Path datetime date UUID Enum Literal`, and `list[...]` and `Optional[...]` of
those, so that every workflow has a command line.
"""

from __future__ import annotations

import os
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import Enum
from numbers import Integral, Real
from pathlib import Path
from typing import Any
from uuid import UUID

from reflow.errors import DefinitionError, OptionError, ParameterError
from reflow.model.graph import Graph, RunParameter
from reflow.model.tasks import REQUIRED
from reflow.wiring.names import suggestion
from reflow.wiring.types import NoneType, members, plain, show

SUPPORTED = (
    "str, int, float, bool, Path, datetime, date, UUID, an Enum, Literal, "
    "and list[...] or Optional[...] of those"
)


class _BadValueError(Exception):
    """Says what is wrong with a value; the caller that knows the parameter adds its name."""


@dataclass(frozen=True, slots=True)
class ParameterType:
    """The values that a run parameter takes, as the command line needs to know it."""

    label: str
    """For users: `int`, `Path`, `fast | slow`."""
    element: type
    """The class of one value; for `Literal` that of its first."""
    choices: tuple[str, ...]
    """The texts to choose from; empty where any text of the right form will do."""
    many: bool
    """A list: the flag may be given several times."""
    optional: bool
    """None is a value; on the command line by leaving the flag out."""
    _parse: Callable[[str], Any]
    _check: Callable[[Any], Any]

    @property
    def takes_commas(self) -> bool:
        """Whether a value's text may hold any character, so that commas separate no values."""
        return not self.choices and self.element in (str, Path)

    @property
    def nothing(self) -> Any:
        """The value of the flag with a `--no-` prefix: an empty list, else None."""
        return [] if self.many else None

    def negated(self, default: Any) -> bool:
        """Tell whether `--no-` flags set a value that neither default nor another flag sets."""
        return not self.switch and (self.many or self.optional) and default != self.nothing

    @property
    def switch(self) -> bool:
        """Whether the flag alone sets the value: `--fast`, or `--no-fast`."""
        return self.element is bool and not self.choices and not self.many

    def parse(self, text: str | Sequence[str]) -> Any:
        """Parse a text, or a list of texts where the parameter is a list."""
        if not self.many:
            if not isinstance(text, str):
                raise _BadValueError(f"takes one {self.label}, not {len(text)}")
            return self._parse(text)
        texts = [text] if isinstance(text, str) else text
        return [value for item in texts for value in self._parse_items(item)]

    def _parse_items(self, text: str) -> list[Any]:
        """Parse the values of one text: one, or several separated by commas.

        Texts and paths may hold commas themselves, so that those are never taken apart.
        """
        try:
            return [self._parse(text)]
        except _BadValueError:
            if "," not in text:
                raise
        return [self._parse(item.strip()) for item in text.split(",")]

    def check(self, value: Any) -> Any:
        """Return the value as the function will receive it."""
        if value is None and self.optional:
            return None
        if not self.many:
            return self._check(value)
        if not isinstance(value, list | tuple):
            raise _BadValueError(f"must be a list of {self.label}, not {_shown(value)}")
        checked = []
        for position, item in enumerate(value):
            try:
                checked.append(self._check(item))
            except _BadValueError as error:
                raise _BadValueError(f"item {position}: {error}") from error
        return checked


def parameter_type(annotation: Any) -> ParameterType:
    """Return what a parameter of this annotation takes. Raises `DefinitionError` if unsupported."""
    kind = plain(annotation)
    options = [member for member in members(kind) if member is not NoneType]
    optional = len(options) < len(members(kind))
    if len(options) != 1:
        raise _unsupported(annotation)
    (element,) = options
    many = typing.get_origin(element) is list
    if many:
        element = plain(typing.get_args(element)[0])
    while isinstance(element, typing.NewType):
        element = plain(element.__supertype__)
    for applies, build in _KINDS:
        if applies(element):
            label, cls, choices, parse, check = build(element)
            return ParameterType(label, cls, choices, many, optional, parse, check)
    raise _unsupported(annotation)


def parse_text(annotation: Any, text: str | Sequence[str], name: str = "value") -> Any:
    """Parse a text of the command line into a value.

    A list takes the texts of all its flags. Raises `ParameterError`, naming `name`, for a text
    that stands for no value, `DefinitionError` for an annotation that is not supported.
    """
    kind = parameter_type(annotation)
    try:
        return kind.parse(text)
    except _BadValueError as error:
        several = f"; a list is given as {name} A {name} B" if kind.many else ""
        raise ParameterError(f"{name}: {error}{several}") from None


def check_value(annotation: Any, value: Any, name: str = "value") -> Any:
    """Check a value given in Python, and return it as the function will receive it.

    The type must be right, with the conversions that lose nothing: text for `Path`, `UUID`,
    `Enum`, `date` and `datetime` (ISO 8601), `int` for `float`, a tuple for a list. Raises
    `ParameterError`, naming `name`, otherwise.
    """
    try:
        return parameter_type(annotation).check(value)
    except _BadValueError as error:
        raise ParameterError(f"{name}: {error}") from None


def text_of(value: Any) -> str:
    """Format a value as it would be written on the command line."""
    if isinstance(value, list | tuple):
        return ", ".join(text_of(item) for item in value)
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)


def bind_parameters(graph: Graph, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the value of every run parameter by keyword: those given, checked, or the default.

    Those that inclusions of flows bind are among them.

    Raises `OptionError` for a parameter that is missing or unknown, `ParameterError` for a value
    that cannot be used.
    """
    for keyword in given:
        if keyword not in graph.parameters:
            raise OptionError(
                f"workflow {graph.name!r} has no parameter {keyword!r}"
                f"{_meant(keyword, graph.parameters)}"
            )
    missing = [
        parameter
        for keyword, parameter in graph.parameters.items()
        if keyword not in given and parameter.declared.default is REQUIRED
    ]
    if missing:
        raise OptionError(_missing(graph.name, missing))
    values = {
        keyword: check_value(
            parameter.declared.annotation,
            given.get(keyword, parameter.declared.default),
            f"parameter {keyword!r}",
        )
        for keyword, parameter in graph.parameters.items()
    }
    return values | {name: item.declared.default for name, item in graph.constants.items()}


def _meant(keyword: str, parameters: Mapping[str, RunParameter]) -> str:
    local = [name for name, item in parameters.items() if item.declared.argument == keyword]
    if local:
        return f"; did you mean {' or '.join(repr(name) for name in local)}?"
    return suggestion(keyword, parameters)


def _missing(workflow: str, missing: Sequence[RunParameter]) -> str:
    named = ", ".join(
        f"{parameter.name!r} ({show(parameter.declared.annotation)}, for task "
        f"{' and '.join(map(repr, parameter.tasks))})"
        for parameter in missing
    )
    example = ", ".join(f"{parameter.name}=..." for parameter in missing)
    word = "parameter" if len(missing) == 1 else "parameters"
    return f"workflow {workflow!r} needs the {word} {named}: give {example}"


def _unsupported(annotation: Any) -> DefinitionError:
    return DefinitionError(
        f"type {show(annotation)} is not one that a parameter can have: use {SUPPORTED}"
    )


def _shown(value: Any) -> str:
    text = repr(value)
    short = text if len(text) <= 60 else f"{text[:57]}..."
    return f"{type(value).__name__} {short}"


# Kinds of values: how to recognise the type, and how to build what reads it.

_Built = tuple[str, type, tuple[str, ...], Callable[[str], Any], Callable[[Any], Any]]


def _simple(
    cls: type, parse: Callable[[str], Any], check: Callable[[Any], Any]
) -> tuple[Callable[[Any], bool], Callable[[Any], _Built]]:
    return (
        lambda element: element is cls,
        lambda element: (cls.__name__, cls, (), parse, check),
    )


def _converted(cls: type, convert: Callable[[str], Any], example: str) -> Callable[[str], Any]:
    def parse(text: str) -> Any:
        try:
            return convert(text)
        except (ValueError, OverflowError):
            raise _BadValueError(
                f"{text!r} is not of type {cls.__name__}; write it as {example}"
            ) from None

    return parse


def _parse_bool(text: str) -> bool:
    word = text.strip().casefold()
    if word in ("true", "yes", "on", "1"):
        return True
    if word in ("false", "no", "off", "0"):
        return False
    raise _BadValueError(f"{text!r} is neither true nor false; write true or false")


def _parse_path(text: str) -> Path:
    if not text or "\0" in text:
        raise _BadValueError(f"{text!r} is not a path")
    return Path(text)


_parse_int = _converted(int, int, "a whole number")
_parse_float = _converted(float, float, "a number")
_parse_datetime = _converted(datetime, datetime.fromisoformat, "2025-01-31T12:00:00")
_parse_date = _converted(date, date.fromisoformat, "2025-01-31")
_parse_uuid = _converted(UUID, UUID, "12345678-1234-5678-1234-567812345678")


def _wrong(cls: type, value: Any) -> _BadValueError:
    return _BadValueError(f"must be {cls.__name__}, not {_shown(value)}")


def _check_str(value: Any) -> str:
    if not isinstance(value, str):
        raise _wrong(str, value)
    return str(value)


def _check_int(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise _wrong(int, value)
    return int(value)


def _check_float(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, Real):
        raise _wrong(float, value)
    try:
        return float(value)
    except OverflowError:
        raise _BadValueError(f"{_shown(value)} is too large for a float") from None


def _check_bool(value: Any) -> bool:
    if getattr(getattr(value, "dtype", None), "kind", "") == "b" and value.shape == ():
        value = value.item()  # a truth value of numpy's
    if not isinstance(value, bool):
        raise _wrong(bool, value)
    return value


def _check_path(value: Any) -> Path:
    if isinstance(value, str):
        return _parse_path(value)
    if not isinstance(value, os.PathLike):
        raise _wrong(Path, value)
    return Path(value)


def _check_datetime(value: Any) -> datetime:
    if isinstance(value, str):
        return typing.cast("datetime", _parse_datetime(value))
    if not isinstance(value, datetime):
        raise _wrong(datetime, value)
    return value


def _check_date(value: Any) -> date:
    if isinstance(value, str):
        return typing.cast("date", _parse_date(value))
    if not isinstance(value, date) or isinstance(value, datetime):
        raise _wrong(date, value)
    return value


def _check_uuid(value: Any) -> UUID:
    if isinstance(value, str):
        return typing.cast("UUID", _parse_uuid(value))
    if not isinstance(value, UUID):
        raise _wrong(UUID, value)
    return value


def _is_enum(element: Any) -> bool:
    return isinstance(element, type) and issubclass(element, Enum)


def _build_enum(kind: type[Enum]) -> _Built:
    choices = tuple(member.name for member in kind)

    def parse(text: str) -> Enum:
        for name, member in kind.__members__.items():
            if text == f"{kind.__name__}.{name}":
                return member
        named = kind.__members__.get(text)
        valued = [member for member in kind if str(member.value) == text]
        found = list(dict.fromkeys([*([named] if named is not None else []), *valued]))
        if len(found) > 1:
            ways = " or ".join(f"{kind.__name__}.{member.name}" for member in found)
            raise _BadValueError(f"{text!r} could be two members of {kind.__name__}: write {ways}")
        if not found:
            raise _BadValueError(
                f"{text!r} is not one of them of {kind.__name__}{suggestion(text, choices)}"
            )
        return found[0]

    def check(value: Any) -> Enum:
        if isinstance(value, kind):
            return value
        if isinstance(value, str):
            return parse(value)
        raise _wrong(kind, value)

    return " | ".join(choices), kind, choices, parse, check


def _build_literal(kind: Any) -> _Built:
    values = typing.get_args(kind)
    choices = tuple(str(value) for value in values)

    def parse(text: str) -> Any:
        if choices.count(text) > 1:
            raise _BadValueError(
                f"{text!r} could be two of the values {', '.join(map(repr, values))}, which look "
                "alike on a command line; give it in Python"
            )
        if text not in choices:
            raise _BadValueError(f"{text!r} is not one of the values{suggestion(text, choices)}")
        return values[choices.index(text)]

    def check(value: Any) -> Any:
        for allowed in values:
            if type(value) is type(allowed) and value == allowed:
                return allowed
        shown = ", ".join(map(repr, values))
        raise _BadValueError(f"must be one of {shown}, not {_shown(value)}")

    return " | ".join(choices), type(values[0]), choices, parse, check


_KINDS: tuple[tuple[Callable[[Any], bool], Callable[[Any], _Built]], ...] = (
    _simple(str, str, _check_str),
    _simple(bool, _parse_bool, _check_bool),
    _simple(int, _parse_int, _check_int),
    _simple(float, _parse_float, _check_float),
    _simple(Path, _parse_path, _check_path),
    _simple(datetime, _parse_datetime, _check_datetime),
    _simple(date, _parse_date, _check_date),
    _simple(UUID, _parse_uuid, _check_uuid),
    (_is_enum, _build_enum),
    (lambda element: typing.get_origin(element) is typing.Literal, _build_literal),
)
