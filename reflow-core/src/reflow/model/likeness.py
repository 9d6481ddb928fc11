"""What messages of failures have in common."""

from __future__ import annotations

import re

_NUMBER = re.compile(r"0x[0-9a-fA-F]+|\d+")
_LONGEST = 300


def likeness(message: str) -> str:
    """Return a text that messages share which differ by numbers only."""
    return _NUMBER.sub("0", message[:_LONGEST])
