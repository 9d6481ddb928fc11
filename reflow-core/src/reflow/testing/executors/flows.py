"""What scenarios of whole runs do: write flows, submit them, and read what their tasks did."""

from __future__ import annotations

import importlib
import os
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from reflow.executors.batch.base import BatchExecutor
from reflow.executors.contract import Executor
from reflow.testing.executors.bench import Bench
from reflow.testing.executors.on_site import OnSite

_NUMBERS = iter(range(1, 10**9))

_HEAD = """\
import os
import signal
import time
from pathlib import Path
from typing import Annotated

from reflow import Result, RunDir, Workflow

HERE = Path({folder!r})


def did(word):
    with (HERE / "journal").open("a") as file:
        file.write(f"{{word}}\\n")


def wait_for(name):
    end = time.monotonic() + 300
    while not (HERE / name).exists():
        assert time.monotonic() < end, name
        time.sleep(0.05)


"""


@dataclass
class Flows:
    """Flows in files of their own, and a journal of what their tasks did."""

    bench: Bench
    executor: Executor
    """The executor of the runs; it is closed when they are submitted."""
    folder: Path
    runs: list[Any] = field(default_factory=list)

    def submit(self, source: str, **given: Any) -> Any:
        """Write a flow to a file, load it, submit it with what is given, and return its run."""
        name = f"kit_flow_{next(_NUMBERS)}"
        text = _HEAD.format(folder=str(self.folder)) + dedent(source)
        (self.folder / f"{name}.py").write_text(text)
        importlib.invalidate_caches()
        workflow = importlib.import_module(name).wf
        run = workflow.submit(run_dir=self.folder / "run", executor=self.executor, **given)
        self.runs.append(run)
        return run

    def until_over(self, run: Any) -> None:
        """Wait until a run has ended."""
        self.bench.until("the end of the run", lambda: run.state.final)

    @property
    def calls(self) -> Counter[str]:
        """How often each word was written to the journal."""
        journal = self.folder / "journal"
        return Counter(journal.read_text().split() if journal.exists() else [])

    @staticmethod
    def causes(run: Any) -> dict[int | None, str]:
        """Return the causes of failed instances, by index."""
        failed = run.status(as_dict=True)["failed_instances"]
        return {item["index"]: item["cause"] for item in failed}

    def clean_up(self) -> None:
        """Cancel what still runs."""
        for run in self.runs:
            if not run.state.final:
                run.cancel()
            run.store.close()


class WithFlows(OnSite):
    """The base of scenarios of whole runs."""

    @pytest.fixture
    def flows(self, bench: Bench, place: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Flows]:
        """Yield flows whose files, runs and records are in a folder of the scenario's own."""
        for name in [name for name in os.environ if name.startswith("REFLOW_")]:
            monkeypatch.delenv(name)
        folder = place / "flows"
        folder.mkdir()
        monkeypatch.setenv("XDG_CONFIG_HOME", str(folder / "config"))
        monkeypatch.setenv("XDG_STATE_HOME", str(folder / "state"))
        monkeypatch.setenv("REFLOW_DISPATCH_GRACE_SECONDS", "2")
        # A watchdog would hide a follow-up that never starts.
        monkeypatch.setenv("REFLOW_DISPATCH_LAST_WORKER", "false")
        monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
        monkeypatch.setattr(sys, "dont_write_bytecode", True)
        monkeypatch.syspath_prepend(str(folder))
        flows = Flows(bench, self.make_executor(), folder)
        try:
            yield flows
        finally:
            bench.site.mend()
            flows.clean_up()

    def places_taken(self, bench: Bench) -> int:
        """Count the jobs that wait or run."""
        executor = bench.executor
        if not isinstance(executor, BatchExecutor):
            return 0
        return executor.parse_count(executor.ask(executor.count_command()))
