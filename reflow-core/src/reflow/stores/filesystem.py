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

BLIND_KINDS = frozenset(
    {"davfs", "fuse.curlftpfs", "fuse.davfs", "fuse.gcsfuse", "fuse.goofys", "fuse.rclone"}
    | {"fuse.s3fs", "fuse.sshfs"}
)
"""Remote file systems that keep locks to the machine that takes them, whatever their options."""

BLIND_OPTIONS = frozenset(
    # nfs(5), mount.lustre(8) and mount.cifs(8).
    {"nolock", "local_lock=all", "local_lock=posix", "local_lock=flock", "localflock", "nobrl"}
)
"""Mount options by which a file system keeps locks to the machine that takes them."""

STORE_ELSEWHERE = (
    "Put the manifest elsewhere (REFLOW_STORE, or `url` under [store]): on a file system with "
    "locks that all hosts see, on a disk of this machine if no other uses it, or into PostgreSQL"
)


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

    @property
    def blind_locks(self) -> str:
        """Why other hosts do not see locks of files there; empty where they do, or none write."""
        options = sorted(self.options & BLIND_OPTIONS)
        if self.local or not (options or self.kind in BLIND_KINDS):
            return ""
        with_options = f" mounted with {', '.join(options)}" if options else ""
        return (
            f"{self.point} is {self.kind}{with_options}, where other hosts do not see locks: "
            "an SQLite file would be damaged as soon as two hosts use it"
        )


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
