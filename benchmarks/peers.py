"""What is measured beside reflow: other tools in an environment of their own, and their scripts.

Each script prints the seconds from its first line to its last result.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PACKAGES = ("dask-jobqueue", "parsl", "hyperqueue")

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
DASK_CHAIN = """
import sys, time
began = time.time()
from dask.distributed import Client
from dask_jobqueue import SLURMCluster

if __name__ == "__main__":
    stages, width, nap = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    cluster = SLURMCluster(cores=8, processes=8, memory="4GB", job_extra_directives=[])
    cluster.scale(jobs=2)
    with Client(cluster) as client:
        values = range(width)
        for stage in range(stages):
            values = client.map(lambda i: time.sleep(nap) or i, values, pure=False)
        assert client.gather(values) == list(range(width))
        print(time.time() - began)
"""
PARSL = """
import sys, time
began = time.time()
import parsl
from parsl.config import Config
from parsl.executors import HighThroughputExecutor
from parsl.providers import SlurmProvider

@parsl.python_app
def nothing(number):
    return number

if __name__ == "__main__":
    count = int(sys.argv[1])
    provider = SlurmProvider(
        partition="main", nodes_per_block=1, cores_per_node=1, init_blocks=2, max_blocks=2,
        exclusive=False, walltime="00:30:00", worker_init=f"export PATH={sys.prefix}/bin:$PATH",
    )
    executor = HighThroughputExecutor(
        label="htex", address="127.0.0.1", max_workers_per_node=1, provider=provider
    )
    with parsl.load(Config(executors=[executor], strategy="none")):
        futures = [nothing(number) for number in range(count)]
        assert [each.result() for each in futures] == list(range(count))
        print(time.time() - began, flush=True)
"""
HYPERQUEUE = """
import sys, time
began = time.time()
from hyperqueue import Job, LocalCluster
from hyperqueue.cluster import WorkerConfig

def nothing(number):
    return number

if __name__ == "__main__":
    count = int(sys.argv[1])
    with LocalCluster() as cluster:
        for worker in range(2):
            cluster.start_worker(WorkerConfig(cores=1))
        client = cluster.client()
        job = Job()
        for number in range(count):
            job.function(nothing, args=(number,))
        client.wait_for_jobs([client.submit(job)])
        print(time.time() - began, flush=True)
"""


def environment(folder: Path) -> Path:
    """Return the Python of an environment with the peers, which is made where it is not."""
    python = folder / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        subprocess.run([python, "-m", "pip", "-q", "install", *PACKAGES], check=True)
    return python
