"""The workflow that is measured where each element returns a file: prepare, N files, gather."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from reflow import Result, Workflow

wf = Workflow("filed")


@wf.job()
def prepare(count: int) -> list[int]:
    return list(range(count))


@wf.job(array=True)
def write(number: Annotated[int, Result(step="prepare")]) -> Path:
    path = Path("files", str(number // 1000), f"{number}.txt").absolute()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(str(number))
    return path


@wf.job()
def gather(paths: Annotated[list[Path], Result(step="write")]) -> int:
    return len(paths)


if __name__ == "__main__":
    count = int(sys.argv[1])
    run = wf.run_local(run_dir="run", max_workers=2, count=count)
    assert run.result("gather") == count
