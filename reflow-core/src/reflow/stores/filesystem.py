"""What a file's file system is, which decides how SQLite may use it."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

MOUNT_TABLE = Path("/proc/self/mountinfo")

LOCAL_KINDS = frozenset(
    {"bcachefs", "btrfs", "ext2", "ext3", "ext4", "f2fs", "jfs", "nilfs2", "overlay"}
    | {"ramfs", "reiserfs", "tmpfs", "xfs", "zfs"}
)
"""File systems that only one machine uses at a time, so that all processes can share memory."""


@dataclass(frozen=True, slots=True)
class Mount:
    """A mounted file system."""

    point: Path
    kind: str
    """As the kernel names it: `ext4`, `nfs4`, `lustre`."""
    options: frozenset[str]

    @property
    def local(self) -> bool:
        """Whether only this machine uses the file system.

        An unknown kind counts as a network file system: that is slower, never wrong.
        """
        return self.kind in LOCAL_KINDS


def mount_of(path: Path, table: Path = MOUNT_TABLE) -> Mount | None:
    """Return the mount that holds `path`, which need not exist; None where it is not known.

    The format of the table is described in proc_pid_mountinfo(5).
    """
    try:
        lines = table.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return None
    real = Path(os.path.realpath(path))
    holding = [mount for mount in map(_mount, lines) if real.is_relative_to(mount.point)]
    # Of mounts on one point the later covers the earlier, hence the position as a tie-breaker.
    ranked = ((len(mount.point.parts), place) for place, mount in enumerate(holding))
    best = max(ranked, default=None)
    return holding[best[1]] if best else None


def _mount(line: str) -> Mount:
    head, _, tail = line.partition(" - ")
    own = head.split(" ")
    kind, _source, options = tail.split(" ", 2)
    return Mount(
        point=Path(_unescaped(own[4])),
        kind=kind,
        options=frozenset(own[5].split(",")) | frozenset(options.split(",")),
    )


def _unescaped(field: str) -> str:
    # The kernel writes space, tab, newline and backslash as three octal digits.
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), field)
