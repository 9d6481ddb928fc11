"""Whose results a run must not take because of who started it."""

from __future__ import annotations

import pytest
from reflow.model.lineage import below, kin_of, place_of

SECOND = "outer/t/2,"
"""What the second element of a task of the outer run starts."""


@pytest.mark.parametrize(
    ("mine", "other", "taken"),
    [
        # By the lineage and id of a run that takes, and of one that has something to be taken.
        (("", "outer"), ("", "outer"), False),
        (("", "outer"), ("", "another"), True),
        (("", "outer"), ("", "outer2"), True),
        # Started inside the run that takes, or around it.
        (("", "outer"), (SECOND, "inner"), False),
        (("", "outer"), (f"{SECOND}inner/s/0,", "innermost"), False),
        ((SECOND, "inner"), ("", "outer"), False),
        ((f"{SECOND}inner/s/0,", "innermost"), ("", "outer"), False),
        ((f"{SECOND}inner/s/0,", "innermost"), (SECOND, "inner"), False),
        # Started by other elements of one run, of one task or of two.
        ((SECOND, "inner"), ("outer/t/3,", "inner3"), False),
        ((SECOND, "inner"), ("outer/t/20,", "inner20"), False),
        ((SECOND, "inner"), ("outer/s/2,", "inner2"), False),
        ((SECOND, "inner"), ("outer/t/3,inner3/s/0,", "innermost"), False),
        ((f"{SECOND}inner/s/0,", "innermost"), ("outer/t/3,", "inner3"), False),
        ((f"{SECOND}inner/s/0,", "innermost"), (f"{SECOND}inner/s/1,", "beside"), False),
        # Started by the same element, in an attempt before or a moment ago.
        ((SECOND, "again"), (SECOND, "inner"), True),
        ((SECOND, "again"), (f"{SECOND}inner/s/1,", "innermost"), True),
        ((f"{SECOND}again/s/0,", "innermost"), (f"{SECOND}inner/s/1,", "below"), True),
        ((f"{SECOND}inner/s/0,", "again"), (f"{SECOND}inner/s/0,", "innermost"), True),
        # Of other families.
        ((SECOND, "inner"), ("earlier/t/3,", "inner3"), True),
        ((SECOND, "inner"), ("", "another"), True),
        (("", "another"), (SECOND, "inner"), True),
    ],
)
def test_elements_of_a_run_never_share_by_way_of_runs_that_they_start(
    mine: tuple[str, str], other: tuple[str, str], taken: bool
) -> None:
    lineage, run_id = mine
    other_lineage, other_id = other
    assert taken is not any(kin.has(other_id, other_lineage) for kin in kin_of(lineage, run_id))


def test_an_element_has_the_same_place_whenever_its_run_is_repeated() -> None:
    first = below(below("", "monday", "a task", 7), "inner-1", "t", 0)
    second = below(below("", "tuesday", "a task", 7), "inner-2", "t", 0)
    assert first == "monday/a task/7,inner-1/t/0,"
    assert place_of(first) == place_of(second) == "a task/7,t/0,"
    assert place_of("") == ""
