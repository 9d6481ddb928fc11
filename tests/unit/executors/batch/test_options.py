from __future__ import annotations

import pytest
from reflow.errors import ParameterError
from reflow.executors.batch.options import long_options


def test_options_are_written_as_the_command_line_has_them() -> None:
    options = {"qos": "high", "gres_flags": "a b", "exclusive": True, "C": "gpu", "nice": 3}

    assert long_options("pond", options, {}) == [
        ("--qos=high",),
        ("--gres-flags=a b",),
        ("--exclusive",),
        ("-C", "gpu"),
        ("--nice=3",),
    ]


def test_a_list_gives_the_option_several_times_and_false_leaves_it_out() -> None:
    options = {"mail": ["a", "b"], "hold": False, "x": None}

    assert long_options("pond", options, {}) == [("--mail=a",), ("--mail=b",)]


@pytest.mark.parametrize("name", ["", "a b", "-x", "a=b", "x;y", "ä", "a\nb"])
def test_what_is_no_option_name_is_refused(name: str) -> None:
    with pytest.raises(ParameterError, match="not the name of an option"):
        long_options("pond", {name: 1}, {})


@pytest.mark.parametrize("value", ["a\nb", "\x1b[31m", {"a": 1}, object()])
def test_what_is_no_option_value_is_refused(value: object) -> None:
    with pytest.raises(ParameterError, match="'depth'"):
        long_options("pond", {"depth": value}, {})


@pytest.mark.parametrize("name", ["job-name", "job_name"])
def test_reflows_own_options_are_refused_with_the_reason(name: str) -> None:
    with pytest.raises(ParameterError, match="reflow's own: jobs are found by it"):
        long_options("pond", {name: "x"}, {"job-name": "jobs are found by it"})
