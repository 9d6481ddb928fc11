"""Where the files of a run lie. The only module that knows their names."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SOURCE_INDEX = "index.json"
"""The entry of a source archive that lists its contents."""
BLOCK = 1000
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
        """The file with one input record per position."""
        return self.directory / "inputs"

    @property
    def scheduler_log(self) -> Path:
        """The log of what jobs printed before workers began, for all elements."""
        # Imported here, as thousands of workers start, which never ask for this path.
        from reflow.model.jobs import LOG_NAME

        return self.directory / LOG_NAME

    @property
    def claims(self) -> Path:
        """The folder of claims: which job runs which position."""
        return self.directory / "claims"

    @property
    def results(self) -> Path:
        """The folder of the results of positions."""
        return self.directory / "results"

    @property
    def called_off(self) -> Path:
        """Exists once nothing of the wave may begin any more, however late its jobs start."""
        return self.directory / "called-off"

    @property
    def over(self) -> Path:
        """Exists once nothing of the wave is left to do while jobs that share it wait still."""
        return self.directory / "over"

    @property
    def submitted_again(self) -> Path:
        """Exists where a submission's answer was lost and the wave was submitted once more.

        The file lists ids of jobs that were cancelled because other jobs do their work.
        """
        return self.directory / "submitted-again"

    @property
    def too_large(self) -> Path:
        """Exists once a pilot has found that the wave's elements ask for more than it has."""
        return self.directory / "too-large"

    @property
    def hosts(self) -> Path:
        """The folder in which hosts record what they are at, where elements share jobs."""
        return self.directory / "hosts"

    @property
    def job_counts(self) -> Path:
        """How many jobs of the wave run and wait, where elements share jobs."""
        return self.directory / "job-counts.json"

    @property
    def long(self) -> Path:
        """Exists once a host has found that elements whose duration was unknown take long."""
        return self.directory / "long"

    @property
    def counters(self) -> Path:
        """The folder of counters, whose link counts tell when the last result is there."""
        return self.directory / "counters"

    def claim_block(self, position: int) -> Path:
        """Return the folder of a position's claims."""
        return self.claims / str(position // BLOCK)

    def has_claim(self, position: int) -> bool:
        """Tell whether somebody has claimed a position."""
        return (self.claim_block(position) / f"{position}.0").exists()

    def result_block(self, position: int) -> Path:
        """Return the folder of a position's result file."""
        return self.results / str(position // BLOCK)


@dataclass(frozen=True, slots=True)
class RunLayout:
    """The files of one run inside its run directory."""

    run_dir: Path
    run_id: str

    @property
    def root(self) -> Path:
        """The folder of all files of reflow's own."""
        return self.run_dir.joinpath(".reflow", self.run_id)

    @property
    def settings(self) -> Path:
        """The settings fixed at submission."""
        return self.root / "run.json"

    @property
    def waves(self) -> Path:
        """The folder of all waves."""
        return self.root / "waves"

    @property
    def source(self) -> Path:
        """The file that names the current source record; a retry writes it anew."""
        return self.root / "source"

    def source_record(self, name: str) -> Path:
        """Return the file of a source record, made at submission or at a retry."""
        return self.root / f"source-{name}.json"

    def source_draft(self, process: int) -> Path:
        """Return the file of a source record that a retrying process drafts, not yet in force."""
        return self.root / f"draft-{process}.json"

    def source_records(self) -> Iterator[str]:
        """Yield the names of all source records that have been in force."""
        for path in self.root.glob("source-*.json"):
            yield path.stem.removeprefix("source-")

    @property
    def provenance(self) -> Path:
        """What the run was submitted with: Python, distributions, commit."""
        return self.root / "provenance.json"

    @property
    def copies(self) -> Path:
        """The folder of copies of the user's own code, shared by the runs of a run directory."""
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
    def clock(self) -> Path:
        """Touched to read the file server's clock."""
        return self.root / "clock"

    @property
    def answers(self) -> Path:
        """What the scheduler has answered and need not be asked again."""
        return self.root / "answers.json"

    @property
    def pilot_counts(self) -> Path:
        """How many of the run's pilots run and wait."""
        return self.root / "pilot-counts.json"

    @property
    def lost_hosts(self) -> Path:
        """The list of hosts with which an element was lost, a host per line."""
        return self.root / "lost-hosts"

    @property
    def files(self) -> Path:
        """Where codecs may keep files that hold parts of values."""
        return self.root / "files"

    @property
    def made_again(self) -> Path:
        """The list of instances that ran again as their values were gone, one per line and run."""
        return self.root / "made-again"

    def values(self, wave: int) -> Path:
        """Return the folder of files that hold many short values, each of one writer of a wave."""
        return self.files / "waves" / str(wave)

    @property
    def dispatch_log(self) -> Path:
        """The log of dispatchers."""
        return self.root / "dispatch.log"

    @property
    def dispatch_trouble(self) -> Path:
        """What the last dispatcher could not use; absent once one could."""
        return self.root / "dispatch-trouble"

    @property
    def signs_of_life(self) -> Path:
        """What the last look has seen of the dispatcher; not written anew while that is so."""
        return self.root / "signs-of-life"

    @property
    def tries(self) -> Path:
        """When dispatchers could not read the run's data; absent once one could."""
        return self.root / "tries"

    @property
    def open_waves(self) -> Path:
        """What pilots are told: which waves they may take elements of, and the run's end."""
        return self.root / "open"

    @property
    def hosts(self) -> Path:
        """The folder in which pilots record what they are at."""
        return self.root / "hosts"

    @property
    def logs(self) -> Path:
        """The folder of the elements' logs, for users."""
        return self.run_dir.joinpath("logs", self.run_id)

    def wave(self, number: int) -> WaveLayout:
        """Return the files of the wave of that number."""
        return WaveLayout(self.waves / str(number))

    def dispatch_job(self, number: int) -> Path:
        """Return the folder of a dispatch job's script."""
        return self.root / "dispatch" / str(number)

    def pilots(self, number: int) -> Path:
        """Return the folder of the pilots that were submitted under that number."""
        return self.root / "pilots" / str(number)

    def too_large(self, task: str) -> Path:
        """Return the file that exists once a task's elements are too large for pilots."""
        return self.root / "pilots" / f"{task}.too-large"

    def vain_pilots(self, number: int) -> Path:
        """Return the file that exists once all of those pilots have ended and none has worked."""
        return self.pilots(number) / "vain.json"

    def pilots_worked(self, number: int) -> Path:
        """Return the file that exists once one of those pilots has run an element."""
        return self.pilots(number) / "worked"

    def watchdog_again(self, number: int) -> Path:
        """Return the file that exists once that watchdog has submitted itself again."""
        from reflow.model.jobs import AGAIN_NAME

        return self.dispatch_job(number) / AGAIN_NAME

    def pool_log(self, worker: str) -> Path:
        """Return where a pool's worker prints until it is known for which element."""
        return self.root / "pool" / f"{worker}.log"

    def scratch(self, task: str) -> Path:
        """Return the folder in which each attempt of a task's instances may have its own folder."""
        return self.root / "scratch" / task

    def log(self, task: str, index: int, attempt: int) -> Path:
        """Return the log of one attempt of an instance."""
        return self.run_dir.joinpath("logs", self.run_id, task, f"{index}.{attempt}.log")
