"""Measures what reflow costs, beside the machine's floor in the same run, and prints a table.

    python benchmarks/run.py [--small]

The floor is the same number of calls through a bare process pool and one database transaction
(`floor.py`). Every figure is the best of several runs; those of 100,000 elements are of one run.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
SMALL, LARGE = 10_000, 100_000
REPEATS = 3
STARTS = 15
"""Process starts that are timed; the fastest counts."""


@dataclass(frozen=True)
class Cost:
    """What a process took."""

    seconds: float
    cpu: float
    """Seconds of processor time, children included: what a busy machine does not change."""
    peak: int
    """Bytes of the process itself, its children apart."""


@dataclass(frozen=True)
class Row:
    """A line of the table. What is measured must not be more than `reach`."""

    what: str
    measured: str
    beside: str
    value: float
    reach: float
    unit: str = "×"

    def __str__(self) -> str:
        verdict = "yes" if self.value <= self.reach else "**no**"
        cells = [
            self.what,
            self.measured,
            self.beside,
            f"{self.value:.2f} {self.unit}",
            f"{self.reach:g} {self.unit}",
            verdict,
        ]
        return f"| {' | '.join(cells)} |"


def cost(*words: str) -> Cost:
    """Run a Python command to its end, in the current folder with a home there."""
    environment = {"HOME": str(Path.cwd()), "PATH": os.environ["PATH"]}
    start = time.perf_counter()
    process = subprocess.Popen([sys.executable, *words], env=environment, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, f"{words} ended with {process.returncode}"
    # ru_maxrss is in KiB on Linux: getrusage(2).
    return Cost(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)


def printed(*words: str) -> str:
    """What a Python command prints, run in the same way."""
    environment = {"HOME": str(Path.cwd()), "PATH": os.environ["PATH"]}
    command = [sys.executable, *words]
    return subprocess.run(
        command, env=environment, stdout=subprocess.PIPE, text=True, check=True
    ).stdout


@contextmanager
def fresh_folder() -> Iterator[Path]:
    """A folder of its own to work in, removed afterwards."""
    before = Path.cwd()
    with tempfile.TemporaryDirectory(prefix="reflow-benchmark-") as folder:
        os.chdir(folder)
        try:
            yield Path(folder)
        finally:
            os.chdir(before)


@dataclass(frozen=True)
class Runs:
    """The floor, a run, the same again from the cache, and single steps, for one size."""

    floor: Cost
    run: Cost
    cached: Cost
    steps: dict[str, float]


def measure(count: int, repeats: int) -> Runs:
    floors, runs, cached, steps = [], [], [], []
    for _ in range(repeats):
        with fresh_folder():
            floors.append(cost(str(HERE / "floor.py"), str(count)))
            runs.append(cost(str(HERE / "noop.py"), str(count)))
            cached.append(cost(str(HERE / "noop.py"), str(count)))
            status = json.loads(printed(str(HERE / "status.py")))
        with fresh_folder():
            steps.append(json.loads(printed(str(HERE / "steps.py"), str(count))))
            steps[-1]["status"] = status

    def quickest(costs: list[Cost]) -> Cost:
        return min(costs, key=lambda each: each.seconds)

    best = {name: min(each[name] for each in steps) for name in steps[0]}
    return Runs(quickest(floors), quickest(runs), quickest(cached), best)


def size_rows(runs: Runs, count: int) -> Iterator[Row]:
    """How one size stands against its floor."""
    steps = runs.steps
    for what, seconds, cpu, reach in (
        ("elements, `run_local(max_workers=2)`", runs.run.seconds, runs.run.cpu, 1.0),
        ("elements again, all from cache", runs.cached.seconds, runs.cached.cpu, 0.25),
        ("elements: dispatch step, submitting", steps["dispatch"], steps["dispatch_cpu"], 0.25),
        ("elements: dispatch step, ingesting", steps["ingest"], steps["ingest_cpu"], 0.5),
    ):
        yield Row(
            f"{count:,} {what}",
            f"{seconds:.2f} s (CPU {cpu:.2f} s)",
            f"floor {runs.floor.seconds:.2f} s (CPU {runs.floor.cpu:.2f} s)",
            seconds / runs.floor.seconds,
            reach,
        )


def growth_rows(small: Runs, large: Runs) -> Iterator[Row]:
    """How ten times as much stands against one time as much."""
    for what, before, after in (
        ("run", small.run.seconds, large.run.seconds),
        ("from cache", small.cached.seconds, large.cached.seconds),
        ("dispatch step", small.steps["dispatch"], large.steps["dispatch"]),
        ("ingest", small.steps["ingest"], large.steps["ingest"]),
    ):
        what = f"{LARGE:,} elements against {SMALL:,}: {what}"
        yield Row(what, f"{after:.2f} s", f"{before:.2f} s", after / before, 11)
    for what, peak in (
        ("run", large.run.peak),
        ("from cache", large.cached.peak),
        ("dispatch and ingest", int(large.steps["peak"])),
    ):
        megabytes = peak / 1e6
        yield Row(f"{LARGE:,} elements: peak memory, {what}", "", "", megabytes, 300, "MB")
    status = large.steps["status"]
    yield Row(f"`status` of a run of {LARGE:,} elements", "", "", status, 0.2, "s")


def start_rows(worker: float) -> Iterator[Row]:
    """How long processes take to start."""
    bare = min(cost("-c", "pass").seconds for _ in range(STARTS))
    for what, reach in (
        ("import reflow", 2.5),
        ("from reflow import Workflow, Result, RunDir, Param", 4.5),
    ):
        seconds = min(cost("-c", what).seconds for _ in range(STARTS))
        yield _start(f"`{what}`", seconds, bare, reach)
    yield _start("worker process of one element", worker, bare, 6)


def _start(what: str, seconds: float, bare: float, reach: float) -> Row:
    return Row(
        what, f"{1000 * seconds:.0f} ms", f"`pass` {1000 * bare:.0f} ms", seconds / bare, reach
    )


def machine() -> str:
    """What the figures were measured on."""
    processor = platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        processor = names[0].partition(":")[2].strip() if names else processor
    versions = f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}"
    return f"{os.cpu_count()} × {processor}, {platform.system()} {platform.release()}, {versions}"


def commit() -> str:
    """Which reflow was measured."""
    described = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        cwd=HERE,
        capture_output=True,
        text=True,
        check=False,
    )
    return described.stdout.strip() or "unknown"


def main() -> None:
    parser = argparse.ArgumentParser(description="Print what reflow costs on this machine.")
    parser.add_argument("--small", action="store_true", help=f"leave {LARGE:,} elements out")
    arguments = parser.parse_args()
    print(f"Commit {commit()}; {machine()}.\n")
    print("| what | measured | beside | comes to | reach | reached |")
    print("|---|---|---|---|---|---|")
    with fresh_folder():
        small = measure(SMALL, REPEATS)
        rows = [*size_rows(small, SMALL)]
        if not arguments.small:
            rows += growth_rows(small, measure(LARGE, 1))
        rows += start_rows(small.steps["worker"])
    for row in rows:
        print(row)


if __name__ == "__main__":
    main()
