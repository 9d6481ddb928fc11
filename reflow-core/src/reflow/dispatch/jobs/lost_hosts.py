"""Hosts that lose whatever runs on them: what they keep losing is kept away from them."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from pathlib import Path

from reflow.permissions import open_file

LOSSES = 2
"""So often an element must have lost its node, and a host its elements, before it is left out."""
MOST = 4
"""As many hosts are left out at most: the others may be all that there is."""


def note_loss(notes: Path, host: str) -> None:
    """Record that an element was lost with its host."""
    with open_file(notes, "a") as file:
        file.write(f"{host}\n")


def hosts_to_avoid(notes: Path) -> tuple[str, ...]:
    """Return the hosts that lost most, of those that lost more than one element."""
    with suppress(FileNotFoundError):
        counted = Counter(notes.read_text().split())
        return tuple(sorted(host for host, lost in counted.most_common(MOST) if lost >= LOSSES))
    return ()
