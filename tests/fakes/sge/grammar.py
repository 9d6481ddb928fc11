"""Grid Engine's command lines: one dash, whole words, a fixed number of values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from reflow.testing.fakes.emulator import Refusal
from reflow.testing.fakes.grammar import Parsed

BAD_OPTION = 2
BAD_VALUE = 7


def table(text: str) -> dict[str, int]:
    """Read `name name= name==`: how many values each option takes, an `=` for each."""
    return {word.rstrip("="): len(word) - len(word.rstrip("=")) for word in text.split()}


def parse(
    command: str, words: Sequence[str], known: Mapping[str, int], *, stop_at_operand: bool = False
) -> Parsed:
    """Take a command line apart. Two values of one option are joined by a blank."""
    parsed = Parsed([], [])
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if not word.startswith("-") or word == "-":
            parsed.operands.append(word)
            if stop_at_operand:
                parsed.operands += rest
                break
            continue
        name = word[1:]
        if name not in known:
            raise Refusal(f'{command}: invalid option argument "{word}"', BAD_OPTION)
        if len(rest) < known[name]:
            raise Refusal(f"{command}: ERROR! {word} option must have argument", BAD_VALUE)
        values = [rest.pop(0) for _ in range(known[name])]
        parsed.options.append((name, " ".join(values)))
    return parsed


def yes(parsed: Parsed, name: str, *, default: bool = False) -> bool:
    """The value of an option that is `y[es]` or `n[o]`."""
    return parsed.last(name).lower() in ("y", "yes") if parsed.has(name) else default
