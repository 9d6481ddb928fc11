"""The workflow that is measured: prepare, N calls that do nothing, gather."""

from __future__ import annotations

import sys
from typing import Annotated

from reflow import Result, Workflow

wf = Workflow("noop")


@wf.job()
def prepare(count: int) -> list[int]:
    return list(range(count))


@wf.job(array=True)
def nothing(number: Annotated[int, Result(step="prepare")]) -> int:
    return number


@wf.job()
def gather(numbers: Annotated[list[int], Result(step="nothing")]) -> int:
    return len(numbers)


if __name__ == "__main__":
    count = int(sys.argv[1])
    run = wf.run_local(run_dir="run", max_workers=2, count=count)
    assert run.result("gather") == count
