"""Times the step that hands the first elements of an array over; prints it as JSON.

    python first.py N

That step lies between the end of `prepare` and the first element, in a pool of two workers.
"""

from __future__ import annotations

import json
import sys
import time

from noop import wf
from reflow.dispatch.dispatcher import Dispatcher


class _HandedOver(BaseException):
    """Ends the run once the first elements are with the workers."""


def first_step(count: int) -> dict[str, float]:
    """Seconds by the clock and of processor time that the step takes in this process."""
    took: dict[str, float] = {}
    step = Dispatcher.step

    def timed(dispatcher: Dispatcher) -> bool:
        start, cpu = time.perf_counter(), time.process_time()
        ended = step(dispatcher)
        if dispatcher.tracked.tasks["nothing"].active:
            took["seconds"] = time.perf_counter() - start
            took["cpu"] = time.process_time() - cpu
            raise _HandedOver
        return ended

    Dispatcher.step = timed  # type: ignore[method-assign, assignment]
    try:
        wf.run_local(run_dir="run", max_workers=2, count=count, force=True)
    except _HandedOver:
        return took
    raise AssertionError("no element was handed over")


if __name__ == "__main__":
    print(json.dumps(first_step(int(sys.argv[1]))))
