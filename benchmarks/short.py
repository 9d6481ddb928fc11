"""Times many short elements on a real Slurm that is started for it, beside peers; prints a table.

    .venv/bin/python benchmarks/short.py [CASE ...] [--times N] [--peers FOLDER]

Needs root on Debian, as tests/live does. The peers are installed into an environment of their own,
in FOLDER. Slurm has 16 slots, however many cores there are. All contenders of a case take turns,
and are timed from the first line of their script to the last result.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import peers

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.live.daemons import install_packages
from tests.live.slurm_cluster import ACCOUNTING_PACKAGES, PACKAGES, Options, SlurmCluster

HERE = Path(__file__).resolve().parent
SHORT, CHAIN = HERE / "short_flow.py", HERE / "chain_flow.py"
SLURM_TWO_PILOTS = ("slurm", "2", "8")
SLURM_TWO_CORES = ("slurm", "2", "1")


@dataclass(frozen=True)
class Bench:
    """Where scripts run, and with which Python those of the peers."""

    cluster: SlurmCluster
    folder: Path
    peers: Path

    def script(self, text: str, *words: str, python: Path | None = None) -> str:
        """Return what a script prints last, run in a folder of its own, once the queue is empty."""
        place = Path(tempfile.mkdtemp(dir=self.folder))
        (place / "flow.py").write_text(text)
        return self.again(place, *words, python=python)

    def again(self, place: Path, *words: str, python: Path | None = None) -> str:
        """Return what the script of a folder prints last."""
        python = python or Path(sys.executable)
        environment = {
            **os.environ,
            **self.cluster.environment,
            "PATH": f"{python.parent}:{os.environ['PATH']}",
            "REFLOW_STORE": str(place / "manifest.db"),
            "REFLOW_EXECUTOR_SLURM_COMMAND_RECORD": str(place / "commands.jsonl"),
        }
        done = subprocess.run(
            [python, "flow.py", *words],
            cwd=place,
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        while self.cluster.run("squeue", "--noheader").strip():
            time.sleep(0.2)
        return done.stdout.splitlines()[-1]

    def flow(self, *words: str) -> float:
        """Return the seconds of the flow of short elements."""
        return float(self.script(SHORT.read_text(), *words))

    def flow_with_history(self, *words: str) -> float:
        """Return the seconds of the flow where durations of its elements are known."""
        place = Path(tempfile.mkdtemp(dir=self.folder))
        (place / "flow.py").write_text(SHORT.read_text())
        self.again(place, *words)
        return float(self.again(place, *words))

    def commands(self, *words: str) -> float:
        """Return how many commands of the scheduler a run takes."""
        place = Path(tempfile.mkdtemp(dir=self.folder))
        (place / "flow.py").write_text(SHORT.read_text())
        self.again(place, *words)
        return len((place / "commands.jsonl").read_text().splitlines())

    def processor_time(self, *words: str) -> float:
        """Return the CPU seconds of a run: of the script and what it starts, and of all jobs."""
        since = time.strftime("%Y-%m-%dT%H:%M:%S")
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        self.flow(*words)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        # Accounting is told of a job's end a moment after the queue.
        time.sleep(3)
        shown = self.cluster.run("sacct", "-n", "-P", "-S", since, "-o", "JobID,TotalCPU")
        jobs = [line.split("|") for line in shown.splitlines() if ".batch|" in line]
        here = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return here + sum(clock_seconds(used) for _, used in jobs)

    def chain(self, stages: int, width: int, nap: float) -> tuple[float, list[float]]:
        """Return the seconds of a chain in two pilots of eight cores, and its gaps."""
        text = CHAIN.read_text().replace("= 3, 200", f"= {stages}, {width}")
        seconds, gaps = json.loads(self.script(text, str(nap), "8"))
        return seconds, gaps

    def peer(self, text: str, *words: str) -> float:
        """Return the seconds of a peer's script."""
        return float(self.script(text, *words, python=self.peers))

    def empty_job(self) -> float:
        """Return the seconds from `sbatch` to the end of two jobs of one core that do nothing."""
        began = time.time()
        words = ("--array=0-1", "--cpus-per-task=1", "--output=/dev/null", "--wrap=true")
        self.cluster.run("sbatch", "--wait", *words, timeout=600)
        return time.time() - began


def clock_seconds(text: str) -> float:
    """Read what Slurm prints of a span: `[[DD-]HH:]MM:SS[.mmm]`."""
    days, _, clock = text.rpartition("-")
    seconds = 86400.0 * int(days or 0)
    for power, part in enumerate(reversed(clock.split(":"))):
        seconds += 60**power * float(part)
    return seconds


Contenders = Mapping[str, Callable[[Bench], float]]
CASES: Mapping[str, Contenders] = {
    "2,000 × 50 ms": {
        "packs without history": lambda bench: bench.flow("2000", "0.05", "slurm"),
        "packs with history": lambda bench: bench.flow_with_history("2000", "0.05", "slurm"),
        "pilots": lambda bench: bench.flow("2000", "0.05", *SLURM_TWO_PILOTS),
        "dask-jobqueue": lambda bench: bench.peer(peers.DASK, "2000", "0.05"),
    },
    "1,000 no-ops": {
        "packs": lambda bench: bench.flow("1000", "0", "slurm"),
        "dask-jobqueue": lambda bench: bench.peer(peers.DASK, "1000", "0"),
    },
    "3 stages of 200 × 50 ms": {
        "pilots": lambda bench: bench.chain(3, 200, 0.05)[0],
        "dask-jobqueue": lambda bench: bench.peer(peers.DASK_CHAIN, "3", "200", "0.05"),
    },
    "10,000 no-ops, two pilots of one core": {
        "an empty job of that shape": Bench.empty_job,
        "pilots": lambda bench: bench.flow("10000", "0", *SLURM_TWO_CORES),
        "run --max-workers 2": lambda bench: bench.flow("10000", "0", "run:2"),
        "Parsl": lambda bench: bench.peer(peers.PARSL, "10000"),
        "HyperQueue, 100 of them": lambda bench: bench.peer(peers.HYPERQUEUE, "100"),
    },
    "between 20 stages of 16 no-ops, median": {
        "pilots": lambda bench: median(bench.chain(20, 16, 0)[1]),
    },
    "submit --executor local, 2,000 × 50 ms, 8 workers": {
        "local": lambda bench: bench.flow("2000", "0.05", "local"),
        "run --max-workers 8": lambda bench: bench.flow("2000", "0.05", "run:8"),
    },
    "submit --executor local, 1,000 no-ops, 8 workers": {
        "local": lambda bench: bench.flow("1000", "0", "local"),
        "run --max-workers 8": lambda bench: bench.flow("1000", "0", "run:8"),
    },
    "CPU of 10,000 no-ops": {
        "packs": lambda bench: bench.processor_time("10000", "0", "slurm"),
        "pilots": lambda bench: bench.processor_time("10000", "0", *SLURM_TWO_CORES),
        "run --max-workers 2": lambda bench: bench.processor_time("10000", "0", "run:2"),
    },
    "scheduler commands of 10,000 no-ops": {
        "packs": lambda bench: bench.commands("10000", "0", "slurm"),
        "pilots": lambda bench: bench.commands("10000", "0", *SLURM_TWO_PILOTS),
    },
}


def rows(case: str, bench: Bench, times: int) -> Iterator[str]:
    """Let the contenders of a case take turns, and say how each did, and how busy it was."""
    contenders = CASES[case]
    found: dict[str, list[float]] = {name: [] for name in contenders}
    load = []
    for _ in range(times):
        for name, measure in contenders.items():
            found[name].append(measure(bench))
            load.append(os.getloadavg()[0])
    for name, values in found.items():
        each = ", ".join(f"{value:.2f}" for value in values)
        busy = f"{min(load):.0f} to {max(load):.0f}"
        yield f"| {case} | {name} | {min(values):.2f} | {each} | {busy} |"


@contextmanager
def started_cluster(folder: Path) -> Iterator[SlurmCluster]:
    """Bring a Slurm of 16 slots up, and down again."""
    install_packages([*PACKAGES, *ACCOUNTING_PACKAGES])
    cluster = SlurmCluster(folder / "slurm", Options(nodes=2, cpus=8))
    cluster.start()
    try:
        yield cluster
    finally:
        cluster.stop()


def main(words: Sequence[str]) -> None:
    """Print a table of all cases, or of those that are named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", nargs="*", default=[*CASES], metavar="CASE", help="part of a name")
    parser.add_argument("--peers", type=Path, default=Path(tempfile.gettempdir()) / "peers")
    parser.add_argument("--times", type=int, default=3)
    given = parser.parse_args(words)
    python = peers.environment(given.peers)
    os.environ["REFLOW_EXECUTOR_LOCAL_SLOTS"] = "8"
    print("| what | by | best | each | load |\n|---|---|---|---|---|")
    with (
        tempfile.TemporaryDirectory(prefix="rb-", dir="/tmp") as name,
        started_cluster(Path(name)) as cluster,
    ):
        bench = Bench(cluster, Path(name), python)
        for case in CASES:
            if any(part in case for part in given.cases):
                for row in rows(case, bench, given.times):
                    print(row, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
