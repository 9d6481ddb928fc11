"""Where everything of a run lies. The only place that knows a file's name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

BLOCK = 1000
SOURCE_INDEX = "index.json"
"""The entry of a source archive that tells what is in it."""
"""Positions whose claims share a folder, and so their results: file servers are slow where
thousands of hosts write to the same one."""


@dataclass(frozen=True, slots=True)
class WaveLayout:
    """The files of one wave."""

    directory: Path

    @property
    def number(self) -> int:
        """The wave's number in its run."""
        return int(self.directory.name)

    @property
    def spec(self) -> Path:
        """What every element of the wave shares."""
        return self.directory / "spec.json"

    @property
    def inputs(self) -> Path:
        """One record per position."""
        return self.directory / "inputs"

    @property
    def scheduler_log(self) -> Path:
        """What was printed before workers began, by all elements."""
        # Workers never ask; they start by the thousand, and need nothing else of that module.
        from reflow.model.jobs import LOG_NAME

        return self.directory / LOG_NAME

    @property
    def claims(self) -> Path:
        """Who runs which position."""
        return self.directory / "claims"

    @property
    def results(self) -> Path:
        """What positions ended with."""
        return self.directory / "results"

    @property
    def called_off(self) -> Path:
        """Exists once nothing of the wave may begin any more, however late its jobs come."""
        return self.directory / "called-off"

    @property
    def submitted_again(self) -> Path:
        """Exists where the answer to a submission was lost, and the wave submitted once more.

        In it stand ids of jobs that were cancelled as others do their work.
        """
        return self.directory / "submitted-again"

    @property
    def counters(self) -> Path:
        """Link counts by which the last of a block knows that it is the last."""
        return self.directory / "done"

    def claim_block(self, position: int) -> Path:
        """The folder of a position's claims."""
        return self.claims / str(position // BLOCK)

    def result_block(self, position: int) -> Path:
        """The folder of a position's result file."""
        return self.results / str(position // BLOCK)


@dataclass(frozen=True, slots=True)
class RunLayout:
    """The files of one run inside its run directory."""

    run_dir: Path
    run_id: str

    @property
    def root(self) -> Path:
        """Everything that is reflow's own."""
        return self.run_dir.joinpath(".reflow", self.run_id)

    @property
    def settings(self) -> Path:
        """What was fixed at submission."""
        return self.root / "run.json"

    @property
    def waves(self) -> Path:
        """The folder of all waves."""
        return self.root / "waves"

    @property
    def source(self) -> Path:
        """The name of what the tasks count by now; a retry writes it anew."""
        return self.root / "source"

    def source_record(self, name: str) -> Path:
        """What the tasks counted by at submission, or at a retry."""
        return self.root / f"source-{name}.json"

    def source_draft(self, process: int) -> Path:
        """What a process that retries has taken, and nothing counts by yet."""
        return self.root / f"draft-{process}.json"

    def source_records(self) -> Iterator[str]:
        """The names of all that the tasks have counted by."""
        for path in self.root.glob("source-*.json"):
            yield path.stem.removeprefix("source-")

    @property
    def copies(self) -> Path:
        """Copies of the user's own code, which the runs of a run directory share."""
        return self.run_dir / ".reflow" / "source"

    @property
    def cancelled(self) -> Path:
        """Exists once the whole run is cancelled; workers look before they start."""
        return self.root / "cancelled"

    @property
    def ended(self) -> Path:
        """Exists once the run has ended: watchdogs that find it submit no others."""
        return self.root / "ended"

    @property
    def probe(self) -> Path:
        """Touched to read the file server's clock."""
        return self.root / "clock"

    @property
    def lost_hosts(self) -> Path:
        """A host per line: with it, an element was lost."""
        return self.root / "lost-hosts"

    @property
    def files(self) -> Path:
        """Where codecs may keep files that hold parts of values."""
        return self.root / "files"

    @property
    def dispatch_log(self) -> Path:
        """What dispatchers have to say."""
        return self.root / "dispatch.log"

    @property
    def dispatch_trouble(self) -> Path:
        """What the last dispatcher could not use; not there once one could."""
        return self.root / "dispatch-trouble"

    @property
    def tries(self) -> Path:
        """When dispatchers could not read the run's data; not there once one could."""
        return self.root / "tries"

    @property
    def logs(self) -> Path:
        """What people look at."""
        return self.run_dir.joinpath("logs", self.run_id)

    def wave(self, number: int) -> WaveLayout:
        """The files of the wave of that number."""
        return WaveLayout(self.waves / str(number))

    def dispatch_job(self, number: int) -> Path:
        """The folder of a dispatch job's script."""
        return self.root / "dispatch" / str(number)

    def watchdog_mark(self, number: int) -> Path:
        """Exists once the watchdog of that number has submitted itself again."""
        from reflow.model.jobs import AGAIN_NAME

        return self.dispatch_job(number) / AGAIN_NAME

    def pool_log(self, worker: int) -> Path:
        """Where a pool's worker prints until it is known which element it was."""
        return self.root / "pool" / f"{worker}.log"

    def scratch(self, task: str) -> Path:
        """Where each attempt of a task's instances may have a folder of its own."""
        return self.root / "scratch" / task

    def log(self, task: str, index: int, attempt: int) -> Path:
        """The log of one attempt of an instance."""
        return self.run_dir.joinpath("logs", self.run_id, task, f"{index}.{attempt}.log")
