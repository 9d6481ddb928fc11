"""One tiny job through an executor, which tells what it finds where it runs."""

from __future__ import annotations

import os
import secrets
import shutil
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from reflow.config.schema import Config
from reflow.errors import ReflowError, SchedulerUnavailableError
from reflow.executors.contract import Executor
from reflow.model.jobs import LOG_NAME, JobHandle, JobRequest, JobStatus
from reflow.permissions import make_folder
from reflow.plugins.hookspecs import Finding
from reflow.runs.diagnosis.on_node import Question, answer_of
from reflow.stores.url import SqliteUrl, parse_url

PATIENCE = 600.0
"""Seconds that a trial waits for its job, unless told otherwise."""
_PAUSES = (0.5, 0.5, 1.0, 1.0, 2.0, 2.0, 5.0, 5.0, 10.0)
"""Seconds between looks at the job; the last one is kept to."""
_LATE = 30.0
"""Seconds that a job's answer may take to show once the scheduler says that it is over."""
_TIME = timedelta(minutes=5)

Named = tuple[str, Finding]
Say = Callable[[str], None]


def try_a_job(config: Config, executor: Executor, patience: float, say: Say) -> list[Named]:
    """Submit one tiny job, wait for it, and return what it found on its node.

    It asks for what dispatch jobs ask for, and five minutes. `say` is told of the job and why it
    waits. The job is cancelled where the patience, in seconds, is at an end, and at Ctrl-C, which
    goes on as KeyboardInterrupt.
    """
    folder = Path(os.path.abspath(os.path.expanduser(config.run_root))) / (  # noqa: PTH100, PTH111
        f"doctor-{secrets.token_hex(4)}"
    )
    with ExitStack() as stack:
        try:
            made = _make(folder)
            stack.callback(_remove, folder, made)
            _question(config, executor, stack.enter_context(_locked(config))).write(folder)
            job = executor.submit(_request(config, folder)).job
        except OSError as error:
            text = f"{folder} cannot be written: {error.strerror}; set `run_root` to another folder"
            return [("submission", Finding(ok=False, text=text))]
        except ReflowError as error:
            return [("submission", Finding(ok=False, text=str(error)))]
        say(f"submitted job {job.native_id} to {executor.name}; Ctrl-C cancels it")
        return _awaited(executor, job, folder, patience, say)


def _make(folder: Path) -> list[Path]:
    """Make the folder of a trial; return the folders that were made for it, innermost first."""
    missing = [each for each in folder.parents if not each.exists()]
    make_folder(folder)
    return missing


def _remove(folder: Path, made: Sequence[Path]) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    with suppress(OSError):
        for each in made:
            each.rmdir()


def _question(config: Config, executor: Executor, lock: str) -> Question:
    from reflow import __version__

    return Question(
        python=sys.executable,
        reflow=__version__,
        store=config.store.url,
        lock=lock,
        executor=executor.name,
        executor_settings=dict(executor.settings),
        command_path=os.environ.get("PATH", ""),
    )


@contextmanager
def _locked(config: Config) -> Iterator[str]:
    """Hold a lock beside the manifest, which the job is to see; yield the file's path."""
    url = parse_url(config.store.url) if "://" in config.store.url else None
    if not isinstance(url, SqliteUrl):
        yield ""
        return
    make_folder(url.path.parent)
    probe = url.path.parent / f".reflow-doctor-{secrets.token_hex(4)}.db"
    try:
        with closing(sqlite3.connect(probe, timeout=0, isolation_level=None)) as database:
            database.execute("CREATE TABLE probe (x)")
            database.execute("BEGIN IMMEDIATE")
            yield str(probe)
    except sqlite3.Error as error:
        raise OSError(0, f"its locks cannot be used ({error})") from error
    finally:
        for file in probe.parent.glob(f"{probe.name}*"):
            file.unlink(missing_ok=True)


def _request(config: Config, folder: Path) -> JobRequest:
    return JobRequest(
        token=f"reflow-{folder.name}",
        command=(sys.executable, "-P", "-m", "reflow.runs.diagnosis.on_node", str(folder)),
        directory=folder,
        working_directory=folder,
        resources=replace(config.dispatch.resources, time=_TIME),
        label="reflow doctor",
    )


def _awaited(
    executor: Executor, job: JobHandle, folder: Path, patience: float, say: Say
) -> list[Named]:
    """Wait for the job's answer; cancel the job where there is none in the end."""
    began = time.monotonic()
    over_since: float | None = None
    told = ""
    status: JobStatus | None = None
    answered = False
    try:
        for pause in _pauses():
            executor.wait(pause)
            found = answer_of(folder)
            now = time.monotonic()
            if found is not None:
                answered = True
                _let_end(executor, job)
                waited = Finding(ok=True, text=f"job {job.native_id} took {now - began:.0f} s")
                return [("submission", waited), *((f"on node: {name}", f) for name, f in found)]
            with suppress(SchedulerUnavailableError):
                status = next(iter(executor.poll([job])), None)
            if status is not None and status.state.over:
                over_since = over_since or now
            if over_since is not None and now - over_since > min(_LATE, patience):
                return [("submission", Finding(ok=False, text=_silent(job, folder, status)))]
            if status is not None and status.reason and status.reason != told:
                told = status.reason
                say(f"it is {status.state.value.lower()}: {told}")
            if now - began > patience:
                return [("submission", Finding(ok=False, text=_too_late(job, patience, status)))]
    finally:
        if not answered and over_since is None:
            with suppress(ReflowError):
                executor.cancel([job])
    raise AssertionError("the pauses never end")


def _let_end(executor: Executor, job: JobHandle) -> None:
    """Wait for the end of a process of this one's own, which has answered."""
    end = time.monotonic() + _LATE
    while executor.capabilities.volatile and time.monotonic() < end:
        if all(status.state.over for status in executor.poll([job])):
            return
        executor.wait(0.1)


def _pauses() -> Iterator[float]:
    yield from _PAUSES
    while True:
        yield _PAUSES[-1]


def _silent(job: JobHandle, folder: Path, status: JobStatus | None) -> str:
    """Say what is known of a job that ended without an answer."""
    reason = f" ({status.reason})" if status is not None and status.reason else ""
    told = f"job {job.native_id} ended without an answer{reason}"
    with suppress(OSError):
        lines = (folder / LOG_NAME).read_text("utf-8", "replace").strip().splitlines()
        if lines:
            return (
                f"{told}; it printed: {' / '.join(lines[-3:])}. Does the node have {sys.executable}"
                " and what it needs? Lines of `setup` prepare a job's environment"
            )
    return (
        f"{told}, and left nothing in {folder}: does the node see that folder? Set `run_root` to "
        "one that all nodes share"
    )


def _too_late(job: JobHandle, patience: float, status: JobStatus | None) -> str:
    reason = f", as {status.reason}" if status is not None and status.reason else ""
    state = "unknown" if status is None else status.state.value.lower()
    return (
        f"job {job.native_id} was {state} after {patience:.0f} s{reason}; it was cancelled. Give "
        "it more time with --timeout, or another queue in [dispatch]"
    )
