"""Command lines read as strictly as Flux reads them: by argparse, whole names only."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from reflow.testing.fakes.grammar import BadOptionError, Option, Parsed, Takes


def parse(
    words: Sequence[str], known: Iterable[Option], *, stop_at_operand: bool = False
) -> Parsed:
    """Take a command line apart. Raises `BadOptionError` with argparse's words.

    An option that may have a value takes the next word, unless that is an option itself.
    """
    by_word: dict[str, Option] = {}
    for option in known:
        by_word[f"--{option.name}"] = option
        if option.letter:
            by_word[f"-{option.letter}"] = option
    parsed, unknown, rest = Parsed([], []), list[str](), list(words)
    while rest:
        word = rest.pop(0)
        if word == "--":
            parsed.operands += rest
            break
        if not word.startswith("-") or word == "-":
            parsed.operands.append(word)
            if stop_at_operand:
                parsed.operands += rest
                break
        elif word.startswith("--"):
            name, equals, value = word.partition("=")
            if name in by_word:
                _take(by_word[name], value if equals else None, rest, parsed)
            else:
                unknown.append(word)
        else:
            _letters(word, by_word, rest, parsed, unknown)
    if unknown:
        raise BadOptionError(f"unrecognized arguments: {' '.join(unknown)}")
    return parsed


def _letters(
    word: str, by_word: dict[str, Option], rest: list[str], parsed: Parsed, unknown: list[str]
) -> None:
    """`-n4`, `-n 4`, and letters without values together: `-lu`."""
    letters = word[1:]
    while letters:
        letter, letters = letters[0], letters[1:]
        option = by_word.get(f"-{letter}")
        if option is None:
            unknown.append(f"-{letter}{letters}")
            return
        if option.takes is not Takes.NOTHING:
            _take(option, letters.removeprefix("=") if letters else None, rest, parsed)
            return
        parsed.options.append((option.name, ""))


def _take(option: Option, value: str | None, rest: list[str], parsed: Parsed) -> None:
    shown = f"-{option.letter}/--{option.name}" if option.letter else f"--{option.name}"
    if option.takes is Takes.NOTHING:
        if value is not None:
            raise BadOptionError(f"argument {shown}: ignored explicit argument '{value}'")
    elif value is None and rest and not rest[0].startswith("-"):
        value = rest.pop(0)
    elif value is None and option.takes is Takes.VALUE:
        raise BadOptionError(f"argument {shown}: expected one argument")
    parsed.options.append((option.name, value or ""))
