"""Times `reflow report` and `trace` of a run of 100,000 elements, beside its `status`.

    python report.py [--small]

The run has 1,000 failures of 40 kinds, 500 retries and 200 hosts, and was never run: it is written
into a manifest of its own.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from reflow.model.attempts import Attempt
from reflow.model.outcomes import Outcome
from reflow.model.records import (
    Instance,
    RunRecord,
    SubmissionKind,
    SubmissionRecord,
    SubmissionState,
    TaskRecord,
)
from reflow.model.states import FailureCause, RunState, TaskState
from reflow.stores.contract import KeepsAttempts
from reflow.stores.sql import SqlStore

LARGE, SMALL = 100_000, 10_000
RUN = "long-20261122-a1b2"
WAVE = 10_000
TIMES = 5


def outcome(index: int, began: float, chance: random.Random) -> Outcome:
    """What an element of the run ended with."""
    start = began + index / 50 + chance.expovariate(1 / 60)
    given: dict[str, Any] = {
        "task": "work",
        "index": index,
        "attempt": 2 if index % 200 == 7 else 1,
        "host": f"node{chance.randrange(200):03}",
        "log": f"logs/{RUN}/work/{index}.1.log",
        "native_id": f"4711_{index}",
        "started_at": start,
        "ended_at": start + chance.lognormvariate(4, 0.7),
        "peak_memory": int(chance.gauss(1.5e9, 2e8)),
        "cpu_time": chance.uniform(5, 50),
    }
    if index % 100 == 99:
        error = f"ValueError: row {index} of kind {'abcdefgh'[index // 100 % 8]} is wrong"
        cause = list(FailureCause)[index // 100 % 5]
        return Outcome(state=TaskState.FAILED, cause=cause, error=error, **given)
    return Outcome(state=TaskState.SUCCESS, output=f"{index}", **given)


def fill(path: Path, count: int) -> None:
    """Write the run into a manifest."""
    created = datetime.now(UTC) - timedelta(hours=4)
    chance = random.Random(1)
    store = SqlStore(f"{path}")
    store.create_run(
        RunRecord(
            run_id=RUN,
            workflow="long",
            state=RunState.RUNNING,
            run_dir=path.parent,
            created_at=created,
            parameters={},
        ),
        [TaskRecord(name="work", ordinal=0, array=True, size=count)],
    )
    lease = store.acquire(RUN, {})
    assert lease is not None
    outcomes = [outcome(index, created.timestamp() + 60, chance) for index in range(count)]
    with store.fenced(lease) as writer:
        assert isinstance(writer, KeepsAttempts)
        for number in range(0, count, WAVE):
            writer.add_submission(
                SubmissionRecord(
                    number=number // WAVE + 1,
                    kind=SubmissionKind.WAVE,
                    token=f"t{number}",
                    state=SubmissionState.OVER,
                    submitted_at=created + timedelta(seconds=30),
                )
            )
        writer.add_instances(
            [
                Instance(
                    task="work", index=one.index, attempt=one.attempt, wave=one.index // WAVE + 1
                )
                for one in outcomes
            ]
        )
        writer.add_attempts(
            [Attempt(outcome=one, wave=1) for one in outcomes if one.state is TaskState.FAILED]
        )
        writer.record_outcomes(outcomes)
        writer.set_run_state(RunState.FAILED, "1 % failed")
    store.close()


def measured(*words: str, store: Path) -> tuple[float, float, int]:
    """Seconds by the clock and of processor time, and peak memory in bytes; the best of several."""
    environment = {"HOME": str(Path.cwd()), "PATH": os.environ["PATH"]}
    environment["REFLOW_STORE"] = f"sqlite://{store}"
    found = []
    for _ in range(TIMES):
        begun = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", "reflow", *words], env=environment, stdout=subprocess.DEVNULL
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0, words
        taken = usage.ru_utime + usage.ru_stime
        found.append((time.perf_counter() - begun, taken, usage.ru_maxrss * 1024))
    return min(found, key=lambda each: each[1])


def main() -> None:
    count = SMALL if "--small" in sys.argv[1:] else LARGE
    with tempfile.TemporaryDirectory(prefix="reflow-benchmark-") as folder:
        os.chdir(folder)
        store = Path(folder) / "manifest.db"
        fill(store, count)
        page = Path(folder) / "report.html"
        _, status, _ = measured("status", RUN, store=store)
        print(f"{count:,} elements: status {status:.2f} s of processor time")
        for words in (
            ("report", RUN, "-o", str(page)),
            ("report", RUN, "--json"),
            ("trace", RUN, "--csv"),
            ("trace", RUN, "--json"),
        ):
            clock, cpu, peak = measured(*words, store=store)
            name = " ".join(word for word in words if word not in (RUN, str(page)))
            print(
                f"{name}: {clock:.2f} s (CPU {cpu:.2f} s, {cpu / status:.1f} × status), "
                f"{peak / 1e6:.0f} MB"
            )
        print(f"the page: {page.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
