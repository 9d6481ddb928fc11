"""Distributions of measurements, against what the standard library says."""

from __future__ import annotations

from statistics import fmean, median, quantiles

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reflow.runs.reporting.distribution import distribution

VALUES = st.lists(st.floats(0, 1e12), min_size=2, max_size=200)


def test_no_values_have_no_distribution() -> None:
    assert distribution([]) is None


def test_a_single_value_is_all_its_quantiles() -> None:
    found = distribution([3.0])
    assert found is not None
    assert {found.min, found.q1, found.median, found.p95, found.max, found.mean} == {3.0}
    assert found.histogram is None


@given(VALUES)
def test_quantiles_are_those_of_the_standard_library(values: list[float]) -> None:
    found = distribution(values)
    assert found is not None
    quarters = quantiles(values, n=4, method="inclusive")
    assert [found.q1, found.median, found.q3] == pytest.approx(quarters)
    assert found.median == pytest.approx(median(values))
    assert found.mean == pytest.approx(fmean(values))
    assert (found.min, found.max, found.count) == (min(values), max(values), len(values))


@given(VALUES)
def test_a_histogram_counts_every_value_once(values: list[float]) -> None:
    found = distribution(values)
    assert found is not None
    if found.histogram is not None:
        assert sum(found.histogram.counts) == len(values)
        assert len(found.histogram.edges) == len(found.histogram.counts) + 1
        assert list(found.histogram.edges) == sorted(found.histogram.edges)


def test_a_histogram_of_very_different_values_has_a_logarithmic_scale() -> None:
    found = distribution([10.0**power for power in range(7)])
    assert found is not None
    assert found.histogram is not None
    assert found.histogram.scale == "log"
    assert found.histogram.edges[1] / found.histogram.edges[0] == pytest.approx(
        found.histogram.edges[-1] / found.histogram.edges[-2]
    )
