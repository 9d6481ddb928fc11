"""Many short elements in packs or pilots; prints the seconds to the last result.

    python short_flow.py COUNT NAP EXECUTOR [PILOTS CPUS]

EXECUTOR is one for `submit`, or `run:WORKERS` for the foreground.
"""

from __future__ import annotations

import sys
import time
from typing import Annotated, Any

from reflow import Pilots, Result, Workflow

wf = Workflow("short")


@wf.job()
def items(count: int, nap: float) -> list[float]:
    return [nap] * count


@wf.job(array=True, per_job="auto")
def each(nap: Annotated[float, Result(step="items")]) -> int:
    time.sleep(nap)
    return 1


def main(count: str, nap: str, executor: str, *pilots: str) -> float:
    began = time.time()
    given: dict[str, Any] = {"count": int(count), "nap": float(nap)}
    foreground, _, workers = executor.partition(":")
    if foreground == "run":
        run = wf.run_local(force=True, max_workers=int(workers), **given)
    else:
        shape = Pilots(jobs=int(pilots[0]), cpus=int(pilots[1])) if pilots else None
        run = wf.submit(executor=executor, pilots=shape, force=True, **given)
        run.wait()
    assert run.state == "SUCCESS", run.state
    return time.time() - began


if __name__ == "__main__":
    print(main(*sys.argv[1:]))
