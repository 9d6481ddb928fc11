#!/usr/bin/env python3
"""Print, set or check the version that all distributions of this repository share.

    scripts/version.py                print it
    scripts/version.py set 0.2.0      write it into every distribution
    scripts/version.py check v0.2.0   fail unless a tag and the changelog are about this version

A distribution is built by itself, from its own folder, so each holds a copy of the version; this
is the one place that writes them. A backend requires the core of its own series, this version or
a later one: 0.2.3 requires `reflow-core~=0.2.3`.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
_NUMBER = re.compile(r"\d+\.\d+\.\d+((a|b|rc)\d+)?")
_ASSIGNED = re.compile(r'(?<=^__version__ = ")[^"]+', re.MULTILINE)
_REQUIRED = re.compile(r'(?<="reflow-core)[^"\w[]+[^"]*(?=")')


class VersionError(Exception):
    """The distributions, the tag and the changelog are not of one version."""


def version(root: Path = ROOT) -> str:
    """Read the version of all distributions.

    Raises:
        VersionError: One of them has another version, or requires another series of the core.

    """
    core: str
    [core] = _ASSIGNED.findall(_module(root / "reflow-core").read_text())
    for path, pattern, expected in _copies(root, core):
        found = pattern.findall(path.read_text())
        if found != [expected]:
            raise VersionError(
                f"{path.relative_to(root)} has {', '.join(found) or 'nothing'}, not {expected}. "
                f"Make all alike with: scripts/version.py set {core}"
            )
    return core


def set_version(number: str, root: Path = ROOT) -> None:
    """Write a version into every distribution, and the core's into what backends require.

    Raises:
        VersionError: It is no version such as 0.2.0 or 0.2.0rc1.

    """
    if not _NUMBER.fullmatch(number):
        raise VersionError(f"{number!r} is no version such as 0.2.0 or 0.2.0rc1")
    for path, pattern, text in _copies(root, number):
        path.write_text(pattern.sub(text, path.read_text()))


def check(tag: str, root: Path = ROOT) -> None:
    """Hold a tag, and the changelog's newest release, against the version.

    Raises:
        VersionError: They are about another version.

    """
    number = version(root)
    if tag != f"v{number}":
        raise VersionError(f"the tag is {tag}, but the distributions are of version {number}")
    releases = re.findall(
        r"^## \[(\d[^]]*)\] - \d{4}-\d\d-\d\d$", (root / "CHANGELOG.md").read_text(), re.MULTILINE
    )
    if number not in releases[:1]:
        raise VersionError(f"CHANGELOG.md has no release [{number}] with its day at its top")


def _copies(root: Path, number: str) -> list[tuple[Path, re.Pattern[str], str]]:
    """List each file that holds the version, where in it, and what is to stand there."""
    folders = sorted(root.glob("reflow-*"))
    backends = [folder for folder in folders if folder.name != "reflow-core"]
    return [
        *((_module(folder), _ASSIGNED, number) for folder in folders),
        *((folder / "pyproject.toml", _REQUIRED, f"~={number}") for folder in backends),
    ]


def _module(folder: Path) -> Path:
    [module] = (folder / "src").glob("*/__init__.py")
    return module


def main(words: Sequence[str]) -> None:
    """Do what the command line says."""
    match words:
        case []:
            print(version())
        case ["set", number]:
            set_version(number)
        case ["check", tag]:
            check(tag)
        case _:
            raise VersionError(str(__doc__))


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except VersionError as error:
        sys.exit(str(error))
