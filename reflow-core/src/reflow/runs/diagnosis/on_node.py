"""What a job of `doctor --submit` finds where it runs: `python -m ...on_node FOLDER`.

It is the only process there: it reads a question from the folder of the trial, and leaves its
findings in another file.
"""

from __future__ import annotations

import json
import os
import platform
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from reflow.errors import ReflowError
from reflow.executors.contract import ChecksRequests, Executor
from reflow.model.fields import as_json, from_json
from reflow.model.jobs import JobRequest
from reflow.model.json import Json
from reflow.permissions import make_folder
from reflow.plugins.hookspecs import Finding
from reflow.rundir.files import read_bytes, server_time, write_whole
from reflow.rundir.probe import probe
from reflow.runs.dispatch_job import look_for_commands_in

NAME = "reflow-doctor"
"""The name of the jobs that `doctor` submits, or asks about."""
QUESTION, ANSWER = "question.json", "answer.json"
GIB = 2**30
LEAST_TEMPORARY = GIB
"""Bytes below which a folder for temporary files counts as full."""
MOST_SKEW = 5.0
"""Seconds between a node's clock and the file server's from which times mislead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What a trial is to find out."""

    python: str
    """The interpreter of the submitting process."""
    reflow: str
    """Its version of reflow."""
    store: str
    lock: str
    """An SQLite file that the submitting process has locked; empty where the store is none."""
    executor: str
    executor_settings: dict[str, Json] = field(default_factory=dict)
    command_path: str = ""
    """PATH of the submitting process."""

    def write(self, folder: Path) -> None:
        """Put the question into the folder of a trial."""
        write_whole(folder / QUESTION, json.dumps(as_json(self)).encode())


def answer_of(folder: Path) -> list[tuple[str, Finding]] | None:
    """Return what the job has found, if it has ended."""
    try:
        found = json.loads(read_bytes(folder / ANSWER))
    except FileNotFoundError:
        return None
    return [(name, Finding(ok=ok, text=text)) for name, ok, text in found]


def main(arguments: list[str]) -> int:
    """Answer the question in a folder."""
    folder = Path(arguments[0])
    question = from_json(Question, json.loads(read_bytes(folder / QUESTION)))
    found = [[name, each.ok, each.text] for name, each in _findings(question, folder)]
    write_whole(folder / ANSWER, json.dumps(found).encode())
    return 0


def _findings(question: Question, folder: Path) -> Iterator[tuple[str, Finding]]:
    checks: dict[str, Callable[[Question, Path], Finding]] = {
        "host": _host,
        "python": _python,
        "run directory": _run_directory,
        "clock": _clock,
        "store": _store,
        "store's locks": _locks,
        "temporary files": _temporary,
        "scheduler": _scheduler,
    }
    for name, check in checks.items():
        try:
            yield name, check(question, folder)
        except Exception as error:  # What breaks one check must not hide the others.
            yield name, Finding(ok=False, text=f"{type(error).__name__}: {error}")


def _host(question: Question, folder: Path) -> Finding:
    system = os.uname()
    return Finding(ok=True, text=f"{system.nodename}, {system.sysname} {system.release}")


def _python(question: Question, folder: Path) -> Finding:
    from reflow import __version__

    text = f"Python {platform.python_version()}, {sys.executable}; reflow {__version__}"
    if __version__ != question.reflow:
        text += (
            f", but {question.reflow} where you are: install the same version in the environment "
            f"of {sys.executable}"
        )
    return Finding(ok=__version__ == question.reflow, text=text)


def _run_directory(question: Question, folder: Path) -> Finding:
    try:
        way = probe(folder)
    except OSError as error:
        return Finding(
            ok=False,
            text=f"{folder} cannot be written ({error.strerror}): set `run_root` to a folder that "
            "all nodes share",
        )
    return Finding(ok=True, text=f"there and writable (claims by {way}): {folder.parent}")


def _clock(question: Question, folder: Path) -> Finding:
    before = time.time()
    server = server_time(folder / ".clock")
    skew = max(before - server, server - time.time(), 0.0)
    if skew > MOST_SKEW:
        return Finding(
            ok=False,
            text=f"{skew:.0f} s apart from the file server: ask your administrators to synchronise "
            "the clocks (chrony, NTP)",
        )
    return Finding(ok=True, text=f"{skew:.1f} s apart from the file server")


def _store(question: Question, folder: Path) -> Finding:
    from reflow.plugins.registry import registry

    try:
        with closing(registry().store_for(question.store)) as store:
            store.list_runs(limit=1)
    except ReflowError as error:
        return Finding(
            ok=False,
            text=f"{error}. Dispatch jobs need it: put the manifest where all nodes reach it "
            "(`url` under [store]), or use `submit --follow`",
        )
    return Finding(ok=True, text="can be read")


def _locks(question: Question, folder: Path) -> Finding:
    if not question.lock:
        return Finding(ok=True, text="not needed: the manifest is not a file")
    with closing(sqlite3.connect(question.lock, timeout=0, isolation_level=None)) as database:
        try:
            database.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            if "locked" in str(error):
                return Finding(ok=True, text="a lock of the submitting machine is seen")
            return Finding(ok=False, text=f"{question.lock} cannot be used: {error}")
    return Finding(
        ok=False,
        text="a lock of the submitting machine is not seen, so the manifest would be damaged: put "
        "it elsewhere (`url` under [store]), on a file system with locks that all hosts see, or "
        "into PostgreSQL",
    )


def _temporary(question: Question, folder: Path) -> Finding:
    place = tempfile.gettempdir()
    room = os.statvfs(place)
    free = room.f_bavail * room.f_frsize
    text = f"{place}, {free / GIB:,.1f} GiB free"
    if free < LEAST_TEMPORARY:
        text += ": set TMPDIR, in a line of `setup`, to a folder with more"
    return Finding(ok=free >= LEAST_TEMPORARY, text=text)


def _scheduler(question: Question, folder: Path) -> Finding:
    from reflow.plugins.registry import registry

    look_for_commands_in(question.command_path)
    executor = registry().make_executor(question.executor, question.executor_settings)
    with closing(executor) as asked:
        if not asked.capabilities.dispatch_jobs:
            return Finding(ok=True, text="not needed: a supervisor dispatches")
        try:
            asked.limits()
            refused = _refused(asked, folder)
        except ReflowError as error:
            refused = str(error)
    if refused:
        return Finding(
            ok=False,
            text=f"{refused}. Jobs cannot submit jobs from there: use `submit --follow`",
        )
    return Finding(ok=True, text="its commands answer there, as jobs that submit jobs need")


def _refused(executor: Executor, folder: Path) -> str:
    """Return why this host could not submit a small job; empty where nothing is known of that."""
    if not isinstance(executor, ChecksRequests):
        return ""
    # The script of this very job is in the folder itself.
    directory = folder / "small"
    make_folder(directory)
    request = JobRequest(
        token=NAME,
        command=("true",),
        directory=directory,
        working_directory=folder,
        label="reflow doctor",
    )
    return executor.feasibility(request).impossible


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
