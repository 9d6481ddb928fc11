"""The page of a report, in a browser."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from reflow.model.states import RunState
from reflow.report.page.render import write_page
from reflow.runs.reporting.collect import collect

from scripts.browser import Browser, find_browser
from tests.unit.runs.reporting.recorded import CREATED, RUN, failed, record, succeeded

PROGRAM = find_browser()
pytestmark = [
    pytest.mark.skipif(PROGRAM is None, reason="there is no Chromium: scripts/system_packages"),
    pytest.mark.timeout(400),
]

WIDTHS = (400, 1280, 2000)
HOSTILE = "<img src=x onerror=\"console.error('it ran')\"></script><script>throw 1</script>\x1b[1m"
ELEMENTS = """[...document.querySelectorAll("#t-attempts tbody tr")]
    .filter((row) => !row.hidden).map((row) => row.cells[0].textContent)"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    assert PROGRAM is not None
    with Browser(PROGRAM) as browser:
        yield browser


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Pages about runs, by what they are."""
    few = [succeeded(index, 12.0 + index, 15.0 + index * 3, host=f"n{index}") for index in range(5)]
    few += [failed(5, f"5 of {HOSTILE}", host="n" * 80), failed(6, "a file is missing", attempt=2)]
    many = [
        succeeded(index, 12.0 + index, 15.0 + index * 3, host=f"node{index % 60}", peak_memory=None)
        for index in range(900)
    ]
    found = {}
    for name, outcomes, state in (
        ("few", few, RunState.FAILED),
        ("many", many, RunState.RUNNING),
        ("none", [], RunState.CANCELLED),
    ):
        folder = tmp_path_factory.mktemp(name)
        store = record(folder, outcomes, state=state, parameters={"long": "x" * 5000})
        report = collect(store, RUN, now=CREATED + timedelta(hours=1))
        found[name] = folder / "report.html"
        write_page(report, found[name])
        store.close()
    return found


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", ["few", "many", "none"])
def test_the_page_fits_its_window_and_reports_no_errors(
    browser: Browser, pages: dict[str, Path], name: str, width: int
) -> None:
    browser.messages.clear()
    browser.open(pages[name], width=width)
    assert browser.ask("document.documentElement.scrollWidth") <= width
    assert browser.ask("getComputedStyle(document.body).color") == "rgb(28, 32, 36)"
    assert browser.messages == []


def test_a_click_on_a_column_sorts_by_its_numbers_and_another_turns_it(
    browser: Browser, pages: dict[str, Path]
) -> None:
    browser.open(pages["few"], width=1280)
    took = 'document.querySelectorAll("#t-attempts thead th button")[6]'
    assert browser.ask(f"{took}.textContent") == "Took"
    browser.ask(f"{took}.click()")
    names = [f"square[{index}]" for index in (5, 6, 0, 1, 2, 3, 4)]
    assert browser.ask(ELEMENTS) == names
    assert browser.ask(f'{took}.parentElement.getAttribute("aria-sort")') == "ascending"
    browser.ask(f"{took}.click()")
    assert browser.ask(ELEMENTS)[:5] == names[:1:-1]
    assert browser.ask(f'{took}.parentElement.getAttribute("aria-sort")') == "descending"


def test_a_table_is_sorted_from_the_keyboard(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["few"], width=1280)
    browser.ask('document.querySelector("#t-attempts thead th button").focus()')
    for _ in range(2):
        browser.press("Enter", 13, "\r")
    assert browser.ask(ELEMENTS) == [f"square[{index}]" for index in range(6, -1, -1)]


def test_what_is_typed_into_the_filter_leaves_the_rows_that_hold_all_words(
    browser: Browser, pages: dict[str, Path]
) -> None:
    browser.open(pages["few"], width=1280)
    browser.ask("document.querySelector('[data-filter=\"t-attempts\"]').focus()")
    browser.type("N3 success")
    assert browser.ask(ELEMENTS) == ["square[3]"]
    assert browser.ask('document.querySelector("#attempts .shown").textContent') == "1 of 7"
    for _ in range(10):
        browser.press("Backspace", 8)
    assert len(browser.ask(ELEMENTS)) == 7


def test_the_page_follows_a_dark_setting_and_the_button_turns_it(
    browser: Browser, pages: dict[str, Path]
) -> None:
    background = "getComputedStyle(document.body).backgroundColor"
    browser.open(pages["few"], width=1280, dark=True)
    assert browser.ask(background) == "rgb(20, 23, 26)"
    browser.ask('document.querySelector("#theme").click()')
    assert browser.ask(background) == "rgb(255, 255, 255)"


def test_what_a_task_printed_runs_nothing(browser: Browser, pages: dict[str, Path]) -> None:
    browser.messages.clear()
    browser.open(pages["few"], width=1280)
    assert browser.ask("document.images.length") == 0
    assert browser.ask("document.scripts.length") == 1
    assert browser.ask('document.querySelector("#failures").textContent').count("onerror") == 1
    assert browser.messages == []


def test_no_request_leaves_the_page(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["few"], width=1280)
    browser.ask("window.answered = fetch('http://127.0.0.1:9/').then(() => 1, () => 0)")
    assert browser.ask("performance.getEntriesByType('resource').length") == 0
    # It was the policy that refused it, not the network.
    assert any("Content Security Policy" in message for message in browser.messages)


def test_everything_that_tells_something_has_a_name_for_readers_of_screens(
    browser: Browser, pages: dict[str, Path]
) -> None:
    browser.open(pages["few"], width=1280)
    unnamed = browser.ask(
        """[...document.querySelectorAll(
            "svg[role=img], [role=region], input, button, nav, article")]
        .filter((each) => !each.getAttribute("aria-label") && !each.getAttribute("aria-labelledby")
            && !each.textContent.trim() && !(each.labels && each.labels.length))
        .map((each) => each.outerHTML.slice(0, 80))"""
    )
    assert unnamed == []
    assert browser.ask('document.querySelectorAll("table:not(:has(th[scope]))").length') == 0
    heads = browser.ask('[...document.querySelectorAll("h1,h2,h3,h4")].map((h) => +h.tagName[1])')
    assert heads[0] == 1
    assert all(below - above <= 1 for above, below in pairwise(heads))


def test_on_paper_everything_is_unfolded_and_nothing_is_to_be_pressed(
    browser: Browser, pages: dict[str, Path]
) -> None:
    browser.open(pages["few"], width=1280)
    browser.call("Emulation.setEmulatedMedia", media="print")
    try:
        assert browser.ask('getComputedStyle(document.querySelector("nav")).display') == "none"
        assert browser.ask('getComputedStyle(document.querySelector(".filter")).display') == "none"
        assert browser.pdf().startswith(b"%PDF")
    finally:
        browser.call("Emulation.setEmulatedMedia", media="")
