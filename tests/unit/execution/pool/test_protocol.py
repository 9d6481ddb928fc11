"""What a pool and its workers tell each other through the file of slots."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reflow.execution.pool.protocol import Begun, Slots, Why, begun_elements, pack, unpack

WORKERS = 3
numbers = st.integers(0, 2**32 - 1)


@pytest.fixture
def file(tmp_path: Path) -> Iterator[int]:
    descriptor = os.open(tmp_path / "slots", os.O_RDWR | os.O_CREAT)
    os.ftruncate(descriptor, Slots.size_for(WORKERS))
    yield descriptor
    os.close(descriptor)


def content(file: int) -> bytes:
    return os.pread(file, 10_000, 0)


@given(tokens=st.lists(st.tuples(numbers, numbers), max_size=20))
def test_tokens_come_back_as_they_were(tokens: list[tuple[int, int]]) -> None:
    assert list(unpack(pack(tokens))) == tokens


def test_of_a_new_file_no_worker_is_at_anything_nor_told(file: int) -> None:
    slots = Slots(file)
    assert [slots.get(worker) for worker in range(WORKERS)] == [None] * WORKERS
    assert [slots.told(worker) for worker in range(WORKERS)] == [None] * WORKERS
    assert list(begun_elements(content(file))) == []


def test_each_worker_has_a_slot_of_its_own(file: int) -> None:
    slots = Slots(file)
    slots.set(0, 1, 0, 5.5)
    slots.set(2, 7, 4_000_000_000, 6.5)
    assert slots.get(0) == Begun((1, 0), 5.5)
    assert slots.get(1) is None
    assert list(begun_elements(content(file))) == [
        Begun((1, 0), 5.5),
        Begun((7, 4_000_000_000), 6.5),
    ]
    slots.clear(0)
    assert list(begun_elements(content(file))) == [Begun((7, 4_000_000_000), 6.5)]


@pytest.mark.parametrize("why", list(Why))
def test_a_worker_is_told_what_to_end_and_why(file: int, why: Why) -> None:
    slots = Slots(file)
    slots.set(1, 3, 9, 5.5)
    slots.tell(1, (3, 9), why)
    assert slots.told(1) == ((3, 9), why)
    assert slots.told(0) is None
    assert slots.told(2) is None
    assert slots.get(1) == Begun((3, 9), 5.5), "what it is told leaves what it is at"
    slots.set(1, 3, 10)
    assert slots.told(1) == ((3, 9), why), "the next element does not unsay it"
    slots.tell(1, None)
    assert slots.told(1) is None


@pytest.mark.parametrize("size", range(0, 2 * Slots.size_for(1), 7))
def test_a_file_that_is_cut_tells_of_what_is_whole(file: int, size: int) -> None:
    slots = Slots(file)
    for worker in range(WORKERS):
        slots.set(worker, 1, worker, 5.0)
        slots.tell(worker, (1, worker), Why.MEMORY)
    os.ftruncate(file, size)
    whole = size // Slots.size_for(1)
    assert [begun.at for begun in begun_elements(content(file))] == [(1, n) for n in range(whole)]
    for worker in range(whole):
        assert slots.told(worker) == ((1, worker), Why.MEMORY)
    assert slots.get(WORKERS - 1) is None
    assert slots.told(WORKERS - 1) is None


def test_a_reason_that_nobody_knows_is_none(file: int) -> None:
    slots = Slots(file)
    slots.tell(0, (1, 2), Why.MEMORY)
    os.pwrite(file, b"\xff\xff\xff\xff", Slots.size_for(1) - 8)
    assert slots.told(0) is None


@given(data=st.binary(max_size=200))
def test_no_content_of_the_file_is_an_error(data: bytes) -> None:
    assert all(begun.at[0] for begun in begun_elements(data))
