"""Times the start of a host and of a pilot, up to the begin of their first element; prints a table.

    python hosts.py [TIMES]

An executor that does nothing takes the jobs. Then their commands are run here, and ended as soon as
an element has begun. Each takes turns with `python -c pass`, and the quickest of each counts.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

from reflow import Pilots, Result, Workflow
from reflow.model.jobs import JobHandle, JobRequest

wf = Workflow("hosts")
COUNT = 100
DEADLINE = 60.0


@wf.job()
def begin(count: int = COUNT) -> list[int]:
    Path("began").write_text(str(time.time()))
    return list(range(count))


@wf.job(array=True, per_job=COUNT // 2)
def each(number: Annotated[int, Result(step="begin")]) -> int:
    began = Path("began")
    if not began.exists():
        began.write_text(str(time.time()))
    return number


def first_job(pilots: Pilots | None) -> Sequence[str]:
    """Submit a run in this folder; return the command of its first host or pilot."""
    import steps
    from reflow.dispatch.lease import take
    from reflow.rundir.results import publish
    from reflow.rundir.run_settings import read_settings
    from reflow.runs.driver import Command, drive
    from reflow.runs.open_dispatcher import open_dispatcher

    class Recording(steps.Nothing):
        """An executor that remembers what it was to run."""

        asked: list[JobRequest] = []  # noqa: RUF012

        def _accept(self, request: JobRequest) -> JobHandle:
            self.asked.append(request)
            return super()._accept(request)

    executor, store = Recording(), Path.cwd() / "manifest.db"
    run = wf.submit(Path.cwd() / "run", executor=executor, pilots=pilots, store=store)
    if pilots is None:
        settings = read_settings(run.run_dir, run.run_id)
        [record] = [one for one in run.store.submissions(run.run_id) if one.task == "begin"]
        publish(settings.layout.wave(record.number), steps.result(0, list(range(COUNT))), "0")
        lease = take(run.store, run.run_id)
        assert lease is not None
        drive(open_dispatcher(run.store, settings, lease, executor), Command())
    kind = "reflow.execution.pool." + ("host" if pilots is None else "pilot")
    request = next(one for one in executor.asked if kind in one.command)
    return [*request.command, *([] if request.size is None else ["0"])]


def start(pilots: Pilots | None) -> float:
    """Return the seconds from the start of a host or pilot to the begin of its first element."""
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        command = first_job(pilots)
        began = Path("began")
        started = time.time()
        process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        while not began.exists() or not began.read_text():
            assert time.time() < started + DEADLINE, f"{command} began nothing"
            time.sleep(0.001)
        seconds = float(began.read_text()) - started
        process.send_signal(signal.SIGKILL)
        process.wait()
        time.sleep(0.2)
        os.chdir("/")
    return seconds


def bare() -> float:
    """Return the seconds of a Python that does nothing."""
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", "pass"], check=True)
    return time.perf_counter() - started


def main(times: int) -> None:
    """Print how each compares."""
    contenders: dict[str, Callable[[], float]] = {
        "host": lambda: start(None),
        "pilot": lambda: start(Pilots(jobs=1, cpus=1)),
    }
    found: dict[str, list[float]] = {"pass": [], **{name: [] for name in contenders}}
    for _ in range(times):
        found["pass"] += [bare() for _ in range(5)]
        for name, measure in contenders.items():
            found[name].append(measure())
    quickest = {name: min(values) for name, values in found.items()}
    print("| what | to its first element | `pass` | comes to | reach | load |")
    print("|---" * 6 + "|")
    for name in contenders:
        mine, floor = quickest[name], quickest["pass"]
        cells = f"{1000 * mine:.0f} ms | {1000 * floor:.0f} ms | {mine / floor:.1f} × | 15 ×"
        print(f"| {name} | {cells} | {os.getloadavg()[0]:.0f} |")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10)
