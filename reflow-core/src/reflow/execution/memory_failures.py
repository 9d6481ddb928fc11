"""Whether an exception was caused by a lack of memory, whatever its class.

Where a scheduler limits what a process may map, the first to be refused is often not Python but the
loader of a library, the start of a program, or C++.
"""

from __future__ import annotations

import errno
import re

TELLING = re.compile(
    r"cannot allocate memory(?! in static TLS)"
    r"|failed to map segment"
    r"|cannot apply additional memory protection"
    r"|std::bad_alloc"
    r"|unable to allocate [\d.]+ ?[KMGTP]?i?B\b"
    r"|\[errno 12\]"
    r"|not enough memory"
    r"|memory exhausted",
    re.IGNORECASE,
)
"""What the loader, the C library and C++ say. What a GPU lacks is not what a job asks for."""
TELLERS = (OSError, ImportError, RuntimeError, SystemError)
"""Exceptions whose text comes from below Python; those of others may say anything."""


def tells_of_memory(text: str) -> bool:
    """Tell whether a message is one of those that report a lack of memory."""
    return TELLING.search(text) is not None and "CUDA" not in text


def lacked_memory(error: BaseException) -> bool:
    """Tell whether an exception, or one that led to it, comes from a lack of memory."""
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        if isinstance(link, MemoryError) or getattr(link, "errno", None) == errno.ENOMEM:
            return True
        if isinstance(link, TELLERS) and tells_of_memory(_text(link)):
            return True
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)
    return False


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:
        return ""
