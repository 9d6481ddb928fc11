"""Starting, watching and ending the daemons of a scheduler that the tests own."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

DAEMON_PATH = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"


class StartError(RuntimeError):
    """A daemon did not come up; the text ends with what its logs say."""


def wait_for(what: str, condition: Callable[[], bool], seconds: float = 60.0) -> None:
    """Return once the condition holds; raise `StartError` when it does not in time.

    It is asked ever more seldom: many tests wait at once, on machines that are to run their jobs.
    """
    asked = time.monotonic()
    end = asked + seconds
    pause = 0.05
    while not condition():
        now = time.monotonic()
        if now > end:
            raise StartError(f"waited {seconds:.0f} s in vain for {what}")
        time.sleep(max(pause, 2 * (now - asked)))
        pause = min(pause * 1.3, 0.5)
        asked = time.monotonic()


def free_ports(count: int) -> list[int]:
    """Ports of the loopback interface on which nobody listens now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for item in sockets:
            item.bind(("127.0.0.1", 0))
        return [item.getsockname()[1] for item in sockets]


def missing_packages(names: Sequence[str]) -> list[str]:
    """Those Debian packages that are not installed."""
    absent = []
    for name in names:
        query = ["dpkg-query", "--show", "--showformat=${db:Status-Status}", name]
        done = subprocess.run(query, capture_output=True, text=True, check=False)
        if done.stdout.strip() != "installed":
            absent.append(name)
    return absent


def install_packages(names: Sequence[str]) -> None:
    """Install Debian packages without letting them start services of their own."""
    absent = missing_packages(names)
    if not absent:
        return
    policy = Path("/usr/sbin/policy-rc.d")
    ours = not policy.exists()
    if ours:
        policy.write_text("#!/bin/sh\nexit 101\n")
        policy.chmod(0o755)
    apt = ["apt-get", "-qq", "-o", "DPkg::Lock::Timeout=600"]
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    try:
        subprocess.run([*apt, "update"], check=True, env=quiet)
        subprocess.run(
            [*apt, "install", "--yes", "--no-install-recommends", *absent],
            check=True,
            env=quiet,
            stdout=subprocess.DEVNULL,
        )
    finally:
        if ours:
            policy.unlink()


class Daemons:
    """The processes of one cluster, known by pid and start time, so that no other is ended."""

    def __init__(self, directory: Path, environment: Mapping[str, str]) -> None:
        self._record = directory / "daemons.json"
        self._logs = directory / "log"
        self._children: dict[int, subprocess.Popen[bytes]] = {}
        self._environment = {"PATH": DAEMON_PATH, "HOME": "/root", "LANG": "C.UTF-8", **environment}

    def start(self, name: str, command: Sequence[str]) -> None:
        """Start a daemon that stays in the foreground, unless it is alive."""
        if self.alive(name):
            return
        with (self._logs / f"{name}.out").open("ab") as output:
            process = subprocess.Popen(
                command,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self._children[process.pid] = process
        self._write({**self._read(), name: [process.pid, _start_time(process.pid)]})

    def alive(self, name: str) -> bool:
        """Whether that daemon runs."""
        return self._lives(*self._read().get(name, (0, None)))

    def kill(self, name: str) -> None:
        """End a daemon without asking, as a crash does."""
        self._end(name, signal.SIGKILL)

    def stop(self, name: str) -> None:
        """Ask a daemon to end, and insist after ten seconds."""
        self._end(name, signal.SIGTERM)

    def names(self) -> list[str]:
        """Everything started and not ended here, in the order of starting."""
        return list(self._read())

    def tails(self) -> str:
        """The last lines of every log, for an error message."""
        parts = []
        for path in sorted(self._logs.glob("*")):
            lines = path.read_text(errors="replace").splitlines()[-6:]
            if lines:
                parts.append("\n".join([f"--- {path.name}", *lines]))
        return "\n".join(parts)

    def _end(self, name: str, first: signal.Signals) -> None:
        pid, started = self._read().get(name, (0, None))
        for number, patience in ((first, 10.0), (signal.SIGKILL, 10.0)):
            if not self._lives(pid, started):
                break
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
            with contextlib.suppress(StartError):
                wait_for(f"the end of {name}", lambda: not self._lives(pid, started), patience)
        child = self._children.pop(pid, None)
        if child is not None:
            child.wait(timeout=10)
        self._write({key: value for key, value in self._read().items() if key != name})

    def _lives(self, pid: int, started: str | None) -> bool:
        if pid in self._children:
            self._children[pid].poll()
        return started is not None and _start_time(pid) == started

    def _read(self) -> dict[str, tuple[int, str | None]]:
        if not self._record.exists():
            return {}
        return {name: (pid, at) for name, (pid, at) in json.loads(self._record.read_text()).items()}

    def _write(self, daemons: Mapping[str, Sequence[object]]) -> None:
        self._record.write_text(json.dumps(dict(daemons)))


def _start_time(pid: int) -> str | None:
    """When a process began, in the kernel's ticks; None when it is gone or a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else fields[19]
