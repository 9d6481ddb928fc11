"""Whether a second process sees the locks of SQLite in the manifest's folder, really tried."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from reflow.plugins.health.installation import NOT_A_FILE, existing_part, store_file
from reflow.plugins.hookspecs import Finding
from reflow.stores.filesystem import STORE_ELSEWHERE

SECONDS = 20.0
"""How long the other process may take, on a slow file system too."""

_TRY = """\
import sqlite3, sys
try:
    sqlite3.connect(sys.argv[1], timeout=0, isolation_level=None).execute("BEGIN IMMEDIATE")
except sqlite3.OperationalError as error:
    print(error)
else:
    print("written")
"""


def check_locks() -> Finding:
    """Check that a second process cannot write the manifest while the first one does."""
    path = store_file()
    if path is None:
        return NOT_A_FILE
    folder = existing_part(path.parent)
    probe = folder / f".reflow-probe-{os.getpid()}.db"
    try:
        while_locked, afterwards = _tried(probe)
    except (OSError, sqlite3.Error, subprocess.TimeoutExpired) as error:
        return Finding(
            ok=False, text=f"locks cannot be tried in {folder}: {error}. {STORE_ELSEWHERE}"
        )
    finally:
        for file in folder.glob(f"{probe.name}*"):
            file.unlink(missing_ok=True)
    if "locked" not in while_locked:
        return Finding(
            ok=False,
            text=f"a second process does not see locks in {folder}: two at once would damage the "
            f"manifest. {STORE_ELSEWHERE}",
        )
    if afterwards != "written":
        return Finding(
            ok=False,
            text=f"a lock in {folder} stays after it was released ({afterwards}). "
            f"{STORE_ELSEWHERE}",
        )
    return Finding(ok=True, text=f"tried with two processes; {_journal(path)}")


def _tried(probe: Path) -> tuple[str, str]:
    """Return what a second process says while this one holds a lock, and afterwards."""
    with closing(sqlite3.connect(probe, timeout=0, isolation_level=None)) as own:
        own.execute("CREATE TABLE probe (x)")
        own.execute("BEGIN IMMEDIATE")
        while_locked = _second(probe)
        own.execute("COMMIT")
        return while_locked, _second(probe)


def _second(probe: Path) -> str:
    ended = subprocess.run(
        [sys.executable, "-I", "-c", _TRY, str(probe)],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    return (ended.stdout or ended.stderr).strip()


def _journal(path: Path) -> str:
    """Return the journal mode of the manifest, if there is one yet."""
    if not path.exists():
        return "there is no manifest yet"
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as database:
            return f"journal mode {database.execute('PRAGMA journal_mode').fetchone()[0]}"
    except sqlite3.Error as error:
        return f"journal mode unknown ({error})"
