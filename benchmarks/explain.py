"""Times `reflow explain` of one element, and of all, beside `python -c pass`: CPU seconds.

    python explain.py [--small]

On an empty manifest and on one of 1,000 runs and 1,000,000 instances (`big_store.py`), each with
the same two runs of 1,000 elements after that; and on a run of 100,000 elements.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from big_store import INSTANCES, RUNS, fill

HERE = Path(__file__).parent
TIMES = 7


def seconds(*words: str, store: Path | None = None) -> float:
    """The CPU time of a Python command, the least of several."""
    environment = {"HOME": str(Path.cwd()), "PATH": os.environ["PATH"]}
    if store is not None:
        environment["REFLOW_STORE"] = f"sqlite://{store}"
    taken = []
    for _ in range(TIMES):
        process = subprocess.Popen(
            [sys.executable, *words], env=environment, stdout=subprocess.DEVNULL
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0, words
        taken.append(usage.ru_utime + usage.ru_stime)
    return min(taken)


def run_twice(store: Path, count: int) -> None:
    """Run a flow, and once more with another constant."""
    flow = Path("flow.py")
    text = (HERE / "noop.py").read_text().replace("return number\n", "return number + ADDED\n")
    for added in (0, 1):
        flow.write_text(
            text.replace('wf = Workflow("noop")', f'wf = Workflow("noop")\nADDED = {added}')
        )
        environment = {**os.environ, "REFLOW_STORE": f"sqlite://{store}"}
        command = [sys.executable, str(flow), str(count)]
        subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)


def explained(store: Path, *element: str) -> float:
    return seconds("-m", "reflow", "explain", "latest", "nothing", *element, store=store)


def main() -> None:
    small = "--small" in sys.argv[1:]
    with tempfile.TemporaryDirectory(prefix="reflow-benchmark-") as folder:
        os.chdir(folder)
        stores = {name: Path(folder) / f"{name}.db" for name in ("empty", "big", "long")}
        fill(stores["big"], *((20, 100) if small else (RUNS, INSTANCES)))
        for name in ("empty", "big"):
            run_twice(stores[name], 100 if small else 1_000)
        floor = seconds("-c", "pass")
        one = {name: explained(stores[name], "50") for name in ("empty", "big")}
        every = {name: explained(stores[name]) for name in ("empty", "big")}
        print(f"python -c pass: {floor:.3f} s")
        for what, found in (("one element", one), ("all elements", every)):
            print(
                f"{what}: empty {found['empty']:.3f} s, {found['empty'] / floor:.1f} × pass; "
                f"big {found['big']:.3f} s, {found['big'] / found['empty']:.2f} × empty"
            )
        run_twice(stores["long"], 1_000 if small else 100_000)
        print(
            f"of the long run: one {explained(stores['long'], '50'):.3f} s, "
            f"all {explained(stores['long']):.3f} s"
        )


if __name__ == "__main__":
    main()
