"""What a dispatch job takes by itself, for a flow that imports much and for one that does not.

    .venv/bin/python benchmarks/dispatch_jobs.py

Dispatch jobs of a run that waits on a paused fake Slurm are started one after the other, and
besides them processes that load the flow, which is what dispatch jobs would do if they needed it.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from tests.fakes import fake_of  # noqa: E402 (below the checkout, which is no package)

USED = re.compile(r"used ([\d.]+) s of CPU")
TIMES = 5
FLOWS = {"nothing": "", "numpy and pandas": "import numpy, pandas"}
FLOW = """
{imports}
from reflow import Workflow
wf = Workflow("measured")
@wf.job()
def task(x: int = 1) -> int:
    return x
if __name__ == "__main__":
    print(wf.submit(executor="slurm", run_dir="run").run_id)
"""
LOAD = """
import os, sys
from pathlib import Path
from reflow.rundir.run_settings import read_settings
from reflow.runs.open_dispatcher import load_graph
load_graph(read_settings(Path("run").absolute(), sys.argv[1]))
print(sum(os.times()[:2]))
"""


def measure(imports: str, folder: Path) -> tuple[float, float]:
    """Seconds of CPU of a dispatch job, and of a process that loads the flow; the best of some."""
    (folder / "fake").mkdir(parents=True)
    (folder / "flow.py").write_text(FLOW.format(imports=imports))
    with fake_of("slurm", folder / "fake") as fake:
        fake.pause()
        environment = {**os.environ, **fake.environment, "REFLOW_STORE": str(folder / "db")}

        def python(*words: str) -> str:
            ended = subprocess.run(
                [sys.executable, *words],
                cwd=folder,
                env=environment,
                stdout=subprocess.PIPE,
                text=True,
                check=True,
            )
            return ended.stdout

        run_id = python("flow.py").split()[-1]
        for _ in range(TIMES):
            python("-P", "-m", "reflow.runs.dispatch_job", str(folder / "run"), run_id)
        log = (folder / "run/.reflow" / run_id / "dispatch.log").read_text()
        loaded = min(float(python("-c", LOAD, run_id)) for _ in range(TIMES))
        return min(map(float, USED.findall(log))), loaded


def main() -> None:
    """Measure each flow, and print a table."""
    print("| the flow imports | dispatch job | a process that loads the flow |\n|---|---|---|")
    with tempfile.TemporaryDirectory() as name:
        for number, (what, imports) in enumerate(FLOWS.items()):
            job, loaded = measure(imports, Path(name) / str(number))
            print(f"| {what} | {job:.2f} s | {loaded:.2f} s |", flush=True)


if __name__ == "__main__":
    main()
