"""Which exceptions are put down to a lack of memory."""

from __future__ import annotations

import errno

import pytest
from reflow.execution.memory import lacked_memory, tells_of_memory


@pytest.mark.parametrize(
    "text",
    [
        "/opt/lib/_ssl.so: failed to map segment from shared object",
        "libopenblas.so.0: failed to map segment from shared object: Operation not permitted",
        "libfoo.so: cannot allocate memory",
        "libfoo.so: cannot apply additional memory protection after relocation: Cannot allocate",
        "[Errno 12] Cannot allocate memory: 'convert'",
        "std::bad_alloc",
        "Unable to allocate 3.20 GiB for an array with shape (40000, 10000)",
    ],
)
def test_words_for_want_of_memory(text: str) -> None:
    assert tells_of_memory(text)
    assert lacked_memory(ImportError(text))
    assert lacked_memory(OSError(text))


@pytest.mark.parametrize(
    "text",
    [
        "libgomp.so.1: cannot allocate memory in static TLS block",
        "CUDA out of memory. Tried to allocate 2.00 GiB",
        "CUDA error: not enough memory",
        "no module named 'memory'",
        "the map has no segment",
    ],
)
def test_words_for_something_else(text: str) -> None:
    assert not tells_of_memory(text)
    assert not lacked_memory(ImportError(text))


def test_texts_of_users_exceptions_say_nothing() -> None:
    assert not lacked_memory(ValueError("cannot allocate memory"))


def test_a_number_of_the_system_says_enough() -> None:
    assert lacked_memory(OSError(errno.ENOMEM, "whatever it is called here"))
    assert not lacked_memory(OSError(errno.ENOSPC, "No space left on device"))


def raised(first: Exception, then: Exception, hidden: bool) -> Exception:
    try:
        try:
            raise first
        except Exception as error:
            raise then from (None if hidden else error)
    except Exception as error:
        return error


def test_what_led_to_an_exception_counts() -> None:
    assert lacked_memory(raised(MemoryError(), ImportError("no numpy"), hidden=False))
    loader = OSError("failed to map segment from shared object")
    assert not lacked_memory(raised(loader, RuntimeError("no library"), hidden=True))
