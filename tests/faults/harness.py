"""Kills whoever dispatches a run at its N-th step, for one N after the other.

`python -m tests.faults.harness KIND FOLDER FIRST STRIDE`, with a configuration as its input,
prints a line of JSON for each N, up to the first at which nobody was killed because the run had
ended before. Everything happens in forks of this one process, which has imported what there is
to import: a run takes a fraction of a second, and every fork is a process of its own that is
really killed.

A step is whatever leaves a trace outside of the process: a file opened for writing, renamed,
made or removed, a process started or sent a signal, a transaction begun or committed.
"""

from __future__ import annotations

import contextlib
import errno
import gc
import importlib
import json
import mmap
import os
import shutil
import signal
import sqlite3
import struct
import subprocess
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.faults.scripted_scheduler import (
    ForkedPopen,
    ScriptedExecutor,
    ScriptedScheduler,
    fork_python,
    hurry_pilots,
    set_up_registry,
    warm_up,
)

FLOW = """
import os
from pathlib import Path
from typing import Annotated

from reflow import Result, RunDir, Workflow

wf = Workflow("kills")


def did(run_dir: Path, word: object) -> None:
    with open(run_dir / "journal", "a") as file:
        file.write(f"{word}\\n")


@wf.job()
def items(run_dir: RunDir = RunDir()) -> list[int]:
    did(run_dir, "items")
    return [1, 2]


@wf.job(array=True)
def each(x: Annotated[int, Result(step="items")], run_dir: RunDir = RunDir()) -> int:
    did(run_dir, f"each-{x}")
    return x * 10

"""

SHARED = FLOW.replace("[1, 2]", "[1, 2, 3, 4]").replace(
    "array=True", "array=True, per_job=2, at_once=2, retries=1"
)
"""Elements of which two share a job; where one of them alone may have ended it, that counts."""

PILOTED = FLOW.replace("[1, 2]", "[1, 2, 3, 4]").replace("array=True", "array=True, retries=1")
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
STEPS = {
    "os.rename",
    "os.mkdir",
    "os.remove",
    "os.link",
    "os.symlink",
    "subprocess.Popen",
    "os.kill",
    "os.killpg",
    "os.utime",
    "os.truncate",
}
LONGEST = 30.0
"""Seconds after which a run that has not ended counts as hanging."""


class Steps:
    """Counts steps of all processes that are watched, and kills the one that comes to the N-th."""

    def __init__(self) -> None:
        self._shared = mmap.mmap(-1, 16)
        self._watched = 0
        sys.addaudithook(self._heard)
        self._watch_transactions()

    def begin(self, last: int) -> None:
        """Count anew; the process that comes to step `last` is killed."""
        struct.pack_into("<qq", self._shared, 0, 0, last)

    @property
    def taken(self) -> int:
        """How many steps were taken."""
        return int(struct.unpack_from("<qq", self._shared)[0])

    def watch(self) -> None:
        """Count the steps of this process from now on, and not those of its forks."""
        self._watched = os.getpid()

    def step(self) -> None:
        if self._watched != os.getpid():
            return
        taken, last = struct.unpack_from("<qq", self._shared)
        struct.pack_into("<q", self._shared, 0, taken + 1)
        if taken + 1 == last:
            os.kill(os.getpid(), signal.SIGKILL)

    def _heard(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event in STEPS or (
            event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITING
        ):
            self.step()

    def _watch_transactions(self) -> None:
        from reflow.stores import orm

        real = orm.run_sql

        def run_sql(handle: Any, sql: str, *given: Any) -> Any:
            if sql.startswith("BEGIN IMMEDIATE"):
                self.step()
            result = real(handle, sql, *given)
            if sql == "COMMIT":
                self.step()
            return result

        setattr(orm, "run_sql", run_sql)  # noqa: B010


class ForkServer:
    """Forks supervisors for processes that must not do so themselves."""

    def __init__(self) -> None:
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)
        self._children: list[int] = []
        ForkedPopen.ask = self._ask

    def _ask(self, command: list[str], cwd: str, log: str) -> int:
        answer = f"{log}.{os.getpid()}.{time.monotonic_ns()}"
        os.write(self._write, json.dumps([command, cwd, log, answer]).encode() + b"\n")
        end = time.monotonic() + LONGEST
        while not Path(answer).exists() and time.monotonic() < end:
            time.sleep(0.001)
        return int(Path(answer).read_text())

    def serve(self) -> None:
        """Answer what was asked."""
        with contextlib.suppress(BlockingIOError):
            for line in os.read(self._read, 1 << 16).splitlines():
                command, cwd, log, answer = json.loads(line)
                pid = fork_python(command, cwd=cwd, log=Path(log), environment={})
                self._children.append(pid)
                Path(f"{answer}.new").write_text(str(pid))
                Path(f"{answer}.new").rename(answer)
        for pid in list(self._children):
            if os.waitpid(pid, os.WNOHANG)[0]:
                self._children.remove(pid)

    def end(self) -> None:
        """End what is left."""
        for pid in self._children:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        self._children.clear()


class Case:
    """One run, one kill."""

    def __init__(self, folder: Path, steps: Steps, server: ForkServer, number: int) -> None:
        self.folder = folder / f"case-{number}"
        self.folder.mkdir()
        shutil.copy(folder / "empty.db", self.folder / "manifest.db")
        self.steps = steps
        self.server = server
        self.run_dir = self.folder / "run"
        self.scheduler: ScriptedScheduler | None = None
        self.heals = 0
        self.left: list[str] = []

    def in_fork(self, work: Callable[[], object], watched: bool = False) -> int:
        """Do something in a fork; how the fork ended."""
        pid = os.fork()
        if pid == 0:
            try:
                log = os.open(self.folder / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
                os.dup2(log, 1)
                os.dup2(log, 2)
                if watched:
                    self.steps.watch()
                work()
                os._exit(0)
            except BaseException:
                traceback.print_exc()
                sys.stderr.flush()
                os._exit(1)
        while True:
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                return os.waitstatus_to_exitcode(status)
            self.turn()

    def turn(self) -> None:
        self.server.serve()
        if self.scheduler is None:
            time.sleep(0.002)
        else:
            self.scheduler.turn(0.005)

    def store(self) -> Any:
        from reflow.stores.sql import SqlStore

        return SqlStore(f"sqlite:///{self.folder / 'manifest.db'}")

    def workflow(self) -> Any:
        workflow = importlib.import_module("kill_flow").wf
        workflow._store_given = self.store()
        return workflow

    def submit(self, executor: Any, **given: Any) -> None:
        self.workflow().submit(run_dir=self.run_dir, executor=executor, **given)

    def state(self) -> str:
        """The run's state as recorded; empty where there is no run."""
        path = self.folder / "manifest.db"
        # Nothing may stay open: this process will fork.
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
            for (state,) in database.execute("SELECT state FROM reflow_run"):
                return str(state)
        return ""

    def recover(self) -> None:
        """What `status` does, in a process of its own."""

        def look() -> None:
            workflow = self.workflow()
            (record,) = workflow.store.list_runs()
            workflow.open_run(record.run_id).status(as_dict=True)

        self.heals += 1
        self.in_fork(look)

    def outcome(self) -> dict[str, Any]:
        """What became of the run."""
        store = self.store()
        try:
            (record,) = store.list_runs()
            found = store.instances(record.run_id)
            results = {
                task: [json.loads(text) for _, text, _ in store.outputs(record.run_id, task)]
                for task in ("items", "each")
            }
            journal = self.run_dir / "journal"
            return {
                "state": str(record.state),
                "message": record.message,
                "instances": [
                    (item.task, item.index, str(item.state), item.attempt) for item in found
                ],
                "results": results,
                "calls": Counter(journal.read_text().split()) if journal.exists() else {},
                "heals": self.heals,
            }
        finally:
            store.close()


def local(case: Case) -> bool:
    """A supervisor of the local executor is killed; `status` starts another."""
    from reflow.rundir.run_settings import read_settings
    from reflow.runs import launch
    from reflow.runs import supervisor as supervise

    def submit() -> None:
        setattr(launch, "start_supervisor", lambda store, settings: None)  # noqa: B010
        case.submit("local")

    assert case.in_fork(submit) == 0
    (settings_file,) = (case.run_dir / ".reflow").glob("*/run.json")
    settings = read_settings(case.run_dir, settings_file.parent.name)

    def be_supervisor() -> None:
        supervise.main([str(settings.run_dir), settings.run_id])

    killed = case.in_fork(be_supervisor, watched=True) == -signal.SIGKILL
    finish(case)
    return killed


def submission(case: Case) -> bool:
    """The process that submits to the local executor is killed."""
    killed = case.in_fork(lambda: case.submit("local"), watched=True) == -signal.SIGKILL
    if case.state():
        finish(case)
    return killed


def finish(case: Case) -> None:
    """Look at the run, as a person would, until it has ended."""
    end = time.monotonic() + LONGEST
    while case.state() == "RUNNING" and time.monotonic() < end:
        case.recover()
        for _ in range(5):
            case.turn()


VICTIMS = {
    "jobs": "reflow.runs.dispatch_job",
    "hosts": "reflow.execution.pool.host",
    "pilots": "reflow.execution.pool.pilot",
}


def batch(case: Case, victims: str, cause: str | None = None, **given: Any) -> bool:
    """Dispatch jobs, or the submitter, or jobs that elements share, on a scheduler are killed.

    `cause` is what the scheduler says of a job that was; None for its signal. What is `given` is
    submitted besides.
    """
    case.scheduler = ScriptedScheduler(case.folder / "scripted")
    case.scheduler.cause_of_kills = cause

    def watch_dispatchers(command: list[str]) -> None:
        if command[3] == VICTIMS.get(victims):
            case.steps.watch()

    case.scheduler.in_child = watch_dispatchers
    from tests.faults import scripted_scheduler

    real = scripted_scheduler.fork_python

    def fork_python(command: Any, **given: Any) -> int:
        # Also those that the last worker of a wave starts.
        first = given.pop("first", lambda: None)

        def watched() -> None:
            first()
            watch_dispatchers(list(command))

        return real(command, first=watched, **given)

    scripted_scheduler.fork_python = fork_python
    try:
        executor = ScriptedExecutor(folder=str(case.folder / "scripted"))
        case.in_fork(lambda: case.submit(executor, **given), watched=victims == "submitter")
        end = time.monotonic() + LONGEST
        while case.state() == "RUNNING" and time.monotonic() < end:
            if case.scheduler.idle:
                # Nothing will happen any more by itself.
                case.recover()
            case.turn()
        case.left = left_in_queue(case) if case.state() else []
    finally:
        scripted_scheduler.fork_python = real
        case.scheduler.close()
    return True


def left_in_queue(case: Case) -> list[str]:
    """Jobs that are still queued when the run has ended and nobody is at work any more."""
    assert case.scheduler is not None
    while case.scheduler.busy:
        case.turn()
    case.scheduler.turn(0.001)
    return sorted(case.scheduler.folder.in_queue())


KINDS: dict[str, Callable[[Case], bool]] = {
    "local": local,
    "submission": submission,
    "batch-jobs": lambda case: batch(case, "jobs"),
    "batch-submitter": lambda case: batch(case, "submitter"),
    "hosts-kill": lambda case: batch(case, "hosts"),
    "hosts-node": lambda case: batch(case, "hosts", "NODE"),
    "hosts-without-links": lambda case: batch(case, "hosts", "NODE"),
    "pilots-kill": lambda case: batch(case, "pilots", pilots=pilots()),
    "pilots-node": lambda case: batch(case, "pilots", "NODE", pilots=pilots()),
    "pilots-jobs": lambda case: batch(case, "jobs", pilots=pilots()),
    "pilots-submitter": lambda case: batch(case, "submitter", pilots=pilots()),
}


def pilots() -> Any:
    from reflow.model.pilots import Pilots

    return Pilots(jobs=2, cpus=2)


def notice_silence_soon() -> None:
    """Have pilots that were killed noticed after a moment."""
    from reflow.dispatch.pilots import hosts, open_waves
    from reflow.execution.pool import pilot, pilot_files

    for module in (pilot_files, hosts, open_waves):
        setattr(module, "SILENT_AFTER", 2.0)  # noqa: B010
    hurry_pilots()
    for name in ("HEARTBEAT_EVERY", "FIRST_ASK", "LOOK_EVERY"):
        setattr(pilot, name, 0.3)


def prepare(kind: str, folder: Path, config: str) -> None:
    """What all cases share: the flow, an empty store, settings, plugins."""
    family = kind.partition("-")[0]
    (folder / "kill_flow.py").write_text({"hosts": SHARED, "pilots": PILOTED}.get(family, FLOW))
    if family == "pilots":
        notice_silence_soon()
    if kind == "hosts-without-links":
        refuse_links()
    (folder / "config.toml").write_text(config)
    os.environ["REFLOW_CONFIG"] = str(folder / "config.toml")
    # Hosts that are killed leave their folders for temporary files.
    os.environ["TMPDIR"] = str(folder)
    sys.path.insert(0, str(folder))
    setattr(subprocess, "Popen", ForkedPopen)  # noqa: B010
    set_up_registry()
    warm_up()
    # The flow, too: every process that comes of this one finds it loaded.
    importlib.import_module("kill_flow").wf.graph()
    from reflow.stores.sql import SqlStore

    with contextlib.closing(SqlStore(f"sqlite:///{folder / 'empty.db'}")) as store:
        store.list_runs()


def refuse_links() -> None:
    """Have this process, and its forks, use a file system that has no hard links."""

    def link(*given: object, **named: object) -> None:
        raise PermissionError(errno.EPERM, "no links here")

    setattr(os, "link", link)  # noqa: B010


def cases(kind: str, folder: Path, first: int, stride: int, config: str = "") -> Iterator[Any]:
    """For each N, what happened."""
    prepare(kind, folder, config)
    steps, server = Steps(), ForkServer()
    # Forks share what is there now, and do not look for garbage in it.
    gc.collect()
    gc.freeze()
    number = first
    while True:
        steps.begin(number)
        case = Case(folder, steps, server, number)
        KINDS[kind](case)
        reached = steps.taken >= number
        there = bool(case.state())
        found: dict[str, Any] = {"number": number, "killed": reached, "there": there}
        if there:
            found |= case.outcome() | {"left": case.left}
        server.end()
        yield found
        if not reached:
            return
        shutil.rmtree(case.folder)
        number += stride


def main(arguments: list[str]) -> int:
    kind, folder, first, stride = arguments
    for found in cases(kind, Path(folder), int(first), int(stride), sys.stdin.read()):
        print(json.dumps(found), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
