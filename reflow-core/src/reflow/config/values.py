"""Checks of a setting's type, and its conversion from text.

Settings come from TOML, JSON and environment variables; they are declared by annotations: those
of the configuration's own keys, and those of an executor's constructor.
"""

from __future__ import annotations

import inspect
import types
import typing
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any

from reflow.errors import ConfigError, ReflowWarning
from reflow.suggest import did_you_mean

_TRUE = {"1", "true", "yes", "on"}
_FALSE = {"0", "false", "no", "off"}
_LISTS = (list, tuple, Sequence)


def accepts(annotation: Any, value: object) -> bool:
    """Tell whether a value fits an annotation; True for annotations it does not know."""
    if annotation in (str, bool):
        return isinstance(value, annotation)
    if annotation is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if annotation is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if annotation is Path:
        return isinstance(value, str | Path)
    if annotation in (None, types.NoneType):
        return value is None
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        return any(accepts(each, value) for each in arguments)
    if origin is typing.Literal:
        return value in arguments
    if origin in (list, tuple) or origin is typing.get_origin(Sequence[str]):
        return isinstance(value, list | tuple) and all(
            accepts(arguments[0], each) for each in value
        )
    if inspect.isclass(origin) and issubclass(origin, Mapping):
        return isinstance(value, Mapping)
    return True


def expected(annotation: Any) -> str:
    """Describe, in words, what to write for an annotation."""
    words = {
        str: "text",
        int: "a whole number",
        float: "a number",
        bool: "true or false",
        Path: "a path",
    }
    if annotation in words:
        return words[annotation]
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(expected(each) for each in arguments if each is not types.NoneType)
    if origin is typing.Literal:
        return " or ".join(repr(each) for each in arguments)
    if arguments and accepts(annotation, []):
        return "a list of texts" if arguments[0] is str else "a list"
    return getattr(annotation, "__name__", str(annotation))


def from_text(annotation: Any, text: str) -> Any:
    """Convert a text to a value of the annotation; return the text where it is none.

    Where text and number are both allowed, a number is read as a number. A list is written one
    item per line, or as TOML: `["a", "b"]`.
    """
    stripped = text.strip()
    for number in (int, float):
        try:
            value = number(stripped)
        except ValueError:
            continue
        if accepts(annotation, value):
            return value
    if accepts(annotation, text):
        return text
    if accepts(annotation, True) and stripped.lower() in _TRUE | _FALSE:
        return stripped.lower() in _TRUE
    if accepts(annotation, [text]):
        return _list_from_text(stripped)
    return text


def _list_from_text(text: str) -> list[Any]:
    if text.startswith("["):
        import tomllib

        try:
            return list(tomllib.loads(f"value = {text}")["value"])
        except tomllib.TOMLDecodeError:
            pass
    return [line.strip() for line in text.splitlines() if line.strip()]


def declared_settings(make: Callable[..., object]) -> dict[str, inspect.Parameter]:
    """Return the keyword parameters of a constructor, with annotations resolved where possible."""
    signature = inspect.signature(make)
    target: Any = make
    if inspect.isclass(make) and not is_dataclass(make):
        target = make.__init__
    try:
        hints = typing.get_type_hints(target)
    except NameError:
        # A name that is imported for type checkers only: the setting is then not checked.
        hints = {}
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return {
        name: parameter.replace(annotation=hints.get(name, Any))
        for name, parameter in signature.parameters.items()
        if parameter.kind in named
    }


def fit_settings(
    table: str,
    make: Callable[..., object],
    settings: Mapping[str, Any],
    shared: Mapping[str, Any],
) -> dict[str, Any]:
    """Make the keyword arguments of a constructor from its settings.

    `table` is its name in the configuration, for messages; `shared` is used where the
    constructor has a parameter of that name and `settings` does not set it. An unknown setting
    is left out with a `ReflowWarning`. Raises `ConfigError` for a value of the wrong type, and
    for a parameter without default that is not set.
    """
    declared = declared_settings(make)
    fitting = {name: value for name, value in shared.items() if name in declared}
    for name, value in settings.items():
        if name not in declared:
            warnings.warn(
                f"[{table}] {name} is ignored: there is no such setting"
                f"{did_you_mean(name, declared)}",
                ReflowWarning,
                stacklevel=3,
            )
            continue
        annotation = declared[name].annotation
        fitted = from_text(annotation, value) if isinstance(value, str) else value
        if not accepts(annotation, fitted):
            raise ConfigError(f"[{table}] {name} must be {expected(annotation)}, not {value!r}")
        fitting[name] = fitted
    for name, parameter in declared.items():
        if parameter.default is inspect.Parameter.empty and name not in fitting:
            raise ConfigError(f"[{table}] needs the setting {name!r}")
    return fitting
