"""Times many short elements on a real Slurm that is started for it, beside dask-jobqueue.

    .venv/bin/python benchmarks/short.py [--peers FOLDER]

Needs root on Debian, as tests/live does. The peer is installed into an environment of its own, in
FOLDER, and is given two jobs of eight processes. Slurm has 16 slots, however many cores there are.
Both are timed from the first line of the script to the last result, alternately, in one run.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.live.daemons import install_packages
from tests.live.slurm_cluster import ACCOUNTING_PACKAGES, PACKAGES, Options, SlurmCluster

FLOW = """
import sys, time
from typing import Annotated
from reflow import Result, Workflow

wf = Workflow("short")

@wf.job
def items(count: int, nap: float) -> list[float]:
    return [nap] * count

@wf.job(array=True, per_job="auto")
def each(nap: Annotated[float, Result(step="items")]) -> int:
    time.sleep(nap)
    return 1

if __name__ == "__main__":
    began = time.time()
    run = wf.submit(executor="slurm", count=int(sys.argv[1]), nap=float(sys.argv[2]), force=True)
    run.wait()
    assert run.state == "SUCCESS", run.state
    print(time.time() - began)
"""
DASK = """
import sys, time
began = time.time()
from dask.distributed import Client
from dask_jobqueue import SLURMCluster

if __name__ == "__main__":
    count, nap = int(sys.argv[1]), float(sys.argv[2])
    cluster = SLURMCluster(cores=8, processes=8, memory="4GB", job_extra_directives=[])
    cluster.scale(jobs=2)
    with Client(cluster) as client:
        futures = client.map(lambda i: time.sleep(nap) or 1, range(count), pure=False)
        assert sum(client.gather(futures)) == count
        print(time.time() - began)
"""
CASES = ((2000, 0.05), (1000, 0.0))


def peer(folder: Path) -> Path:
    """Return the Python of an environment with dask-jobqueue, which is made where it is not."""
    python = folder / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        subprocess.run([python, "-m", "pip", "-q", "install", "dask-jobqueue"], check=True)
    return python


def seconds(
    python: Path, script: str, folder: Path, cluster: SlurmCluster, words: Sequence[str]
) -> float:
    """Return how long a script took, as it says, once nothing is left in the queue."""
    folder.mkdir()
    (folder / "flow.py").write_text(script)
    environment = {
        **os.environ,
        **cluster.environment,
        "REFLOW_STORE": str(folder / "manifest.db"),
    }
    done = subprocess.run(
        [python, "flow.py", *words],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    while cluster.run("squeue", "--noheader").strip():
        time.sleep(0.5)
    return float(done.stdout.split()[-1])


def main() -> None:
    """Print a table of all cases."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", type=Path, default=Path(tempfile.gettempdir()) / "peers")
    parser.add_argument("--times", type=int, default=3)
    given = parser.parse_args()
    install_packages([*PACKAGES, *ACCOUNTING_PACKAGES])
    python = peer(given.peers)
    print("| what | reflow | dask-jobqueue | comes to |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as base:
        cluster = SlurmCluster(Path(base) / "slurm", Options(nodes=2, cpus=8))
        cluster.start()
        try:
            for count, nap in CASES:
                ours, theirs = [], []
                for number in range(given.times):
                    place = Path(base) / f"{count}-{number}"
                    words = (str(count), str(nap))
                    here, there = place.with_suffix(".ours"), place.with_suffix(".theirs")
                    ours.append(seconds(Path(sys.executable), FLOW, here, cluster, words))
                    theirs.append(seconds(python, DASK, there, cluster, words))
                cells = [f"{count} × {nap} s", f"{min(ours):.1f} s", f"{min(theirs):.1f} s"]
                print(f"| {' | '.join(cells)} | {min(ours) / min(theirs):.2f} × |", flush=True)
        finally:
            cluster.stop()


if __name__ == "__main__":
    main()
