"""What tells that contents may have changed, without a look at them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable


def stamp_of(statuses: Iterable[os.stat_result], names: str = "") -> str:
    """Make a stamp of files that is another one, at the least, whenever contents are others."""
    digest = hashlib.sha256(names.encode())
    for each in statuses:
        digest.update(mark_of(each).encode())
    return digest.hexdigest()


def mark_of(status: os.stat_result) -> str:
    """Make a text of all that tells one writing of a file from another."""
    return f"{status.st_size} {status.st_mtime_ns} {status.st_ctime_ns} {status.st_ino}\n"
