"""reflow in 150 lines: a graph, claims, result files, a lease and follow-ups.

    python mini.py RUN_DIR

Any process but the first may be killed at any moment, and the run goes on. What takes the place
of a scheduler starts jobs at once, and knows of each whether it has ended; nothing more is asked.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

TRIES = 3
PATIENCE = 0.5
"""Seconds without a heartbeat after which a lease is taken over."""


# -- the graph: plain functions, and whose results each of them takes -----------------------------
def numbers() -> list[int]:
    return [3, 1, 4]


def largest(values: list[int]) -> int:
    return max(values)


def total(values: list[int]) -> int:
    return sum(values)


def share(part: int, whole: int) -> float:
    return part / whole


GRAPH: dict[str, tuple[Callable[..., Any], list[str]]] = {
    "numbers": (numbers, []),
    "largest": (largest, ["numbers"]),
    "total": (total, ["numbers"]),
    "share": (share, ["largest", "total"]),
}


# -- the scheduler: a job is a process, which holds a lock on its file for as long as it lives ----
def submit(job: Path, *words: str | Path) -> None:
    with job.open("x") as file:  # made before the job starts: two dispatchers never submit one job
        fcntl.flock(file, fcntl.LOCK_EX)
        command = [sys.executable, __file__, *map(str, words)]
        subprocess.Popen(command, pass_fds=[file.fileno()], start_new_session=True)


def has_ended(job: Path) -> bool:
    with job.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def wait_for(job: Path) -> None:
    with job.open() as file:
        fcntl.flock(file, fcntl.LOCK_SH)


# -- files that are never there by half, and that one process alone can make ----------------------
def put(path: Path, value: object) -> bool:
    """Write a file unless it is there. A hard link is made by one process, on any file system."""
    own = path.with_name(f".{uuid.uuid4().hex}")
    with own.open("w") as file:
        json.dump(value, file)
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(own, path)
    except FileExistsError:
        return False
    finally:
        own.unlink()
    return True


# -- a worker: claims its attempt, runs the function, writes the result ---------------------------
def work(run: Path, task: str, attempt: str) -> None:
    if not put(run / "claims" / f"{task}.{attempt}", os.getpid()):
        return  # the same job was started twice, and the other one was first
    function, inputs = GRAPH[task]
    value = function(*(json.loads((run / "results" / name).read_text()) for name in inputs))
    put(run / "results" / task, value)


# -- the lease: one dispatcher at a time ----------------------------------------------------------
class LeaseLostError(Exception):
    """Another dispatcher has taken over."""


class Lease:
    """A number that goes up each time it changes hands; its file holds the heartbeat."""

    def __init__(self, run: Path) -> None:
        self._folder = run / "lease"
        self._number = self._beats = 0

    def __enter__(self) -> Lease:
        seen = None
        while not self._number:
            newest = self._newest()
            state = (newest, self._file(newest).read_text() if newest else "over")
            if state[1] == "over" or state == seen:  # released, or unchanged: no clock is compared
                if put(self._file(newest + 1), 0):
                    self._number = newest + 1
            else:
                seen = state
                time.sleep(PATIENCE)
        return self

    def heartbeat(self) -> None:
        """Show life. Raises `LeaseLostError` where another dispatcher has taken over."""
        if self._newest() != self._number:
            raise LeaseLostError
        self._beats += 1
        self._file(self._number).write_text(str(self._beats))

    def __exit__(self, *_: object) -> None:
        self._file(self._number).write_text("over")

    def _newest(self) -> int:
        return max((int(path.name) for path in self._folder.glob("[0-9]*")), default=0)

    def _file(self, number: int) -> Path:
        return self._folder / str(number)


# -- a dispatch step: whatever has ended, the next one starts from what is there ------------------
def dispatch(run: Path, *after: str) -> None:
    for job in after:
        wait_for(run / "jobs" / job)
    with contextlib.suppress(FileExistsError, LeaseLostError), Lease(run) as lease:
        done = {path.name for path in (run / "results").glob("[a-z]*")}
        for task, (_, inputs) in GRAPH.items():
            jobs = sorted((run / "jobs").glob(f"{task}.*"))
            if task in done or not done.issuperset(inputs) or (jobs and not has_ended(jobs[-1])):
                continue
            if (run / "results" / task).exists():
                continue  # it was written after the look above and before the job's end
            if len(jobs) == TRIES:
                put(run / "over", f"{task} has failed")
                return
            lease.heartbeat()
            attempt = str(len(jobs) + 1)
            submit(run / "jobs" / f"{task}.{attempt}", "work", run, task, attempt)
            follow_up = f"dispatch-{uuid.uuid4().hex}"  # it starts when the job is over
            submit(run / "jobs" / follow_up, "dispatch", run, f"{task}.{attempt}")
        if done == set(GRAPH):
            put(run / "over", json.loads((run / "results" / "share").read_text()))


# -- the command: what was started goes on without it ---------------------------------------------
def main(run: Path) -> None:
    for name in ("jobs", "claims", "results", "lease"):
        (run / name).mkdir(parents=True, exist_ok=True)
    while not (run / "over").exists():
        dispatch(run)  # the watchdog: were all follow-ups lost, the run would go on all the same
        time.sleep(4 * PATIENCE)
    print(json.loads((run / "over").read_text()))


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["work", place, task, attempt]:
            work(Path(place), task, attempt)
        case ["dispatch", place, *after]:
            dispatch(Path(place), *after)
        case [place]:
            main(Path(place))
        case _:
            sys.exit("usage: python mini.py RUN_DIR")
