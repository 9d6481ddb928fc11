"""Flows that are edited, broken and deleted while their jobs wait and run on a real scheduler.

What is the same on each; the modules of tests import it.
"""

from __future__ import annotations

from pathlib import Path

from reflow.model.states import RunState

from tests.live.people import LiveRun, Person

STAGES = """
from shapes import shape

wf = Workflow("stages")


@wf.job()
def items() -> list[int]:
    did("items")
    wait_for("edited")
    return [1, 2]


@wf.job(array=True)
def each(x: Annotated[int, Result(step="items")]) -> str:
    did("each")
    wait_for("broken")
    return shape(x)


@wf.job()
def joined(xs: Annotated[list[str], Result(step="each")]) -> str:
    did("joined")
    wait_for("deleted")
    return " ".join(xs)


@wf.job()
def last(text: Annotated[str, Result(step="joined")]) -> str:
    from lab.deep import FACTOR
    return f"{text} {shape(FACTOR)}"
"""
SHAPES = """
from pathlib import Path

def shape(x):
    return x * Path(__file__).with_name("letter").read_text()
"""


def sources(person: Person) -> list[Path]:
    return [person.folder / name for name in ("flow.py", "shapes.py", "lab/deep.py")]


def test_edits_while_jobs_wait_and_run_harm_nothing(newcomer: Person) -> None:
    newcomer.write(STAGES)
    (newcomer.folder / "lab").mkdir()
    (newcomer.folder / "lab" / "__init__.py").touch()
    for name, text in {"shapes.py": SHAPES, "letter": "o", "lab/deep.py": "FACTOR = 3"}.items():
        (newcomer.folder / name).write_text(text)
    run = newcomer.submits()
    run.until(lambda: newcomer.calls["items"] == 1, "the first task")
    for path in sources(newcomer):
        path.write_text(f"{path.read_text()}\nraise RuntimeError('edited')")
    newcomer.touch("edited")
    run.until(lambda: newcomer.calls["each"] == 2, "both elements")
    for path in sources(newcomer):
        path.write_text("def half(")
    newcomer.touch("broken")
    run.until(lambda: newcomer.calls["joined"] == 1, "the gathering task")
    for path in sources(newcomer):
        path.unlink()
    newcomer.touch("deleted")
    run.ends()
    assert run.result("last") == "o oo ooo"


MIXED = """
wf = Workflow("mixed")


@wf.job()
def items() -> list[int]:
    return [0, 1, 2]


@wf.job(array=True)
def work(x: Annotated[int, Result(step="items")]) -> int:
    did("work")
    wait_for("go")
    return 10 // (x - 1) + 100  # as submitted


@wf.job()
def total(xs: Annotated[list[int], Result(step="work")]) -> int:
    return sum(xs)
"""


def failed_while_its_source_was_edited(person: Person) -> LiveRun:
    """A run of which one element of three failed, after the lines that failed were edited."""
    person.write(MIXED)
    run = person.submits()
    run.until(lambda: person.calls["work"] >= 1, "an element")
    person.write(MIXED.replace("10 // (x - 1) + 100  # as submitted", "x"))
    person.touch("go")
    run.ends(RunState.FAILED)
    return run


def test_a_failure_shows_the_lines_that_ran_and_retry_takes_the_new_ones(newcomer: Person) -> None:
    run = failed_while_its_source_was_edited(newcomer)
    [element] = run.status()["failed_instances"]
    assert "10 // (x - 1) + 100  # as submitted" in element["traceback"]
    # Elements of two sources are not gathered: those of the former one run again.
    run.retries()
    run.ends()
    assert run.result("total") == 3
    assert newcomer.calls["work"] == 3 + 3


def test_results_that_retry_keeps_of_the_former_source_are_named_until_they_are_computed_anew(
    newcomer: Person,
) -> None:
    run = failed_while_its_source_was_edited(newcomer)
    run.retries("--keep")
    run.ends()
    assert run.result("work") == [90, 1, 110]
    [note] = [text for text in run.status()["notes"] if "source before" in text]
    assert "2 of 3 have results of the source before" in note
    assert "--changed" in note
    run.retries("--changed")
    run.ends()
    assert run.result("total") == 3
    assert newcomer.calls["work"] == 3 + 1 + 2


def test_a_broken_flow_is_refused_by_retry_and_changes_nothing(newcomer: Person) -> None:
    run = failed_while_its_source_was_edited(newcomer)
    whole = (newcomer.folder / "flow.py").read_text()
    before = run.status()
    (newcomer.folder / "flow.py").write_text(f"{whole}\ndef half(")
    said = newcomer.types("retry", run.run_id, code=2, name="-mreflow")
    assert "flow.py" in said
    (newcomer.folder / "flow.py").write_text(whole)
    assert run.status() == before
