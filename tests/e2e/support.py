"""Flows in files, the ways to run them, and the end of whatever they leave behind."""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from reflow.testing.fakes import FakeScheduler

from tests.fakes import fake_of

WAYS = ("inline", "pool", "background")
"""In the person's own process, in a pool of two, and through the local executor."""

SECONDS = 60.0
"""So long a test waits for what must happen, before it fails."""


def until(condition: Callable[[], Any], seconds: float = SECONDS) -> None:
    """Wait for a condition; fail when it does not come about."""
    asked = time.monotonic()
    end = asked + seconds
    while not condition():
        now = time.monotonic()
        assert now < end, "it did not happen in time"
        # What takes long to find out must not keep the machine from getting on with it.
        time.sleep(max(0.01, now - asked))
        asked = time.monotonic()


@contextlib.contextmanager
def fake_scheduler(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[FakeScheduler]:
    """A fake whose commands are on PATH, and runs that soon give up what is gone."""
    monkeypatch.setenv("REFLOW_DISPATCH_GRACE_SECONDS", "2")
    folder = tmp_path / "fake"
    folder.mkdir()
    with fake_of(name, folder) as fake:
        fake.activate()
        yield fake


class FlowFile:
    """A flow in a file of the test's own folder, and the log of what its tasks did.

    Tasks write to the log with `did("word")`, which every flow has; a line for each call, so that
    what ran twice is there twice.
    """

    def __init__(self, folder: Path, name: str = "flow") -> None:
        self.folder = folder
        self.path = folder / f"{name}.py"
        self.journal = folder / "journal"

    def write(self, source: str) -> FlowFile:
        """Write the flow; `{here}` in it is the test's folder."""
        text = dedent(source).replace("{here}", str(self.folder))
        self.path.write_text(HEAD.format(journal=str(self.journal)) + text)
        return self

    def replace(self, old: str, new: str) -> FlowFile:
        """Edit the flow, as a person would."""
        text = self.path.read_text()
        assert text.count(old) == 1, f"{old!r} is there {text.count(old)} times"
        self.path.write_text(text.replace(old, new))
        # Python tells an edit of the same second and size from none only by chance.
        os.utime(self.path, ns=(time.time_ns(), time.time_ns() + len(old) * 10**9))
        return self

    def load(self) -> Any:
        """The workflow, in a module that was imported just now."""
        importlib.invalidate_caches()
        for name in _names_in(self.folder):
            sys.modules.pop(name, None)
        return importlib.import_module(self.path.stem).wf

    def run(self, way: str = "inline", **given: Any) -> Any:
        """Load the flow, run it one way, wait for its end, and give the run's handle."""
        return run(self.load(), way, **given)

    @property
    def calls(self) -> Counter[str]:
        """How often each word was written to the journal."""
        if not self.journal.exists():
            return Counter()
        return Counter(self.journal.read_text().split())

    def forget(self) -> None:
        """Begin a new journal."""
        self.journal.unlink(missing_ok=True)


HEAD = """\
import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, NamedTuple

from reflow import Flow, Param, Result, RunDir, TaskInterrupted, Workflow


def did(word: object) -> None:
    with open("{journal}", "a") as file:
        file.write(f"{{word}}\\n")


def wait_for(name: str) -> None:
    end = time.monotonic() + 60
    while not Path(name).exists():
        assert time.monotonic() < end, f"{{name}} did not appear"
        time.sleep(0.01)


"""


def run(workflow: Any, way: str, **given: Any) -> Any:
    """Run a workflow one way to its end, whatever that is, and give the run's handle."""
    if way == "background":
        started = workflow.submit(executor="local", **given)
        started.wait(timeout=SECONDS)
        return started
    given.setdefault("on_error", "continue")
    return workflow.run_local(max_workers=1 if way == "inline" else 2, **given)


def run_by_jobs(flow: FlowFile, **given: Any) -> Any:
    """Run a flow by jobs of the fake Slurm that is on PATH, and give the run's handle."""
    run = flow.load().submit(executor="slurm", **given)
    until(lambda: run.state.final)
    return run


def failed(run: Any) -> dict[tuple[str, int | None], tuple[str | None, str]]:
    """Cause and error of every failed instance, by task and index."""
    return {
        (item["task"], item["index"]): (item["cause"], item["error"])
        for item in run.status(as_dict=True)["failed_instances"]
    }


def counts(run: Any, task: str) -> dict[str, int]:
    """How many elements of a task are in each state."""
    found: dict[str, int] = run.status(as_dict=True)["tasks"][task]["counts"]
    return found


def _names_in(folder: Path) -> list[str]:
    prefix = f"{folder}{os.sep}"
    return [
        name
        for name, module in list(sys.modules.items())
        if str(getattr(module, "__file__", None) or "").startswith(prefix)
    ]


# -- what is left behind --------------------------------------------------------------------


def processes_of(folder: Path) -> list[int]:
    """Processes that have a folder, or what is in it, in their command line or environment."""
    wanted = os.fsencode(folder)
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        with contextlib.suppress(OSError):
            if _is_zombie(entry):
                continue
            if wanted in (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes():
                found.append(int(entry.name))
    return found


def _is_zombie(entry: Path) -> bool:
    text = (entry / "stat").read_text()
    return text[text.rindex(")") + 2] in "ZX"


def end_processes_of(folder: Path) -> None:
    """End, for good, whatever processes a test has left."""
    while left := processes_of(folder):
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)


@contextlib.contextmanager
def nothing_left(folder: Path) -> Iterator[None]:
    """End what is left of a test's processes when it ends, well or badly."""
    try:
        yield
    finally:
        end_processes_of(folder)
