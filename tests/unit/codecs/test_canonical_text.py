from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reflow.errors import StoredValueError, UnstorableValueError
from reflow.model.canonical import digest, dumps, loads

json_data = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda part: st.lists(part) | st.dictionaries(st.text(), part),
    max_leaves=20,
)  # fmt: skip


@given(json_data)
def test_text_gives_the_data_back(data: Any) -> None:
    assert loads(dumps(data)) == data


@given(json_data)
def test_text_is_ascii_and_plain_json(data: Any) -> None:
    text = dumps(data)
    assert text.isascii()
    assert json.loads(text) == data


def test_equal_objects_give_equal_text_whatever_the_order_of_their_keys() -> None:
    assert dumps({"b": 1, "a": {"y": 2, "x": 3}}) == '{"a":{"x":3,"y":2},"b":1}'


def test_lone_surrogates_survive() -> None:
    assert loads(dumps("a\udc80b\ud800")) == "a\udc80b\ud800"


def test_negative_zero_keeps_its_sign() -> None:
    zero = loads(dumps(-0.0))
    assert isinstance(zero, float)
    assert math.copysign(1, zero) == -1


@pytest.mark.parametrize("value", [math.nan, math.inf, [-math.inf], {1, 2}, b"x"])
def test_what_json_cannot_hold_is_refused(value: Any) -> None:
    with pytest.raises(UnstorableValueError):
        dumps(value)


def test_an_integer_of_too_many_digits_is_refused() -> None:
    with pytest.raises(UnstorableValueError):
        dumps(10**5000)


def test_a_list_that_contains_itself_is_refused() -> None:
    circle: list[Any] = []
    circle.append(circle)
    with pytest.raises(UnstorableValueError):
        dumps(circle)


@pytest.mark.parametrize("text", ["", "{", "NaN", "[1,]", '{"a":Infinity}', "[" * 100_000])
def test_text_that_is_not_json_is_refused(text: Any) -> None:
    with pytest.raises(StoredValueError):
        loads(text)


def test_a_digest_is_a_full_sha256_of_text_or_bytes() -> None:
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert digest("") == digest(b"") == empty
    assert digest("\ud800") != digest("")
