from __future__ import annotations

import io

import pytest
from reflow.report.progress import Progress
from reflow.report.screen import Screen

from tests.unit.report.statuses import at, pipe, task, written


def terminal(height: int = 24) -> Screen:
    return Screen(file=io.StringIO(), force_terminal=True, width=80, height=height, highlight=False)


def test_without_a_terminal_each_change_is_a_line() -> None:
    console = pipe()
    with Progress(console, "Ctrl-C stops it") as progress:
        for done in (0, 1, 2, 4, 4):
            progress.show(at(done)["tasks"])
    lines = [line.split("  ")[1:] for line in written(console).splitlines()]
    assert lines == [["convert", "RUNNING"], ["convert", "SUCCESS", "4/4"]]


def test_an_array_whose_size_was_never_known_ends_without_numbers() -> None:
    console = pipe()
    with Progress(console, "") as progress:
        progress.show({"use": task("SKIPPED", None, array=True)})
    assert written(console).endswith("use  SKIPPED\n")


def test_on_a_terminal_the_table_keeps_itself_up_to_date() -> None:
    console = terminal()
    with Progress(console, "Ctrl-C stops it") as progress:
        for done in (0, 1):
            progress.show(at(done)["tasks"])
    assert "0/4" in written(console)
    assert "1/4" in written(console)
    assert "0.0 s  Ctrl-C stops it" in written(console)


def test_the_table_says_how_many_jobs_the_elements_share() -> None:
    console = terminal()
    sharing = task("RUNNING", 9, array=True) | {"jobs": {"running": 1, "queued": 2, "at_once": 4}}
    with Progress(console, "") as progress:
        progress.show({"convert": sharing})
        assert "convert: 1 job running, 2 queued; up to 4 elements at once" in written(console)


def test_the_table_says_how_many_pilots_there_are() -> None:
    console = terminal()
    with Progress(console, "") as progress:
        progress.show({"convert": task("RUNNING")}, {"running": 1, "queued": 2, "at_once": 32})
        assert "1 pilot running, 2 queued; 32 elements at once" in written(console)


@pytest.mark.parametrize("jobs", [None, {"running": 1, "queued": 0, "at_once": 1}])
@pytest.mark.parametrize("height", [6, 24])
def test_the_table_is_never_higher_than_the_terminal(
    height: int, jobs: dict[str, int] | None
) -> None:
    console = terminal(height)
    tasks = {f"step{place}": task("PENDING") | {"jobs": jobs} for place in range(100)}
    with Progress(console, "") as progress:
        progress.show(tasks)
        shown = written(console)
    assert len(shown.splitlines()) < height
    rows = shown.count("step") - shown.count(": 1 job running")
    assert f"and {100 - rows} more tasks" in shown


def test_an_array_without_elements_says_so() -> None:
    console = pipe()
    with Progress(console, "") as progress:
        progress.show({"use": task("SUCCESS", 0, array=True)})
    assert written(console).endswith("use  SUCCESS  no elements\n")
    with Progress(table := terminal(), "") as progress:
        progress.show({"use": task("SUCCESS", 0, array=True)})
        assert "no elements" in written(table)
