"""What a run was submitted with: Python, installed distributions, and the commit of its source.

It is recorded once, when the run is created, and is only ever shown. So nothing here may hold a
submission up or make it fail: distributions are told by the names of their folders, and git, which
may take long in a large tree, works while the submission goes on, and is asked for its answer when
all else is done.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from reflow.model.fields import as_json, from_json
from reflow.permissions import open_file
from reflow.rundir.files import open_regular
from reflow.rundir.layout import RunLayout

if TYPE_CHECKING:
    import subprocess

PATIENCE = 0.5
"""Seconds for which git is waited for once all else of a submission is done."""
MOST_BYTES = 4 * 2**20
_LONGEST = 1 << 20
"""Bytes of git's answer that are read: enough for some thousand changed files."""
_ASK = """\
git rev-parse --show-toplevel && git rev-parse --verify --quiet HEAD || exit
git ls-files --error-unmatch -- "$1" >/dev/null 2>&1 && echo tracked || echo untracked
git -c core.fsmonitor=false status --porcelain=v2 --branch --untracked-files=no \
    --ignore-submodules=dirty && echo whole
"""
"""Asks git for the top of the tree, the commit, whether the flow is in it, and what has changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GitState:
    """The state of the repository that the flow lies in."""

    commit: str
    branch: str | None = None
    """None where no branch is checked out, or where git took too long."""
    dirty: bool | None = None
    """Whether tracked files differ from the commit; None where git took too long."""
    tracked: bool | None = None
    """Whether the flow itself is in the repository; None where git took too long."""
    folder: str = ""
    """The top of the working tree."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """What a run was submitted with."""

    reflow: str
    python: str
    executable: str
    platform: str
    host: str
    distributions: Mapping[str, str] = field(default_factory=dict)
    """Versions of the installed distributions by name."""
    git: GitState | None = None
    """None where the flow lies in no repository, or git is not there."""

    def write(self, layout: RunLayout) -> None:
        """Put the record into the run directory; a file that cannot be written is left out."""
        with suppress(OSError), open_file(layout.provenance, "w") as file:
            json.dump(as_json(self), file)


def read_provenance(layout: RunLayout) -> Provenance | None:
    """Read the record of a run; None where there is none that can be used."""
    try:
        with open_regular(layout.provenance) as file:
            return from_json(Provenance, json.loads(file.read(MOST_BYTES)))
    except (OSError, ValueError, TypeError, LookupError):
        return None


class Survey:
    """Finds out what a run is submitted with, while the submission goes on."""

    def __init__(self) -> None:
        self._git: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Survey:
        return self

    def begin(self, flow: Path) -> None:
        """Start to ask git about a flow: its file, or the folder that it is run in."""
        if _is_in_repository(flow):
            with suppress(OSError):
                self._git = _ask_git(flow)

    def __exit__(self, *error: object) -> None:
        if self._git is not None:
            with suppress(OSError):
                os.killpg(self._git.pid, signal.SIGKILL)
            self._git.communicate()

    def finish(self) -> Provenance:
        """Return what was found; git is given a moment, and then ended."""
        from reflow import __version__

        # The module `platform` tells more, and takes 30 ms.
        system = os.uname()
        return Provenance(
            reflow=__version__,
            python=sys.version.split()[0],
            executable=sys.executable,
            platform=f"{system.sysname} {system.release} {system.machine}",
            host=system.nodename,
            distributions=installed(),
            git=None if self._git is None else parse_git(_answer(self._git)),
        )


def installed(folders: list[str] | None = None) -> dict[str, str]:
    """Return the versions of installed distributions, by the names of their metadata folders.

    Reading the metadata itself takes a hundred times as long.
    """
    found: dict[str, str] = {}
    for folder in sys.path if folders is None else folders:
        with suppress(OSError):
            for name in os.listdir(folder or "."):  # noqa: PTH208 - paths take ten times as long
                stem, _, ending = name.rpartition(".")
                if ending in ("dist-info", "egg-info") and "-" in stem:
                    distribution, version = stem.split("-")[:2]
                    # What comes first on the path is what is imported.
                    found.setdefault(distribution.replace("_", "-").lower(), version)
    return dict(sorted(found.items()))


def _is_in_repository(flow: Path) -> bool:
    return any((folder / ".git").exists() for folder in (flow, *flow.parents))


def _ask_git(flow: Path) -> subprocess.Popen[bytes]:
    import subprocess

    folder, name = (flow, ".") if flow.is_dir() else (flow.parent, flow.name)
    # Variables such as GIT_DIR, which hooks of git have, would lead to another repository.
    own = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    return subprocess.Popen(
        ["/bin/sh", "-c", _ASK, "sh", name],
        cwd=folder,
        env={**own, "LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def _answer(git: subprocess.Popen[bytes]) -> str:
    """Return what git has said until now, after a moment's patience, within bounds."""
    assert git.stdout is not None
    found, until = b"", time.monotonic() + PATIENCE
    while len(found) < _LONGEST:
        if not select.select([git.stdout], [], [], max(until - time.monotonic(), 0))[0]:
            break
        chunk = os.read(git.stdout.fileno(), 1 << 16)
        if not chunk:
            break
        found += chunk
    return found.decode(errors="replace")


def parse_git(text: str) -> GitState | None:
    """Read git's answer, or as much as there is of it; None without a commit."""
    lines = text.splitlines()
    if len(lines) < 2:
        return None
    folder, commit, *more = lines
    branch = next(
        (line.split(" ", 2)[2] for line in more if line.startswith("# branch.head ")), None
    )
    is_dirty = any(line[:2] in ("1 ", "2 ", "u ") for line in more)
    return GitState(
        commit=commit,
        branch=None if branch == "(detached)" else branch,
        dirty=is_dirty if is_dirty or "whole" in more else None,
        tracked=more[0] == "tracked" if more else None,
        folder=folder,
    )
