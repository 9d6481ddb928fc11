"""Tokens: the names by which reflow finds a scheduler's jobs again."""

from __future__ import annotations

import re
from hashlib import sha256

LONGEST_WORD = 30


def token(run_id: str, number: int, word: str) -> str:
    """Return a name that no other submission has: a readable word, the run, and its number there.

    ASCII, a letter first, `[A-Za-z0-9_-]`, at most 60 characters: what every scheduler takes.
    """
    plain = re.sub(r"[^A-Za-z0-9_-]+", "_", word)[:LONGEST_WORD]
    if not plain[:1].isalpha():
        plain = f"t{plain}"
    return f"{plain}-{sha256(run_id.encode('utf-8', 'surrogatepass')).hexdigest()[:10]}-{number}"
