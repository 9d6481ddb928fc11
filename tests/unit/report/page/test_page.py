"""The page of a report: what is in it, whatever is in the run."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from reflow.errors import ReflowError
from reflow.model.states import RunState
from reflow.report.page.render import page, write_page
from reflow.runs.reporting.collect import collect

from tests.unit.runs.reporting.recorded import RUN, failed, record, succeeded

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)> & \"'\x1b[31m\x00\u202e"
VOID = {"meta", "link", "input", "br", "img"}


class Reader(HTMLParser):
    """Reads a page, and checks that what is opened is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.ids: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.ids += [value or "" for name, value in attrs if name == "id"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> at {self.getpos()}"


def read(html: str) -> Reader:
    reader = Reader()
    reader.feed(html)
    reader.close()
    assert reader.open == []
    return reader


@pytest.fixture
def html(tmp_path: Path) -> str:
    outcomes = [succeeded(0, 12.0, 15.0), succeeded(1, 13.0, 19.0), failed(2, "bad luck")]
    return page(collect(record(tmp_path, outcomes, state=RunState.FAILED), RUN))


def test_the_page_is_well_formed_and_its_ids_are_its_own(html: str) -> None:
    reader = read(html)
    assert len(set(reader.ids)) == len(reader.ids)


def test_every_link_within_the_page_leads_somewhere(html: str) -> None:
    reader = read(html)
    targets = [given["href"] or "" for tag, given in reader.tags if tag == "a"]
    assert targets
    assert {target.removeprefix("#") for target in targets} <= set(reader.ids)


def test_the_page_asks_for_nothing_from_a_network(html: str) -> None:
    reader = read(html)
    asked = [given[name] for _, given in reader.tags for name in ("src", "srcset") if name in given]
    asked += [given["href"] for tag, given in reader.tags if tag == "link"]
    assert asked == ["data:,"]
    policy = next(
        given["content"] or ""
        for tag, given in reader.tags
        if given.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy.startswith("default-src 'none'; script-src 'sha256-")


def test_what_a_task_says_is_text_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "0.log").write_text(HOSTILE)
    store = record(
        tmp_path,
        [failed(0, HOSTILE, host=HOSTILE, log="0.log"), succeeded(1, 12.0, 13.0, host=HOSTILE)],
        parameters={HOSTILE: HOSTILE},
        message=HOSTILE,
        executor=HOSTILE,
        tags=(HOSTILE,),
    )
    html = page(collect(store, RUN))
    reader = read(html)
    assert [tag for tag, _ in reader.tags].count("script") == 1
    assert "img" not in [tag for tag, _ in reader.tags]
    assert not [name for _, given in reader.tags for name in given if name.startswith("on")]
    assert not re.search("[\x00\x1b\u202e]", html)


def test_the_page_of_100000_elements_is_smaller_than_a_megabyte(tmp_path: Path) -> None:
    # A hundredth of the elements, and as many of each kind as are shown at most.
    outcomes = [
        succeeded(index, 11.0 + index, 12.0 + index * 1.7, host=f"node{index % 97}")
        for index in range(1000)
    ]
    for index in range(0, 1000, 2):
        kind = "abcdefghijklmnopqrstuvwxyz"[index % 26] * (index // 26 + 1)
        (tmp_path / f"{index}.log").write_text("<&>'" * 50_000)
        outcomes[index] = failed(index, f"<{kind}>" * 20, log=f"{index}.log")
    report = collect(record(tmp_path, outcomes, state=RunState.FAILED), RUN)
    html = page(report)
    assert len(html.encode()) < 1_000_000


@pytest.mark.parametrize("state", [RunState.RUNNING, RunState.CANCELLED])
def test_a_run_without_elements_has_a_page(tmp_path: Path, state: RunState) -> None:
    html = page(collect(record(tmp_path, [], state=state, run_dir=tmp_path / "gone"), RUN))
    read(html)
    assert state in html


def test_half_a_surrogate_pair_does_not_keep_a_page_from_being_written(tmp_path: Path) -> None:
    store = record(tmp_path, [failed(0, "half: \ud800")])
    write_page(collect(store, RUN), tmp_path / "report.html")
    assert "half: ?" in (tmp_path / "report.html").read_text()


def test_a_page_that_cannot_be_written_is_told_with_what_to_do(tmp_path: Path) -> None:
    report = collect(record(tmp_path, []), RUN)
    with pytest.raises(ReflowError, match=r"cannot be written to .*; choose another file with -o"):
        write_page(report, tmp_path / "missing" / "report.html")
