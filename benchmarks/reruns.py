"""Measures unchanged reruns of elements that return files, beside those that return numbers.

    python benchmarks/reruns.py [COUNT]

The floor is the same rerun with numbers, and a `find` that prints size and time of the files.
Each figure is the CPU time of the quickest of several runs, children included.
"""

from __future__ import annotations

import os
import subprocess
import sys

from run import HERE, SMALL, Row, commit, cost, fresh_folder, machine

REPEATS = 5


def find(folder: str) -> float:
    """CPU time of a look at all files below a folder."""
    process = subprocess.Popen(
        ["find", folder, "-printf", "%p %s %T@\n"], stdout=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return usage.ru_utime + usage.ru_stime


def rerun(script: str, count: int) -> float:
    """CPU time of the quickest unchanged rerun, in the current folder."""
    cost(str(HERE / script), str(count))
    return min(cost(str(HERE / script), str(count)).cpu for _ in range(REPEATS))


def main() -> None:
    count = int(sys.argv[1]) if sys.argv[1:] else SMALL
    with fresh_folder():
        numbers = rerun("noop.py", count)
    with fresh_folder():
        files = rerun("filed.py", count)
        looked = min(find("files") for _ in range(REPEATS))
    print(f"Commit {commit()}; {machine()}.\n")
    row = Row(
        f"{count:,} elements that return a file again, all from cache",
        f"CPU {files:.2f} s",
        f"numbers CPU {numbers:.2f} s, `find -printf` CPU {looked:.2f} s",
        files / (numbers + looked),
        1.5,
    )
    print("| what | measured | beside | comes to | reach | reached |")
    print("|---|---|---|---|---|---|")
    print(row)


if __name__ == "__main__":
    main()
