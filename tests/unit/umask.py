"""Another umask for a moment."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def umask(mask: int) -> Iterator[None]:
    """Work under a umask."""
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)
