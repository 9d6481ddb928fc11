"""Copies of a job, one for each number of `--cc`, with what stands in braces filled in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from reflow.testing.fakes.emulator import Refusal
from reflow.testing.fakes.grammar import Parsed

from tests.fakes.flux import ids

_SHOWN = {
    "queue": "-q", "bank": "-B", "ntasks": "-n", "nodes": "-N", "cores-per-task": "-c",
    "gpus-per-task": "-g", "time-limit": "-t", "setopt": "-o ",
}  # fmt: skip
"""How an option is named in a complaint about it; the others by their whole names."""
_LITERAL = ("add-file", "begin-time", "rlimit", "cc", "bcc")
"""Options in which braces stay what they are."""
_LISTS = ("dependency", "env", "flags", "requires", "setattr", "setopt")


@dataclass(frozen=True)
class One:
    """One job to be submitted: its options and command with everything filled in."""

    line: Parsed
    command: list[str]
    cc: int | None = None
    is_bcc: bool = False

    @property
    def label(self) -> str:
        """What stands before a complaint about it."""
        return "" if self.cc is None else f"cc={self.cc}: "


def expanded(line: Parsed, program: str) -> Iterator[One]:
    """The job, or its copies."""
    option = "bcc" if line.has("bcc") else "cc"
    if not line.has(option):
        yield One(line, line.operands)
        return
    if line.has("cc") and line.has("bcc"):
        raise Refusal(f"{program}: ERROR: specify only one of --cc or --bcc")
    text = line.last(option)
    numbers = ids.parse_set(text)
    if numbers is None:
        raise Refusal(f"{program}: ERROR: IDset(): Invalid argument: {text}")
    for number in numbers:
        command = [_word(word, number, program) for word in line.operands]
        filled = [
            (name, value if name in _LITERAL else _value(line, name, value, number, program))
            for name, value in line.options
        ]
        yield One(Parsed(filled, []), command, number, option == "bcc")


def _word(word: str, number: int, program: str) -> str:
    try:
        return _filled(word, number)
    except (IndexError, KeyError):
        text = f"flux: ERROR: Invalid replacement string in command: '{word}'"
        raise Refusal(text) from None
    except (ValueError, AttributeError) as error:
        raise Refusal(f"{program}: ERROR: {error}") from None


def _value(line: Parsed, name: str, value: str, number: int, program: str) -> str:
    shown = f"{_SHOWN.get(name, f'--{name}=')}{line.all(name) if name in _LISTS else value}"
    try:
        return _filled(value, number)
    except IndexError:
        raise Refusal(f"flux: ERROR: Invalid replacement index in {shown}'") from None
    except KeyError as error:
        text = f"flux: ERROR: Replacement key {error} not found in '{shown}'"
        raise Refusal(text) from None
    except (ValueError, AttributeError) as error:
        raise Refusal(f"{program}: ERROR: {error}") from None


def _filled(text: str, number: int) -> str:
    """Single braces are the submit command's, double ones the job's."""
    kept = text.replace("{{", "=stache=").replace("}}", "=/stache=")
    return kept.format(cc=number).replace("=stache=", "{{").replace("=/stache=", "}}")
