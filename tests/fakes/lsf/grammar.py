"""LSF's command lines: one dash, some options of several letters, lenient in odd places."""

from __future__ import annotations

from collections.abc import Sequence

from reflow.testing.fakes.emulator import Refusal
from reflow.testing.fakes.grammar import Parsed


def parse(
    command: str,
    words: Sequence[str],
    flags: str,
    valued: str,
    usage: str,
    *,
    long_flags: tuple[str, ...] = (),
    stop_at_operand: bool = False,
) -> Parsed:
    """Take a command line apart.

    `flags` are the letters without a value, `valued` those with one, `long_flags` the words that
    are flags as a whole (`noheader`). What begins with two dashes is swallowed, as the real
    commands do.
    """
    parsed = Parsed([], [])
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if not word.startswith("-") or word == "-":
            parsed.operands.append(word)
            if stop_at_operand:
                parsed.operands += rest
                break
        elif word.startswith("--"):
            continue
        elif word[1:] in long_flags:
            parsed.options.append((word[1:], ""))
        else:
            _letters(command, word[1:], flags, valued, usage, rest, parsed)
    return parsed


def _letters(
    command: str,
    word: str,
    flags: str,
    valued: str,
    usage: str,
    rest: list[str],
    parsed: Parsed,
) -> None:
    while word:
        letter, word = word[0], word[1:]
        if letter in flags:
            parsed.options.append((letter, ""))
            continue
        if letter not in valued:
            raise Refusal(f"{command}: invalid option -- '{letter}'\n{usage}", 255)
        if not word and not rest:
            raise Refusal(f"{command}: option requires an argument -- '{letter}'\n{usage}", 255)
        parsed.options.append((letter, word or rest.pop(0)))
        return
