"""Times whole runs on a real Slurm that is started for it; prints a table.

    .venv/bin/python benchmarks/live_slurm.py [N ...]

Needs root on Debian, as tests/live does. The work is that of `noop.py`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from reflow.plugins.registry import registry
from reflow.rundir.results import ResultRecord

from tests.live.daemons import install_packages
from tests.live.slurm_cluster import ACCOUNTING_PACKAGES, PACKAGES, Options, SlurmCluster

HERE = Path(__file__).resolve().parent
COUNTS = (10, 100, 1000)
COMMANDS = ("sbatch", "squeue", "sacct", "scancel", "scontrol")

SUBMIT = """
import sys
sys.path.insert(0, {here!r})
from noop import wf
print(wf.submit("run", executor="slurm", count={count}).run_id)
"""


@dataclass(frozen=True)
class Figures:
    """What one run took; times in seconds."""

    count: int
    submit: float
    whole: float
    gaps: list[float]
    calls: Counter[str]


def measure(count: int, cluster: SlurmCluster, folder: Path) -> Figures:
    """Submit a run of so many elements, and wait for its end without asking anything of Slurm."""
    folder.mkdir()
    record = folder / "calls.jsonl"
    environment = {
        **os.environ,
        **cluster.environment,
        "REFLOW_STORE": str(folder / "manifest.db"),
        "REFLOW_EXECUTOR_SLURM_COMMAND_RECORD": str(record),
    }
    began = time.time()
    done = subprocess.run(
        [sys.executable, "-c", SUBMIT.format(here=str(HERE), count=count)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    submitted, run_id = time.time(), done.stdout.split()[-1]
    store = registry().store_for(str(folder / "manifest.db"))
    while not (found := store.run(run_id)).state.final:
        time.sleep(0.2)
    assert found.state == "SUCCESS", found
    # The end is written down before what is left in the queue is cancelled.
    while cluster.run("squeue", "--noheader").strip():
        time.sleep(0.5)
    assert found.finished_at is not None
    return Figures(
        count=count,
        submit=submitted - began,
        whole=found.finished_at.timestamp() - began,
        gaps=gaps_between_stages(folder / "run" / ".reflow" / run_id / "waves"),
        calls=calls(record),
    )


def gaps_between_stages(waves: Path) -> list[float]:
    """From the end of a stage's last element to the moment the next is handed to sbatch."""
    folders = sorted(waves.iterdir(), key=lambda folder: int(folder.name))
    ends = [last_end(folder) for folder in folders]
    handed_over = [(folder / "job.sh").stat().st_mtime for folder in folders]
    return [start - end for end, start in zip(ends, handed_over[1:], strict=False)]


def last_end(wave: Path) -> float:
    """When the last element of a wave ended."""
    files = wave.glob("results/*/*.json")
    return max(ResultRecord.parse(file.read_bytes()).outcome.ended_at or 0.0 for file in files)


def calls(record: Path) -> Counter[str]:
    """Commands of Slurm by name, whichever process of the run called them."""
    return Counter(json.loads(line)["argv"][0] for line in record.read_text().splitlines())


def table(figures: list[Figures]) -> str:
    """The figures as the page shows them."""
    lines = [
        "| N | submit | end to end | between stages | " + " | ".join(COMMANDS) + " |",
        "|---" * (4 + len(COMMANDS)) + "|",
    ]
    for each in figures:
        gaps = ", ".join(f"{gap:.1f} s" for gap in each.gaps)
        counted = " | ".join(str(each.calls[name]) for name in COMMANDS)
        lines.append(
            f"| {each.count:,} | {each.submit:.1f} s | {each.whole:.1f} s | {gaps} | {counted} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Start a cluster, measure, end it."""
    counts = [int(word) for word in sys.argv[1:]] or list(COUNTS)
    install_packages([*PACKAGES, *ACCOUNTING_PACKAGES])
    with tempfile.TemporaryDirectory(prefix="rs-", dir="/tmp") as name:
        cluster = SlurmCluster(Path(name), Options(cpus=4))
        cluster.start()
        try:
            figures = [measure(count, cluster, Path(name) / f"n{count}") for count in counts]
        finally:
            cluster.stop()
    print(table(figures))


if __name__ == "__main__":
    main()
