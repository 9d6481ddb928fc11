"""How several elements are typed."""

from __future__ import annotations

import pytest
from reflow.cli.elements import Indexes, parse_elements
from reflow.errors import UsageError


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["fit"], {"fit": None}),
        (["fit[3]"], {"fit": ((3, 3),)}),
        (["fit", "3"], {"fit": ((3, 3),)}),
        (["fit[3-7,9]"], {"fit": ((3, 7), (9, 9))}),
        (["fit", "3-7,9", "12"], {"fit": ((3, 7), (9, 9), (12, 12))}),
        (["fit[1]", "fit[2]"], {"fit": ((1, 1), (2, 2))}),
        (["fit[1]", "2"], {"fit": ((1, 1), (2, 2))}),
        (["fit[1]", "fit"], {"fit": None}),
        (["fit", "3", "plot", "map[0]"], {"fit": ((3, 3),), "plot": None, "map": ((0, 0),)}),
    ],
)
def test_elements_are_typed_with_brackets_or_after_their_task(
    words: list[str], expected: dict[str, tuple[tuple[int, int], ...] | None]
) -> None:
    found = parse_elements(words)
    assert {name: each and each.spans for name, each in found.items()} == expected


@pytest.mark.parametrize("words", [["3"], ["fit[]"], ["fit[a]"], ["fit[3"], ["fit[7-3]"], ["[3]"]])
def test_what_names_no_element_is_refused(words: list[str]) -> None:
    with pytest.raises(UsageError):
        parse_elements(words)


def test_ranges_hold_what_lies_in_them() -> None:
    indexes = Indexes(((3, 7), (9, 9)))
    assert [index for index in range(12) if index in indexes] == [3, 4, 5, 6, 7, 9]
    assert indexes.largest == 9
    assert 10**9 in Indexes(((0, 10**12),))
