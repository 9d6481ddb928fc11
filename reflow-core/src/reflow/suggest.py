"""The nearest known name, for messages about unknown ones."""

from __future__ import annotations

from collections.abc import Iterable


def nearest(name: str, known: Iterable[str], likeness: float = 0.6) -> str | None:
    """Return the known name that `name` was probably meant to be; None when none is near.

    `likeness` is how much the two must have in common, from 0 to 1.
    """
    import difflib

    by_folded = {candidate.casefold(): candidate for candidate in known}
    found = difflib.get_close_matches(name.casefold(), by_folded, n=1, cutoff=likeness)
    return by_folded[found[0]] if found else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return the end of a message: `; did you mean 'x'?`, or nothing when no name is near."""
    found = nearest(name, known)
    return f"; did you mean {found!r}?" if found else ""
