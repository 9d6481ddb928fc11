"""Values of run parameters, from texts and from Python."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal, NewType
from uuid import UUID

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reflow.errors import DefinitionError, OptionError, ParameterError, ReflowError
from reflow.model.graph import Graph
from reflow.model.tasks import REQUIRED, Namespace, ParameterInput, TaskSpec
from reflow.wiring.graph import build_graph
from reflow.wiring.parameters import (
    bind_parameters,
    check_value,
    parameter_type,
    parse_text,
    text_of,
)
from reflow.wiring.rules import builtin_type_rules


class Colour(Enum):
    RED = "red"
    DARK_BLUE = "dark blue"


class Level(IntEnum):
    LOW = 1
    HIGH = 2


class Mode(StrEnum):
    FAST = "fast"


class Crossed(Enum):
    A = "B"
    B = "A"


UserId = NewType("UserId", int)
AN_ID = UUID("12345678-1234-5678-1234-567812345678")
NOON = datetime(2025, 1, 31, 12, 0)

TEXTS = [
    (str, "", ""),
    (str, " a b ", " a b "),
    (int, "-3", -3),
    (int, "1_000", 1000),
    (UserId, "3", 3),
    (float, "1e3", 1000.0),
    (float, "2", 2.0),
    (float, "-inf", float("-inf")),
    (bool, "true", True),
    (bool, "No", False),
    (bool, "1", True),
    (Path, "a/../b", Path("a/../b")),
    (datetime, "2025-01-31T12:00:00", NOON),
    (datetime, "2025-01-31 12:00", NOON),
    (datetime, "2025-01-31", datetime(2025, 1, 31)),
    (datetime, "2025-01-31T12:00:00Z", NOON.replace(tzinfo=UTC)),
    (date, "2025-01-31", date(2025, 1, 31)),
    (UUID, str(AN_ID), AN_ID),
    (Colour, "RED", Colour.RED),
    (Colour, "dark blue", Colour.DARK_BLUE),
    (Level, "2", Level.HIGH),
    (Mode, "fast", Mode.FAST),
    (Literal["a", "b"], "b", "b"),
    (Literal[1, 2], "2", 2),
    (int | None, "3", 3),
    (Annotated[int, "metres"], "3", 3),
    (list[int], ["1", "2"], [1, 2]),
    (list[int], [], []),
    (list[int], "5", [5]),
    (list[float], "1,2, 3", [1.0, 2.0, 3.0]),
    (list[int], ["1,2", "3"], [1, 2, 3]),
    (list[Colour], "RED,dark blue", [Colour.RED, Colour.DARK_BLUE]),
    (list[str], "a,b", ["a,b"]),
    (list[Path], "a,b", [Path("a,b")]),
    (Crossed, "Crossed.A", Crossed.A),
    (Colour, "Colour.RED", Colour.RED),
    (list[Colour], ["RED", "dark blue"], [Colour.RED, Colour.DARK_BLUE]),
    (list[Literal["a", "b"]], ["b", "b"], ["b", "b"]),
    (list[Path] | None, ["a", "b"], [Path("a"), Path("b")]),
]


@pytest.mark.parametrize(("annotation", "text", "value"), TEXTS)
def test_a_text_stands_for_a_value(annotation: Any, text: Any, value: Any) -> None:
    parsed = parse_text(annotation, text)
    assert parsed == value
    assert type(parsed) is type(value)


@pytest.mark.parametrize(
    ("annotation", "text", "said"),
    [
        (int, "three", "whole number"),
        (int, "3.0", "whole number"),
        (int, "", "whole number"),
        (float, "much", "a number"),
        (bool, "maybe", "true or false"),
        (bool, "", "true or false"),
        (Path, "", "not a path"),
        (Path, "a\0b", "not a path"),
        (datetime, "yesterday", "2025-01-31T12:00:00"),
        (date, "2025-13-01", "2025-01-31"),
        (date, "2025-01-31T12:00", "2025-01-31"),
        (UUID, "123", "1234"),
        (Colour, "red ", "did you mean 'RED'"),
        (Colour, "green", "there is 'RED', 'DARK_BLUE'"),
        (Crossed, "A", "two members of Crossed: write Crossed.A or Crossed.B"),
        (list[float], "1,,2", "a list is given as --amount A --amount B"),
        (list[float], "1;2", "a list is given as --amount A --amount B"),
        (Literal["fast", "slow"], "fats", "did you mean 'fast'"),
        (Literal[1, "1"], "1", "could be two of"),
        (int | None, "", "whole number"),
        (list[int], ["1", "x"], "'x'"),
        (int, ["1", "2"], "takes one int"),
    ],
)
def test_a_text_that_stands_for_nothing_is_an_error_naming_the_parameter(
    annotation: Any, text: Any, said: str
) -> None:
    with pytest.raises(ParameterError, match=f"^--amount: .*{said}"):
        parse_text(annotation, text, "--amount")


VALUES = [
    (str, "a", "a"),
    (str, Mode.FAST, "fast"),
    (int, 3, 3),
    (int, 10**40, 10**40),
    (int, Level.HIGH, 2),
    (int, numpy.int64(3), 3),
    (UserId, 3, 3),
    (float, 3, 3.0),
    (float, 1.5, 1.5),
    (float, numpy.float32(1.5), 1.5),
    (bool, True, True),
    (bool, numpy.bool_(True), True),
    (Path, "a", Path("a")),
    (Path, PurePosixPath("a"), Path("a")),
    (datetime, NOON, NOON),
    (datetime, "2025-01-01", datetime(2025, 1, 1)),
    (date, date(2025, 1, 1), date(2025, 1, 1)),
    (date, "2025-01-01", date(2025, 1, 1)),
    (UUID, AN_ID, AN_ID),
    (UUID, str(AN_ID), AN_ID),
    (Colour, Colour.RED, Colour.RED),
    (Colour, "RED", Colour.RED),
    (Colour, "red", Colour.RED),
    (Literal["a", 1], 1, 1),
    (int | None, None, None),
    (int | None, 3, 3),
    (list[int], [1, 2], [1, 2]),
    (list[Path], ("a", Path("b")), [Path("a"), Path("b")]),
    (list[int] | None, None, None),
]


@pytest.mark.parametrize(("annotation", "given", "value"), VALUES)
def test_a_value_from_python_is_what_the_function_will_receive(
    annotation: Any, given: Any, value: Any
) -> None:
    checked = check_value(annotation, given)
    assert checked == value
    assert type(checked) is type(value)


@pytest.mark.parametrize(
    ("annotation", "value", "said"),
    [
        (str, 3, "must be str, not int 3"),
        (str, Path("a"), "must be str"),
        (str, None, "must be str, not NoneType None"),
        (int, "3", "must be int, not str '3'"),
        (int, True, "must be int, not bool True"),
        (int, 3.0, "must be int"),
        (float, "3", "must be float"),
        (float, True, "must be float"),
        (float, 10**400, "too large"),
        (float, Decimal(1), "must be float"),
        (bool, 1, "must be bool"),
        (bool, "true", "must be bool"),
        (Path, 3, "must be Path"),
        (Path, "", "not a path"),
        (datetime, "soon", "'soon' is not of type datetime"),
        (datetime, date(2025, 1, 1), "must be datetime"),
        (date, NOON, "must be date, not datetime"),
        (UUID, 3, "must be UUID"),
        (Colour, "green", "'green' is not one of them"),
        (Colour, Level.LOW, "must be Colour"),
        (Literal[1], True, "must be one of 1, not bool True"),
        (Literal["a"], "b", "must be one of 'a'"),
        (list[int], 3, "must be a list of int"),
        (list[str], "abc", "must be a list of str"),
        (list[int], [1, "2"], "item 1: must be int"),
        (list[int], None, "must be a list of int"),
        (int | None, "3", "must be int"),
    ],
)
def test_a_value_of_another_type_is_an_error_naming_the_parameter(
    annotation: Any, value: Any, said: str
) -> None:
    with pytest.raises(ParameterError) as caught:
        check_value(annotation, value, "parameter 'amount'")
    assert str(caught.value).startswith("parameter 'amount': ")
    assert said in str(caught.value)


def test_a_long_value_is_not_repeated_at_length() -> None:
    with pytest.raises(ParameterError) as caught:
        check_value(int, "x" * 10_000)
    assert len(str(caught.value)) < 120


def test_a_list_is_copied() -> None:
    given_list = [1]
    assert check_value(list[int], given_list) is not given_list


@pytest.mark.parametrize(
    "annotation",
    [
        dict,
        dict[str, int],
        tuple[int, int],
        set[str],
        bytes,
        Decimal,
        timedelta,
        complex,
        object,
        Any,
        int | str,
        int | str | None,
        list[list[int]],
        list[int | None],
        list,
        None,
        Callable[[], int],
        3,
    ],
)
def test_a_type_that_no_flag_can_have_is_an_error_saying_which_can(annotation: Any) -> None:
    with pytest.raises(DefinitionError, match="str, int, float, bool, Path, datetime"):
        parameter_type(annotation)


def test_what_the_command_line_needs_to_know_of_a_type() -> None:
    colours = parameter_type(list[Colour] | None)
    assert colours.label == "RED | DARK_BLUE"
    assert colours.choices == ("RED", "DARK_BLUE")
    assert colours.many
    assert colours.optional
    assert not colours.switch
    switch = parameter_type(bool | None)
    assert switch.switch
    assert switch.label == "bool"
    assert not parameter_type(list[bool]).switch
    assert parameter_type(Literal[1, 2]).choices == ("1", "2")


@given(
    st.one_of(
        st.tuples(st.just(int), st.integers()),
        st.tuples(st.just(float), st.floats(allow_nan=False)),
        st.tuples(st.just(str), st.text()),
        st.tuples(st.just(bool), st.booleans()),
        st.tuples(st.just(date), st.dates()),
        st.tuples(st.just(datetime), st.datetimes(timezones=st.none() | st.just(UTC))),
        st.tuples(st.just(UUID), st.uuids()),
        st.tuples(st.just(Colour), st.sampled_from(Colour)),
        st.tuples(st.just(Path), st.just(Path("a b/c"))),
    )
)
def test_a_value_written_as_text_is_read_back_the_same(pair: tuple[Any, Any]) -> None:
    annotation, value = pair
    assert parse_text(annotation, text_of(value)) == value
    assert check_value(annotation, value) == value


def test_how_values_read_in_help() -> None:
    assert text_of([1, Colour.RED]) == "1, RED"
    assert text_of(None) == ""


def graph(*parameters: ParameterInput) -> Graph:
    spec = TaskSpec(name="first", function=print, inputs=parameters, returns=str)
    return build_graph("flow", [spec], builtin_type_rules())


def parameter(name: str, annotation: Any, default: Any = REQUIRED, **more: Any) -> ParameterInput:
    return ParameterInput(argument=name, annotation=annotation, default=default, **more)


def test_binding_fills_in_defaults_and_checks_what_is_given() -> None:
    wired = graph(
        parameter("start", date),
        parameter("out", Path, "results"),
        parameter("days", list[int], [1, 2]),
        parameter("limit", int | None, None),
    )
    assert bind_parameters(wired, {"start": "2025-01-01"}) == {
        "start": date(2025, 1, 1),
        "out": Path("results"),
        "days": [1, 2],
        "limit": None,
    }


def test_a_default_is_never_shared_between_runs() -> None:
    wired = graph(parameter("days", list[int], [1, 2]))
    bind_parameters(wired, {})["days"].append(3)
    assert bind_parameters(wired, {}) == {"days": [1, 2]}


def test_an_unknown_parameter_is_a_type_error_with_the_nearest_name() -> None:
    with pytest.raises(TypeError, match="'strat'; did you mean 'start'") as caught:
        bind_parameters(graph(parameter("start", str)), {"strat": "x"})
    assert isinstance(caught.value, OptionError)
    assert isinstance(caught.value, ReflowError)


def test_the_short_name_of_a_local_parameter_suggests_the_long_one() -> None:
    wired = graph(parameter("x", str, namespace=Namespace.LOCAL), parameter("xx", str, "default"))
    with pytest.raises(OptionError, match="'x'; did you mean 'first_x'"):
        bind_parameters(wired, {"x": "value"})


def test_missing_parameters_are_a_type_error_naming_them_all() -> None:
    wired = graph(parameter("start", date), parameter("bucket", str), parameter("n", int, 1))
    with pytest.raises(TypeError) as caught:
        bind_parameters(wired, {})
    assert "'start' (date, for task 'first')" in str(caught.value)
    assert "give start=..., bucket=..." in str(caught.value)


def test_a_bad_value_is_a_value_error_naming_the_parameter() -> None:
    with pytest.raises(ValueError, match="parameter 'n': must be int, not str 'x'"):
        bind_parameters(graph(parameter("n", int)), {"n": "x"})


def test_none_given_for_what_is_not_optional_is_a_bad_value() -> None:
    with pytest.raises(ParameterError, match="must be int, not NoneType"):
        bind_parameters(graph(parameter("n", int, 3)), {"n": None})
