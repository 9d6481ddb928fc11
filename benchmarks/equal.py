"""Times an unchanged rerun of an array of equal elements; prints CPU seconds and peak memory.

python equal.py N [N ...]
"""

from __future__ import annotations

import os
import resource
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

from reflow import Result, Workflow

wf = Workflow("equal")


@wf.job()
def prepare(count: int) -> list[int]:
    return [0] * count


@wf.job(array=True)
def draw(number: Annotated[int, Result(step="prepare")]) -> int:
    return int.from_bytes(os.urandom(4))


@wf.job()
def gather(numbers: Annotated[list[int], Result(step="draw")]) -> list[int]:
    return numbers


def rerun(folder: Path, count: int) -> float:
    """The CPU seconds of a run whose every result is there."""
    first = wf.run_local(run_dir=folder / f"{count}.1", max_workers=1, count=count)
    before = time.process_time()
    again = wf.run_local(run_dir=folder / f"{count}.2", max_workers=1, count=count)
    seconds = time.process_time() - before
    assert again.result("gather") == first.result("draw")
    return seconds


if __name__ == "__main__":
    with TemporaryDirectory() as folder:
        os.environ["REFLOW_STORE"] = f"sqlite://{folder}/m.db"
        for count in map(int, sys.argv[1:]):
            seconds = rerun(Path(folder), count)
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            print(f"{count}: {seconds:.2f} s, {peak:.0f} MiB", flush=True)
