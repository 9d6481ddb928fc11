"""Text that every database takes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from reflow.stores.text import plain, stored, stored_column

ANY_TEXT = st.text(st.characters(codec=None) | st.sampled_from("\x00\x1a\ud800\udcff0041"))


@given(ANY_TEXT)
def test_text_comes_back_as_it_was(text: str) -> None:
    assert plain(stored(text)) == text


@given(ANY_TEXT)
def test_what_is_stored_is_utf_8_without_nul(text: str) -> None:
    assert b"\x00" not in stored(text).encode()


@given(ANY_TEXT, ANY_TEXT)
def test_different_texts_are_stored_differently(one: str, other: str) -> None:
    assert (stored(one) == stored(other)) == (one == other)


@given(st.lists(st.none() | ANY_TEXT))
def test_a_column_is_stored_as_its_texts_are(texts: list[str | None]) -> None:
    assert list(stored_column(texts)) == [None if text is None else stored(text) for text in texts]


def test_ordinary_text_is_stored_as_it_stands() -> None:
    for text in ("", "plain", "Ωmega 🌊", '{"a": [1]}', "x" * 10_000):
        assert stored(text) == text
    column = ["a"] * 600 + ["ü"]
    assert list(stored_column(column)) == column


def test_one_hostile_text_late_in_a_column_is_found() -> None:
    column = ["a"] * 600 + ["\x00"]
    assert list(stored_column(column))[-1] == stored("\x00")
