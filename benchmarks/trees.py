"""Measures looks at a tree of many files, what is kept of them, and how fast contents are read.

    python benchmarks/trees.py [FILES]

Looks are compared by CPU time with a `find` that prints the same, in turns, the quickest of each.
What is kept of a folder does not grow with its files, so the database is filled with small ones;
its growth is what 2,500 results more add, without the tables and indexes that are there anyway.
"""

from __future__ import annotations

import hashlib
import json
import os
import resource
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

from reflow import Result, Workflow
from reflow.fingerprint.files.contents import Contents, OwnMemory
from reflow.fingerprint.files.look import Looks
from reflow.fingerprint.files.places import Surroundings
from reflow.fingerprint.files.states import Mode, State
from run import LARGE, Row, commit, fresh_folder, machine

REPEATS = 9
PER_FOLDER = 100
FEW_RESULTS, MANY_RESULTS = 500, 3_000
BLOCK = 64 * 2**20
DIGESTS = ("sha256", "sha1", "blake2b", "md5", "sha512", "sha3_256")


def make_tree(files: int) -> Path:
    root = Path("tree").absolute()
    for number in range(files):
        folder = root / f"{number // (PER_FOLDER * 10):04}" / f"{number // PER_FOLDER % 10}"
        if number % PER_FOLDER == 0:
            folder.mkdir(parents=True)
        (folder / f"file_{number:06}.nc").write_text("x" * (number % 7))
    return root


def look(root: Path, contents: Contents | None = None) -> State:
    here = str(Path.cwd())
    mode: Mode = "stat" if contents is None else "content"
    store = [f"{here}/manifest.db"]
    looks = Looks(Surroundings(here, here, here), mode=mode, store_files=store, contents=contents)
    return looks.state(str(root))


def find(root: Path) -> None:
    command = ["find", str(root), "-printf", r"%P %y %s %T@ %l\n"]
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)


def cpu() -> float:
    return sum(
        sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )


def took(action: Callable[[], object]) -> float:
    before = cpu()
    action()
    return cpu() - before


def database(results: int) -> int:
    """Bytes of a database with so many results that are folders, in a run of its own."""
    name = f"of_{results}"
    wf = Workflow(name, store=f"{name}.db")

    @wf.job()
    def prepare() -> list[int]:
        return list(range(results))

    @wf.job(array=True)
    def write(number: Annotated[int, Result(step="prepare")]) -> Path:
        folder = Path(name, str(number)).absolute()
        folder.mkdir(parents=True)
        (folder / "file").write_text("x")
        return folder

    wf.run_local(run_dir=f"run_{results}", max_workers=1)
    with sqlite3.connect(f"{name}.db") as database:
        pages, page = (
            database.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size")
        )
    return int(pages * page)


def growth() -> float:
    """Bytes that each further result that is a folder adds to a database."""
    return (database(MANY_RESULTS) - database(FEW_RESULTS)) / (MANY_RESULTS - FEW_RESULTS)


def speed(name: str) -> float:
    """Bytes per second of CPU time."""
    block = os.urandom(2**20)
    quickest = float("inf")
    for _ in range(3):
        digest, before = hashlib.new(name), time.process_time()
        for _ in range(BLOCK // len(block)):
            digest.update(block)
        quickest = min(quickest, time.process_time() - before)
    return BLOCK / quickest


def main() -> None:
    files = int(sys.argv[1]) if sys.argv[1:] else LARGE
    with fresh_folder():
        root = make_tree(files)
        pairs = [(took(lambda: look(root)), took(lambda: find(root))) for _ in range(REPEATS)]
        looked, found = (min(each) for each in zip(*pairs, strict=True))
        memory = OwnMemory()
        read = took(lambda: look(root, Contents(memory)))
        again = took(lambda: look(root, Contents(memory)))
        kept = len(json.dumps(look(root).as_json())) / 1024
        bytes_each = growth() / 1024
    what = f"a tree of {files:,} files"
    cells = f"CPU {looked:.2f} s", f"`find -printf` CPU {found:.2f} s"
    print(f"Commit {commit()}; {machine()}.\n")
    print("| what | measured | beside | comes to | reach | reached |")
    print("|---|---|---|---|---|---|")
    print(Row(f"{what}: one look", *cells, looked / found, 1.5))
    print(Row(f"{what}: what is kept of it", "", "", kept, 1, "KB"))
    print(Row("growth of the database with each such result", "", "", bytes_each, 1, "KB"))
    print(f"\nContents of {what}: CPU {read:.2f} s when read, {again:.2f} s when remembered.")
    print("Digests, MB per second of CPU time:", end=" ")
    print(", ".join(f"{name} {speed(name) / 1e6:,.0f}" for name in DIGESTS))


if __name__ == "__main__":
    main()
