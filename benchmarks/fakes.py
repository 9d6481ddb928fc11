"""Counts the commands of whole runs on the fake schedulers, and reflow's own time; prints a table.

    .venv/bin/python benchmarks/fakes.py [N] [SCHEDULER ...]

The work is that of `noop.py`. The fakes really run every element as a process.
"""

from __future__ import annotations

import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from reflow.plugins.registry import registry

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from tests.fakes import fake_of  # noqa: E402 (below the checkout, which is no package)

ALL = ("slurm", "pbs", "sge", "lsf", "flux")
USED = re.compile(r"used ([\d.]+) s of CPU")

SUBMIT = """
import sys
sys.path.insert(0, {here!r})
from noop import wf
print(wf.submit("run", executor={executor!r}, count={count}).run_id)
"""


@dataclass(frozen=True)
class Figures:
    """What one run took; times in seconds of CPU, but for the whole."""

    scheduler: str
    calls: Counter[str]
    submit: float
    dispatch: float
    dispatchers: int
    whole: float


def measure(scheduler: str, count: int, folder: Path) -> Figures:
    """Submit a run of so many elements to a fake, and wait for its end."""
    (folder / "fake").mkdir(parents=True)
    with fake_of(scheduler, folder / "fake") as fake:
        store_url = str(folder / "manifest.db")
        environment = {**os.environ, **fake.environment, "REFLOW_STORE": store_url}
        began = time.monotonic()
        before = _cpu_of_children()
        submitted = subprocess.run(
            [
                sys.executable,
                "-c",
                SUBMIT.format(here=str(HERE), executor=scheduler, count=count),
            ],
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        submit = _cpu_of_children() - before
        run_id = submitted.stdout.split()[-1]
        with closing(registry().store_for(store_url)) as store:
            while not (found := store.run(run_id)).state.final:
                time.sleep(0.2)
        assert found.state == "SUCCESS", found
        whole = time.monotonic() - began
        fake.wait_until_idle()
        used = USED.findall((folder / "run/.reflow" / run_id / "dispatch.log").read_text())
        return Figures(
            scheduler=scheduler,
            calls=Counter(call.name for call in fake.calls),
            submit=submit,
            dispatch=sum(map(float, used)),
            dispatchers=len(used),
            whole=whole,
        )


def _cpu_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def row(figures: Figures) -> str:
    """The figures as the page shows them."""
    calls = ", ".join(f"{name} {number}" for name, number in sorted(figures.calls.items()))
    return (
        f"| {figures.scheduler} | {calls} | {figures.submit:.1f} s | {figures.dispatch:.1f} s "
        f"in {figures.dispatchers} | {figures.whole:.0f} s |"
    )


def main() -> None:
    """Measure one scheduler after the other."""
    words = sys.argv[1:]
    count = int(words.pop(0)) if words and words[0].isdigit() else 1000
    print(f"prepare → {count:,} → gather\n")
    print("| scheduler | commands | CPU of submit | CPU of dispatchers | end to end |")
    print("|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as name:
        for scheduler in words or ALL:
            print(row(measure(scheduler, count, Path(name) / scheduler)), flush=True)


if __name__ == "__main__":
    main()
