"""Stamps: what tells that contents may have changed, without reading them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable


def stamp_of(statuses: Iterable[os.stat_result], names: str = "") -> str:
    """Return a stamp of files, which differs at least whenever their contents do."""
    digest = hashlib.sha256(names.encode())
    for each in statuses:
        digest.update(status_stamp(each).encode())
    return digest.hexdigest()


def status_stamp(status: os.stat_result) -> str:
    """Return a text of all status fields that tell one writing of a file from another."""
    return f"{status.st_size} {status.st_mtime_ns} {status.st_ctime_ns} {status.st_ino}\n"
