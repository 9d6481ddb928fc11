"""Times `status` of the newest run, in this process; prints seconds."""

from __future__ import annotations

import time

from noop import wf

if __name__ == "__main__":
    run = wf.open_run(wf.store.list_runs(limit=1)[0].run_id)
    times = []
    for _ in range(3):
        start = time.perf_counter()
        status = run.status(as_dict=True)
        times.append(time.perf_counter() - start)
    assert status["run"]["status"] == "SUCCESS"
    print(min(times))
