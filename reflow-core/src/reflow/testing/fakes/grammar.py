"""Parsing of command lines, as strict as that of the real commands."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum


class Takes(Enum):
    """Whether an option has a value."""

    NOTHING = 0
    VALUE = 1
    MAYBE = 2
    """Only as `--option=value` or `-oVALUE`."""


@dataclass(frozen=True)
class Option:
    """One option: its long name and, where there is one, its letter."""

    name: str
    letter: str = ""
    takes: Takes = Takes.NOTHING


class BadOptionError(Exception):
    """An option that the command does not have, or that lacks its value; in GNU getopt's words."""


def options(table: str) -> list[Option]:
    """Parse a table of options: `name` or `x/name`, with `=` or `[=]` where it has a value."""
    found = []
    for word in table.split():
        takes = Takes.NOTHING
        if word.endswith("[=]"):
            word, takes = word[:-3], Takes.MAYBE
        elif word.endswith("="):
            word, takes = word[:-1], Takes.VALUE
        letter, slash, name = word.partition("/")
        found.append(Option(name, letter, takes) if slash else Option(word, "", takes))
    return found


@dataclass
class Parsed:
    """A parsed command line."""

    options: list[tuple[str, str]]
    """Long names with their values, in order; the value is empty for those that take none."""
    operands: list[str]

    def last(self, name: str, default: str = "") -> str:
        """Return the last value of an option."""
        values = self.all(name)
        return values[-1] if values else default

    def all(self, name: str) -> list[str]:
        """Return every value of an option."""
        return [value for found, value in self.options if found == name]

    def has(self, *names: str) -> bool:
        """Tell whether one of these options was given."""
        return any(found in names for found, _ in self.options)


@dataclass
class Layers:
    """The effective options, where they may be given in several places."""

    layers: list[Parsed]
    """The options of each place; the first takes precedence."""

    def last(self, name: str, default: str = "") -> str:
        """Return the value that counts."""
        for layer in self.layers:
            if layer.has(name):
                return layer.last(name)
        return default

    def has(self, *names: str) -> bool:
        """Tell whether one of these options was given anywhere."""
        return any(layer.has(*names) for layer in self.layers)

    def all(self, name: str) -> list[str]:
        """Return every value; those that take precedence come last."""
        return [value for layer in reversed(self.layers) for value in layer.all(name)]


def getopt_long(
    words: Sequence[str], known: Iterable[Option], *, stop_at_operand: bool = False
) -> Parsed:
    """Parse a command line as GNU getopt_long does. Raises `BadOptionError`."""
    by_name = {option.name: option for option in known}
    by_letter = {option.letter: option for option in by_name.values() if option.letter}
    parsed = Parsed([], [])
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word == "--":
            parsed.operands += rest
            break
        if word.startswith("--"):
            _long(word[2:], by_name, rest, parsed)
        elif word.startswith("-") and word != "-":
            _short(word[1:], by_letter, rest, parsed)
        else:
            parsed.operands.append(word)
            if stop_at_operand:
                parsed.operands += rest
                break
    return parsed


def _long(word: str, by_name: Mapping[str, Option], rest: list[str], parsed: Parsed) -> None:
    given, equals, value = word.partition("=")
    option = by_name.get(given)
    if option is None:
        candidates = [name for name in by_name if name.startswith(given)]
        if not candidates:
            raise BadOptionError(f"unrecognized option '--{word}'")
        if len(candidates) > 1:
            listed = " ".join(f"'--{name}'" for name in candidates)
            raise BadOptionError(f"option '--{given}' is ambiguous; possibilities: {listed}")
        option = by_name[candidates[0]]
    if option.takes is Takes.NOTHING and equals:
        raise BadOptionError(f"option '--{option.name}' doesn't allow an argument")
    if option.takes is Takes.VALUE and not equals:
        if not rest:
            raise BadOptionError(f"option '--{option.name}' requires an argument")
        value = rest.pop(0)
    parsed.options.append((option.name, value))


def _short(word: str, by_letter: Mapping[str, Option], rest: list[str], parsed: Parsed) -> None:
    while word:
        letter, word = word[0], word[1:]
        option = by_letter.get(letter)
        if option is None:
            raise BadOptionError(f"invalid option -- '{letter}'")
        if option.takes is Takes.NOTHING:
            parsed.options.append((option.name, ""))
            continue
        if option.takes is Takes.VALUE and not word:
            if not rest:
                raise BadOptionError(f"option requires an argument -- '{letter}'")
            word = rest.pop(0)
        parsed.options.append((option.name, word))
        return
