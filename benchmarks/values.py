"""What values by reference cost: `python benchmarks/values.py [large|small]`.

The folder for their files is that for temporary ones, or `BENCHMARK_DIR`.

`large` hands an array of 1 GB to eight elements, each of which returns an eighth of it, and gathers
those; beside it the same is done by hand with `np.save`, `fsync`, SHA-256 and `np.load` in as many
processes. `small` has 10,000 elements return arrays of 100 and of 1,000 numbers, and an int.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from reflow import Result, Workflow

SIZE = 1 << 27  # of 8 bytes: 1 GiB
PARTS = 8
Array = np.ndarray[Any, np.dtype[np.float64]]

large = Workflow("large")


@large.job(version="1")
def make(size: int = SIZE) -> Array:
    return np.arange(size, dtype="f8")


@large.job(version="1")
def parts() -> list[int]:
    return list(range(PARTS))


@large.job(array=True, version="1")
def eighth(
    whole: Annotated[Array, Result(step="make", broadcast=True)],
    part: Annotated[int, Result(step="parts")],
) -> Array:
    return eighth_of(whole, part)


@large.job(version="1")
def total(gathered: Annotated[list[Array], Result(step="eighth")]) -> float:
    return float(sum(each.sum() for each in gathered))


def eighth_of(whole: Array, part: int) -> Array:
    length = len(whole) // PARTS
    return whole[part * length : (part + 1) * length] + 1.0


# -- by hand ------------------------------------------------------------------------------------
def save(path: str, array: Array) -> str:
    with open(path, "wb") as file:  # noqa: PTH123
        np.save(file, array)
        file.flush()
        os.fsync(file.fileno())
    digest = sha256()
    with open(path, "rb") as file:  # noqa: PTH123
        while chunk := file.read(4 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def make_by_hand(size: int) -> str:
    return save("whole.npy", np.arange(size, dtype="f8"))


def eighth_by_hand(part: int) -> str:
    return save(f"{part}.npy", eighth_of(np.load("whole.npy", mmap_mode="c"), part))


def total_by_hand() -> float:
    return float(sum(np.load(f"{part}.npy", mmap_mode="c").sum() for part in range(PARTS)))


def by_hand(size: int) -> float:
    with ProcessPoolExecutor(2) as pool:
        pool.submit(make_by_hand, size).result()
        list(pool.map(eighth_by_hand, range(PARTS)))
        return pool.submit(total_by_hand).result()


# -- many small ones ----------------------------------------------------------------------------
def many(length: int) -> Workflow:
    """Return a workflow of elements that return arrays so long, or ints where that is 0."""
    wf = Workflow(f"arrays{length}")

    @wf.job(version="1")
    def numbers(count: int) -> list[int]:
        return list(range(count))

    if length:

        @wf.job(array=True, version="1", name="value")
        def array(number: Annotated[int, Result(step="numbers")]) -> Array:
            return np.full(length, number, dtype="f8")
    else:

        @wf.job(array=True, version="1", name="value")
        def integer(number: Annotated[int, Result(step="numbers")]) -> int:
            return number

    return wf


ints, arrays, longer = many(0), many(100), many(1_000)


# -- measuring ----------------------------------------------------------------------------------
def peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(what: str, number: int) -> None:
    """Run one of them in this process, and print seconds, peak memory and the database's size."""
    start = time.perf_counter()
    if what == "hand":
        assert by_hand(number) > 0
    elif what == "large":
        run = large.run_local(run_dir="run", max_workers=2, size=number)
        assert run.result("total") > 0
    else:
        wf: Workflow = globals()[what]
        wf.run_local(run_dir="run", max_workers=2, count=number)
    seconds = time.perf_counter() - start
    print(seconds, peak(), sum(path.stat().st_size for path in Path.cwd().glob("store.db*")))


def measured(what: str, number: int) -> tuple[float, float, float]:
    """Measure in a process and a folder of its own."""
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCHMARK_DIR")) as folder:
        given = {**os.environ, "REFLOW_STORE": f"{folder}/store.db", "HOME": folder}
        words = [sys.executable, str(Path(__file__).absolute()), what, str(number)]
        ended = subprocess.run(
            words, cwd=folder, env=given, check=True, capture_output=True, text=True
        )
    seconds, memory, size = ended.stdout.split()[-3:]
    return float(seconds), float(memory), float(size)


def main() -> None:
    wanted = sys.argv[1:] or ["large", "small"]
    if "large" in wanted:
        hand, _, _ = min(measured("hand", SIZE) for _ in range(2))
        ours, memory, _ = min(measured("large", SIZE) for _ in range(2))
        print(f"1 GiB to eight and back: {ours:.2f} s, by hand {hand:.2f} s: {ours / hand:.2f} x")
        print(f"peak memory of the dispatcher: {memory:.0f} MB")
    if "small" in wanted:
        count = 10_000
        plain, _, small = min(measured("ints", count) for _ in range(3))
        ours, _, size = min(measured("arrays", count) for _ in range(3))
        print(f"10,000 arrays of 100: {ours:.2f} s, ints {plain:.2f} s: {ours / plain:.2f} x")
        by_reference, _, referred = min(measured("longer", count) for _ in range(2))
        times = by_reference / plain
        print(f"10,000 arrays of 1,000, by reference: {by_reference:.2f} s: {times:.2f} x")
        print(
            f"database, bytes an element: ints {small / count:.0f}, arrays of 100 "
            f"{size / count:.0f}, arrays of 1,000 {referred / count:.0f}"
        )


if __name__ == "__main__":
    if len(sys.argv) == 3:
        measure(sys.argv[1], int(sys.argv[2]))
    else:
        main()
