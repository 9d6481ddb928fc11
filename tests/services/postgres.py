"""A real PostgreSQL server for the tests, from the system's own package.

It listens on a Unix socket in a folder of its own and nowhere else, and dies with the tests.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from urllib.parse import quote

import pytest

ACCOUNT = "postgres"
"""The account of the package; the server refuses to run as root."""

START_SECONDS = 60
STOP_SECONDS = 30

_numbers = count()


def binaries() -> Path | None:
    """The folder of the newest server's programs."""
    found = Path("/usr/lib/postgresql").glob("*/bin/initdb")
    ranked = sorted(found, key=lambda path: float(path.parts[-3]))
    return ranked[-1].parent if ranked else None


class Server:
    """A server with an empty database in a folder of its own; it may be stopped in between."""

    def __init__(self, programs: Path, folder: Path) -> None:
        self._programs = programs
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"postgresql://reflow@/postgres?host={quote(str(folder), safe='')}"
        """The URL of the database."""
        initdb: list[str | Path] = [programs / "initdb", "-D", folder / "data"]
        _run(*initdb, "--username=reflow", "--auth=trust", "--encoding=UTF8", "--locale=C", "-N")

    def start(self) -> None:
        """Start the server, and wait until it answers."""
        command: list[str | Path] = [self._programs / "postgres", "-D", self._folder / "data"]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                _as_account(
                    *command, "-k", self._folder, "-c", "listen_addresses=", "-c", "fsync=off"
                ),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=_environment(),
            )
        _wait_until_it_answers(self.url, self._process, self._folder / "log")

    def stop(self) -> None:
        """Have the server end all sessions, and end; what was committed stays."""
        if self._process is None:
            return
        process, self._process = self._process, None
        process.send_signal(signal.SIGINT)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            raise


@contextmanager
def postgres_server(programs: Path) -> Iterator[Server]:
    """A running server."""
    # Not pytest's own folder: the path of a socket may have 107 characters.
    folder = Path(tempfile.mkdtemp(prefix="reflow-pg-"))
    try:
        if os.geteuid() == 0:
            shutil.chown(folder, ACCOUNT, ACCOUNT)
        server = Server(programs, folder)
        try:
            server.start()
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder)


def _as_account(*command: str | Path) -> list[str]:
    words = [str(word) for word in command]
    identity = ["--reuid", ACCOUNT, "--regid", ACCOUNT, "--clear-groups"]
    # The server must not outlive tests that are killed.
    return ["setpriv", "--pdeathsig", "INT", *(identity if os.geteuid() == 0 else []), *words]


def _run(*command: str | Path) -> None:
    done = subprocess.run(
        _as_account(*command), capture_output=True, text=True, env=_environment(), check=False
    )
    assert done.returncode == 0, f"{command[0]} failed: {done.stderr}"


def _environment() -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "LC_ALL": "C"}


def _wait_until_it_answers(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    import psycopg

    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            psycopg.connect(url, connect_timeout=5).close()
        except psycopg.OperationalError:
            assert server.poll() is None, f"PostgreSQL did not start: {log.read_text()}"
            assert time.monotonic() < deadline, f"PostgreSQL does not answer: {log.read_text()}"
            time.sleep(0.02)
        else:
            return


def programs_or_skip() -> Path:
    """The folder of the server's programs; skips the test where there are none, or no driver."""
    programs = binaries()
    if programs is None:
        pytest.skip("PostgreSQL is not installed (Debian: apt-get install postgresql)")
    pytest.importorskip("psycopg", reason="psycopg is not installed (reflow-core[postgres])")
    return programs


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a database on a server that lives as long as the tests."""
    with postgres_server(programs_or_skip()) as server:
        yield server.url


@pytest.fixture
def postgres_url(postgres: str) -> str:
    """The URL of an empty corner of the database, for one test."""
    import psycopg

    schema = f"test_{next(_numbers)}"
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {schema}")
    return f"{postgres}&options=-csearch_path%3D{schema}"
