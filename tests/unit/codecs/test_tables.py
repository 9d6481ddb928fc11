"""What is said about tables that cannot be stored: which column, why, and what to do instead."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest
from reflow.codecs.codecs import Codecs
from reflow.errors import UnstorableValueError

HOLIDAYS = pd.offsets.CustomBusinessDay(holidays=["2026-01-01"])


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (
            pd.DataFrame({"fine": [1, 2], "bad": [1, "x"]}),
            r"column 'bad', of type object.*classes in one column \(int, str\): make them texts",
        ),
        (pd.DataFrame([[1, object()]], columns=[5, 6]), r"column 6, .* \(object\)"),
        (pd.DataFrame({"z": [1j]}), r"column 'z', of type complex128.*store \.real and \.imag"),
        (
            pd.DataFrame({"s": pd.arrays.SparseArray([0, 1])}),
            r"column 's', of type Sparse.*\.sparse\.to_dense\(\)",
        ),
        (pd.DataFrame({"a": [1, 2]}, index=[1, "x"]), r"the index of this table, of type object"),
        (pd.Index([1, "x"]), r"an index of type Index, of type object"),
        (
            pd.date_range("2026", periods=3, freq=HOLIDAYS),
            r"freq is <CustomBusinessDay>; .* set index\.freq = None",
        ),
    ],
    ids=lambda part: type(part).__name__,
)
def test_who_returns_a_table_that_cannot_be_stored_is_told_what_to_change(
    value: Any, words: str
) -> None:
    with pytest.raises(UnstorableValueError, match=f"cannot store .*{words}.*Pickled"):
        Codecs().encode(value)
