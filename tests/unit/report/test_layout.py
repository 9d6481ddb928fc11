from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from reflow.report.layout import (
    columns,
    count,
    duration,
    near,
    paragraph,
    ranges,
    shorten,
)
from rich.text import Text


def plain(lines: list[Text]) -> list[str]:
    return [line.plain for line in lines]


def row(*words: str) -> list[Text]:
    return [Text(word) for word in words]


def test_columns_line_up_and_end_without_blanks() -> None:
    lines = columns([row("task", "done"), row("a", "10"), row("bb", "")], width=80, right=[1])
    assert plain(lines) == ["task  done", "a       10", "bb"]


def test_letters_that_take_two_columns_are_counted_as_two() -> None:
    assert plain(columns([row("木", "x"), row("abc", "y")], width=80)) == ["木   x", "abc  y"]


def test_only_the_flexible_column_gives_way_to_a_narrow_terminal() -> None:
    lines = columns([row("a" * 40, "b" * 20)], width=50, flexible=0)
    assert plain(lines) == ["a" * 27 + "…  " + "b" * 20]


def test_a_column_is_never_cut_to_nothing() -> None:
    (line,) = columns([row("a" * 40, "b" * 20)], width=10, flexible=0)
    assert line.plain.startswith("aaaaaaaaaaa…")


def test_a_short_text_is_not_shortened() -> None:
    assert shorten("abc", 3) == "abc"


@pytest.mark.parametrize(
    ("indices", "text"),
    [
        ([], ""),
        ([3], "3"),
        ([0, 1, 2, 7, 9, 10], "0-2, 7, 9-10"),
        (list(range(0, 40, 2)), "0, 2, 4, 6, 8, 10, ..."),
    ],
)
def test_numbers_in_a_row_become_a_range(indices: list[int], text: str) -> None:
    assert ranges(indices) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.04, "0.0 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (59.6, "1 min 0 s"),
        (125, "2 min 5 s"),
        (3600 * 2 + 600, "2 h 10 min"),
        (86400 * 3 + 3600 * 4, "3 d 4 h"),
        (-5, "0.0 s"),
    ],
)
def test_durations_are_said_in_two_units(seconds: float, text: str) -> None:
    assert duration(timedelta(seconds=seconds)) == text


def test_one_is_singular_and_thousands_are_grouped() -> None:
    assert (count(1, "task"), count(48000, "task")) == ("1 task", "48,000 tasks")


def test_prose_is_broken_at_blanks_only() -> None:
    lines = paragraph("see /a/very/long/path/that-does-not-fit/anywhere now", width=20, indent="  ")
    assert plain(lines) == ["  see", "  /a/very/long/path/that-does-not-fit/anywhere", "  now"]


def test_a_path_under_the_working_directory_is_shown_from_there(tmp_path: Path) -> None:
    assert near(tmp_path / "runs" / "a") == "runs/a"
    assert near("/somewhere/else") == "/somewhere/else"
