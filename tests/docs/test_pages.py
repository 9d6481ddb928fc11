"""Whatever README and documentation show, works as shown."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from scripts import fill_pages
from tests.docs.pages import REPOSITORY, Reader, blocks, pages


def named(page: Path) -> str:
    return str(page.relative_to(REPOSITORY))


# A page has dozens of commands, each a process or a run of its own.
@pytest.mark.timeout(400)
@pytest.mark.parametrize("page", pages(), ids=named)
def test_every_block_of_the_page_works_as_shown(page: Path, tmp_path: Path, home: Path) -> None:
    # Who reads a page at the top of a clone has made `.venv` but not activated it.
    reader = Reader(tmp_path, home, activated=page.parent != REPOSITORY)
    with reader.stack:
        for block in blocks(page):
            try:
                reader.follow(block)
            except AssertionError as error:
                pytest.fail(f"{named(page)}:{block.line}: {error}", pytrace=False)


@pytest.mark.parametrize("page", pages(), ids=named)
def test_what_is_not_run_says_why(page: Path) -> None:
    for block in blocks(page):
        assert block.comment("not run:") != "", f"{named(page)}:{block.line}"


@pytest.mark.parametrize("page", pages(), ids=named)
def test_every_link_to_a_file_of_the_project_leads_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{named(page)} links to {target}"


@pytest.mark.parametrize("page", pages(), ids=named)
def test_code_of_the_project_that_a_page_shows_is_as_its_file_has_it(page: Path) -> None:
    text = page.read_text()
    assert fill_pages.filled(text) == text, "run scripts/fill_pages.py"
    shown = [block for block in blocks(page) if block.comment("from:")]
    assert len(shown) == text.count("<!-- from: "), "a block must follow such a comment"
