"""Room, quota, permissions and clocks of the file systems that runs live on."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from reflow.permissions import current_umask
from reflow.plugins.health.installation import existing_part, run_root, store_file
from reflow.plugins.hookspecs import Finding
from reflow.rundir.files import server_time
from reflow.stores.filesystem import mount_of

GIB = 2**30
LEAST_FREE = GIB
"""Bytes below which a file system counts as full: results and logs of one run may take as much."""
FEWEST_FILES = 1000
"""Files that must be left on file systems that count them."""
NEARLY_FULL = 0.95
"""The share of a quota from which it is worth a warning."""
MOST_SKEW = 5.0
"""Seconds between this machine's clock and a file server's from which times mislead."""
PATIENCE = 10.0
"""Seconds that a command about quotas may take."""

_MAKE_ROOM = (
    "make room there, or set `run_root` (or `url` under [store]) to a folder on another file system"
)


def places() -> dict[str, Path]:
    """Return the folders that runs write to, as far as they exist, by what they are for."""
    store = store_file()
    found = {"runs": existing_part(run_root())}
    if store is not None:
        found["store"] = existing_part(store.parent)
    return found


# -- room ----------------------------------------------------------------------------------------


def check_space() -> Finding:
    """Check that there is room for results, logs and the manifest."""
    told, full = [], []
    for purpose, folder in places().items():
        try:
            room = os.statvfs(folder)
        except OSError as error:
            full.append(f"{folder} ({purpose}) cannot be asked: {error.strerror}")
            continue
        free = room.f_bavail * room.f_frsize
        told.append(f"{_size(free)} for the {purpose} in {folder}")
        if free < LEAST_FREE:
            full.append(f"{folder} ({purpose}) has {_size(free)} left: {_MAKE_ROOM}")
        elif room.f_files and room.f_favail < FEWEST_FILES:
            full.append(
                f"{folder} ({purpose}) has room for {room.f_favail} more files: {_MAKE_ROOM}"
            )
    return Finding(ok=not full, text="; ".join(full or told))


def _size(number: int) -> str:
    return f"{number / GIB:,.1f} GiB" if number < 100 * GIB else f"{number / GIB:,.0f} GiB"


# -- quota ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """What a user may keep on one file system."""

    where: str
    what: str
    """`blocks` of 1 KiB, or `files`."""
    used: int
    limit: int

    @property
    def share(self) -> float:
        """How much of it is used."""
        return self.used / self.limit

    def __str__(self) -> str:
        if self.what == "files":
            return f"{self.used:,} of {self.limit:,} files on {self.where}"
        return f"{_size(self.used * 1024)} of {_size(self.limit * 1024)} on {self.where}"


def check_quota() -> Finding:
    """Check that no quota is nearly used up, where a command tells."""
    quotas, silent = [], []
    for command in _commands():
        try:
            ended = subprocess.run(
                command,
                capture_output=True,
                text=True,
                timeout=PATIENCE,
                check=False,
                env={**os.environ, "LC_ALL": "C"},
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            silent.append(f"'{' '.join(command)}' did not answer: {error}")
            continue
        quotas += parse_quota(ended.stdout)
    short = [quota for quota in quotas if quota.share >= NEARLY_FULL]
    if short:
        return Finding(ok=False, text=f"{'; '.join(map(str, short))} are used: {_MAKE_ROOM}")
    if quotas:
        return Finding(ok=True, text="; ".join(map(str, quotas)))
    return Finding(ok=True, text="; ".join(silent) or "no quota that a command here tells of")


def _commands() -> Iterator[list[str]]:
    """Yield the commands that tell of quotas and are here."""
    if shutil.which("quota"):
        yield ["quota", "-w"]
    lustre = {
        str(mount.point)
        for mount in map(mount_of, places().values())
        if mount is not None and mount.kind == "lustre"
    }
    if shutil.which("lfs"):
        yield from (["lfs", "quota", "-q", "-u", str(os.getuid()), each] for each in lustre)


_LINE = re.compile(r"\s*(?P<where>/\S*|\S+:/\S*)\s+(?P<rest>\d.*)")


def parse_quota(text: str) -> list[Quota]:
    """Parse what `quota -w` and `lfs quota -q` print: used, soft and hard limit, grace, twice.

    A number over its limit has a `*`, and only then there is a time of grace (`quota`) or always a
    word for it (`lfs`). Limits of 0 are none.
    """
    found = []
    for line in text.splitlines():
        if not (match := _LINE.fullmatch(line)):
            continue
        fields = match["rest"].split()
        for what in ("blocks", "files"):
            if len(fields) < 3 or not all(each.rstrip("*").isdigit() for each in fields[:3]):
                break
            used, soft, hard = (int(each.rstrip("*")) for each in fields[:3])
            fields = fields[3:]
            if fields and not fields[0].rstrip("*").isdigit():
                fields = fields[1:]
            if limit := soft or hard:
                found.append(Quota(where=match["where"], what=what, used=used, limit=limit))
    return found


# -- permissions and clocks ----------------------------------------------------------------------


def check_permissions() -> Finding:
    """Check that nobody else may write the manifest's folder, and that the umask lets you work."""
    umask, store = current_umask(), store_file()
    problems = []
    if umask and int(umask, 8) & stat.S_IRWXU:
        problems.append(f"the umask is {umask}, which keeps you from your own files: `umask 022`")
    if store is not None and store.parent.is_dir():
        mode = store.parent.stat().st_mode
        if mode & (stat.S_IWGRP | stat.S_IWOTH) and not mode & stat.S_ISVTX:
            problems.append(
                f"others may write to {store.parent}, and replace the manifest: "
                f"`chmod go-w {store.parent}`"
            )
    return Finding(ok=not problems, text="; ".join(problems) or f"umask {umask or 'unknown'}")


def check_clock() -> Finding:
    """Check that this machine's clock and those of the file servers agree."""
    told, wrong = [], []
    for purpose, folder in places().items():
        probe = folder / f".reflow-clock-{os.getpid()}"
        try:
            before = time.time()
            server = server_time(probe)
            after = time.time()
        except OSError as error:
            wrong.append(f"{folder} ({purpose}) cannot be written: {error.strerror}")
            continue
        finally:
            probe.unlink(missing_ok=True)
        skew = max(before - server, server - after, 0.0)
        told.append(f"{skew:.1f} s apart from the file server of the {purpose}")
        if skew > MOST_SKEW:
            wrong.append(
                f"this machine's clock and that of {folder} ({purpose}) are {skew:.0f} s apart: "
                "files look older or newer than they are; ask your administrators to "
                "synchronise them (chrony, NTP)"
            )
    return Finding(ok=not wrong, text="; ".join(wrong or told))
