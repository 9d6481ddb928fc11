"""People at the login node of a cluster: what they write, type, see, and leave in the queue."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from importlib.metadata import entry_points
from pathlib import Path
from textwrap import dedent
from typing import Any

from reflow.model.states import RunState
from reflow.plugins.registry import registry
from reflow.stores.contract import Store

from tests.live.clusters import Cluster, Queued
from tests.live.daemons import wait_for

PATIENCE = 200.0
"""Seconds that a test waits for what must happen; the scheduler itself takes some of them."""

HEAD = """\
import os
import signal
import sys
import time
from pathlib import Path
from typing import Annotated

from reflow import Param, Result, RunDir, TaskInterrupted, Workflow

HERE = Path(__file__).resolve().parent


def did(word: object) -> None:
    with (HERE / "journal").open("a") as file:
        file.write(f"{word}\\n")


def wait_for(name: str) -> None:
    while not (HERE / name).exists():
        time.sleep(0.1)


"""


@dataclass(kw_only=True)
class Person:
    """Somebody with a home and a folder with a flow, who has configured nothing."""

    cluster: Cluster
    folder: Path
    settings: dict[str, str] = field(default_factory=dict)
    """Variables that they have set."""
    runs: list[LiveRun] = field(default_factory=list)
    """Those that they know of."""

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.home = self.folder / "home"
        self.home.mkdir(exist_ok=True)

    @property
    def environment(self) -> dict[str, str]:
        """What their shell has exported."""
        kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        return {
            **kept,
            "HOME": str(self.home),
            "XDG_STATE_HOME": str(self.home / "state"),
            "XDG_CONFIG_HOME": str(self.home / "config"),
            "REFLOW_DISABLE_PLUGINS": ",".join(_all_plugins_but(self.cluster.scheduler)),
            "NO_COLOR": "1",
            "COLUMNS": "200",
            **self.cluster.environment,
            **self.settings,
        }

    @property
    def store(self) -> Store:
        """Their manifest, opened without asking or healing anything."""
        url = self.settings.get("REFLOW_STORE", f"{self.home}/state/reflow/manifest.db")
        return registry().store_for(f"sqlite:///{url}" if "://" not in url else url)

    def write(self, flow: str, name: str = "flow.py") -> Person:
        """Write a flow; what every flow of these tests has stands above it."""
        guard = '\n\nif __name__ == "__main__":\n    wf.cli()\n'
        (self.folder / name).write_text(HEAD + dedent(flow) + guard)
        return self

    def configure(self, text: str) -> None:
        """Write their configuration file."""
        path = self.home / "config" / "reflow" / "config.toml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text))

    def start(self, *words: str, name: str = "flow.py") -> subprocess.Popen[str]:
        """Type a command of the flow, and do not wait for its end."""
        return subprocess.Popen(
            [sys.executable, name, *words],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def types(self, *words: str, code: int = 0, name: str = "flow.py") -> str:
        """Type a command of the flow, and read what it prints."""
        process = self.start(*words, name=name)
        out, err = process.communicate(timeout=PATIENCE)
        assert process.returncode == code, f"{words} ended with {process.returncode}:\n{out}{err}"
        return out + err

    def submits(
        self, *words: str, run_dir: str | Path = "run", name: str = "flow.py", code: int = 0
    ) -> LiveRun:
        """Submit the flow; `code` is what the command ends with."""
        said = self.types("submit", "--run-dir", str(run_dir), *words, name=name, code=code)
        return LiveRun(self, said.split("\n")[0], self.folder / run_dir)

    def ends_all_jobs(self) -> None:
        """Cancel what is left in the queue of the person's runs."""
        if own := {job.job_id for run in self.runs for job in run.queue()}:
            self.cancels(*own, check=False)

    def cancels(self, *native_ids: str, check: bool = True) -> None:
        """Type the scheduler's own command that cancels jobs or elements."""
        self.cluster.run(self.cluster.cancel, *native_ids, check=check)

    def sets(self, name: str, value: object) -> None:
        """Set a variable for the scheduler's executor."""
        self.settings[f"REFLOW_EXECUTOR_{self.cluster.scheduler.upper()}_{name}"] = str(value)

    @property
    def calls(self) -> Counter[str]:
        """How often each word was written to the journal by tasks."""
        journal = self.folder / "journal"
        return Counter(journal.read_text().split("\n")[:-1]) if journal.exists() else Counter()

    def touch(self, name: str) -> None:
        """Make the file that tasks wait for."""
        (self.folder / name).touch()


@dataclass(frozen=True)
class LiveRun:
    """A run that a person has submitted."""

    person: Person
    run_id: str
    run_dir: Path

    def __post_init__(self) -> None:
        self.person.runs.append(self)

    # -- looking on, which moves nothing ---------------------------------------------------
    @property
    def state(self) -> RunState:
        """As recorded."""
        return self.person.store.run(self.run_id).state

    def counts(self, task: str) -> dict[str, int]:
        """How many elements of a task are in each state, as recorded."""
        known = self.person.store.counts(self.run_id).get(task, {})
        return {str(state): number for state, number in known.items() if number}

    def ends(self, state: RunState = RunState.SUCCESS, seconds: float = PATIENCE) -> None:
        """Wait for the run's end without touching it, and see that it left nothing behind."""
        self.until(lambda: self.state.final, f"the end of {self.run_id}", seconds)
        assert self.state is state, self.told()
        self.leaves_nothing()

    def leaves_nothing(self) -> None:
        """See that none of the run's jobs is in the queue, but one that is just ending."""
        self.until(lambda: not self.queue(), f"an empty queue after {self.run_id}", 30)

    def until(self, condition: Callable[[], bool], what: str, seconds: float = PATIENCE) -> None:
        """Wait; where it was in vain, say all there is to know."""
        try:
            wait_for(what, condition, seconds)
        except RuntimeError as error:
            raise AssertionError(f"{error}\n{self.told()}") from error

    def told(self) -> str:
        """What is known of the run."""
        log = self.run_dir / ".reflow" / self.run_id / "dispatch.log"
        more = log.read_text()[-4000:] if log.exists() else ""
        queue = "\n".join(map(str, self.queue()))
        said = self.person.start("status", self.run_id, "--errors").communicate(timeout=60)
        return f"{''.join(said)}\n{queue}\n{more}"

    def queue(self, word: str = "") -> list[Queued]:
        """The run's jobs that wait or run; only those named by a word, if one is given."""
        mark = f"-{sha256(self.run_id.encode()).hexdigest()[:10]}-"
        jobs = self.person.cluster.queue()
        return [job for job in jobs if mark in job.name and job.name.startswith(word)]

    def running(self, task: str) -> list[Queued]:
        """The jobs of a task that run."""
        return [job for job in self.queue(f"{task}-") if job.state == "RUNNING"]

    def native_ids(self, kind: str) -> list[str]:
        """Ids of all the run's submissions of a kind: wave, follow_up or watchdog."""
        records = self.person.store.submissions(self.run_id, open_only=False)
        return [
            native_id
            for record in records
            if record.kind.name.lower() == kind
            for native_id in record.native_ids
        ]

    def result(self, task: str) -> Any:
        """What a task returned, as another process of the person's reads it."""
        read = (
            "import json, sys; from reflow.run import open_run; "
            "print(json.dumps(open_run(sys.argv[1]).result(sys.argv[2])))"
        )
        return json.loads(self.person.types(self.run_id, task, name=f"-c{read}"))

    @property
    def scripts(self) -> list[Path]:
        """The rendered scripts of waves."""
        return sorted(self.run_dir.glob(f".reflow/{self.run_id}/waves/*/job.sh"))

    # -- what befalls it ---------------------------------------------------------------------
    def kills(self, module: str, last_word: str) -> None:
        """Kill the run's processes of a module of the engine from outside the scheduler."""
        for entry in Path("/proc").iterdir():
            with suppress(OSError):
                words = (entry / "cmdline").read_bytes().decode().split("\0")[:-1]
                wanted = {module, self.run_id}
                if wanted <= set(words) and words[-1] == last_word:
                    os.kill(int(entry.name), signal.SIGKILL)

    # -- what people do ----------------------------------------------------------------------
    def status(self, *words: str) -> dict[str, Any]:
        """Ask how it stands."""
        printed = self.person.types("status", self.run_id, "--json")
        # Warnings may follow: they go to the error output.
        said: dict[str, Any] = json.JSONDecoder().raw_decode(printed)[0]
        return said

    def failures(self) -> Mapping[tuple[str, int | None], tuple[str, str]]:
        """Cause and error of everything that failed, by task and index."""
        return {
            (item["task"], item["index"]): (item["cause"], item["error"])
            for item in self.status()["failed_instances"]
        }

    def retries(self, *words: str) -> str:
        """Type retry."""
        return self.person.types("retry", self.run_id, *words)


def _all_plugins_but(scheduler: str) -> list[str]:
    """Plugins that the person has not installed: all but the core and that for a scheduler."""
    names = {entry.dist.name for entry in entry_points(group="reflow") if entry.dist is not None}
    return sorted(names - {"reflow-core", f"reflow-{scheduler}"})


def interrupt(process: subprocess.Popen[str]) -> tuple[str, str]:
    """Press Ctrl-C, and read what was printed."""
    process.send_signal(signal.SIGINT)
    return process.communicate(timeout=30)
