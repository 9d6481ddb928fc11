"""Files and folders on a real scheduler: what they count by when they pass from job to job.

What is the same on each; the modules of tests import it.
"""

from __future__ import annotations

from typing import Any

from tests.live.people import LiveRun, Person

STORES = """
wf = Workflow("stores")


@wf.job()
def convert(factor: int = 1) -> list[Path]:
    did("convert")
    folders = [HERE / "out" / name for name in ("one.store", "two.store")]
    for folder in folders:
        (folder / "c").mkdir(parents=True, exist_ok=True)
        (folder / "c" / "chunk").write_text(str(factor * 10))
    return folders


@wf.job(array=True)
def read(store: Annotated[Path, Result(step="convert")], table: Path) -> int:
    did("read")
    return int((store / "c" / "chunk").read_text()) + int((table / "rows").read_text())


@wf.job()
def report(
    numbers: Annotated[list[int], Result(step="read")],
    out: Annotated[Path, Param(output=True)],
) -> int:
    did("report")
    with out.open("a") as file:
        file.write(f"{numbers}\\n")
    return sum(numbers)
"""


def done(person: Person, *words: str) -> LiveRun:
    """A run that has ended well."""
    run = person.submits("--table", "table", "--out", "report.txt", *words)
    run.ends()
    return run


def test_folders_count_by_what_is_in_them_from_job_to_job(newcomer: Person) -> None:
    newcomer.write(STORES)
    table = newcomer.folder / "table"
    table.mkdir()
    (table / "rows").write_text("1")
    assert done(newcomer).result("report") == 22
    assert done(newcomer).result("report") == 22
    assert newcomer.calls == {"convert": 1, "read": 2, "report": 1}
    # Other data under the same names, and then the first again.
    assert done(newcomer, "--factor", "2").result("report") == 42
    assert done(newcomer, "--factor", "1").result("report") == 22
    assert newcomer.calls == {"convert": 3, "read": 6, "report": 3}
    # A parameter that all elements share, and a file that the last task wrote.
    (table / "rows").write_text("22")
    assert done(newcomer).result("report") == 64
    (newcomer.folder / "report.txt").unlink()
    assert done(newcomer).result("report") == 64
    assert newcomer.calls == {"convert": 3, "read": 8, "report": 5}


IN_PLACE = """
wf = Workflow("in_place")


@wf.job()
def base() -> Path:
    path = HERE / "data.txt"
    path.write_text("1 ")
    return path


@wf.job()
def add(path: Annotated[Path, Result(step="base")]) -> Path:
    with path.open("a") as file:
        file.write("2 ")
    return path


@wf.job()
def total(path: Annotated[Path, Result(step="add")]) -> int:
    return sum(map(int, path.read_text().split()))
"""


def test_a_job_that_changes_its_argument_is_not_cached_and_status_says_so(
    newcomer: Person,
) -> None:
    newcomer.write(IN_PLACE)
    for _ in range(2):
        run = newcomer.submits()
        run.ends()
        assert run.result("total") == 3
        notes: list[Any] = run.status()["notes"]
        (note,) = (text for text in notes if "output=True" in text)
        assert "'add' changes path" in note
        assert "'base' returned" in note
