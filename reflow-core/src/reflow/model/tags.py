"""Tags: the words that users give their runs, to find them by."""

from __future__ import annotations

from collections.abc import Sequence

from reflow.errors import ParameterError

MOST_CHARACTERS = 60


def tags_of(given: str | Sequence[str]) -> tuple[str, ...]:
    """Return tags without repetitions, in their order. Raises `ParameterError`."""
    words = (given,) if isinstance(given, str) else tuple(given)
    return tuple(dict.fromkeys(map(_checked, words)))


def _checked(tag: object) -> str:
    if not isinstance(tag, str):
        raise ParameterError(f"a tag is a text, not {tag!r}")
    if not tag or tag != tag.strip() or not tag.isprintable() or "," in tag:
        raise ParameterError(
            f"{tag!r} cannot be a tag: use printable characters, no comma, and no blank at its ends"
        )
    if len(tag) > MOST_CHARACTERS:
        raise ParameterError(f"the tag {tag!r} is too long: use at most {MOST_CHARACTERS} letters")
    return tag
