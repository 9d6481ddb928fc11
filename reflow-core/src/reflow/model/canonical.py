"""Canonical JSON text, and its digest.

Equal data gives equal text: keys are sorted, nothing is put between tokens, and everything
outside ASCII is escaped, so that any Python string (lone surrogates too) passes through files and
databases unharmed. Order that matters is kept by the codecs, which do not leave it to an object.
"""

from __future__ import annotations

import hashlib
import json
from typing import NoReturn, cast

from reflow.errors import StoredValueError, UnstorableValueError
from reflow.model.json import Json


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_encode = json.JSONEncoder(
    ensure_ascii=True,
    check_circular=False,  # the recursion limit finds circles, and this is twice as fast
    allow_nan=False,
    sort_keys=True,
    separators=(",", ":"),
).encode
_decode = json.JSONDecoder(parse_constant=_refuse_constant).decode


def dumps(data: Json) -> str:
    """Return the canonical text of JSON data.

    Raises `UnstorableValueError` for what JSON cannot hold: other types, nan and infinities,
    integers of more digits than Python converts. Codecs encode those beforehand.
    """
    try:
        return _encode(data)
    except (TypeError, ValueError, RecursionError) as error:
        raise UnstorableValueError(f"this cannot be written as JSON: {error}") from error


def loads(text: str) -> Json:
    """Parse canonical text. Raises `StoredValueError` for text that is not JSON."""
    try:
        return cast(Json, _decode(text))
    except (ValueError, RecursionError) as error:
        raise StoredValueError(f"stored text is not JSON ({error}): {text[:60]!r}") from error


def digest(content: str | bytes) -> str:
    """Return the SHA-256 digest, in full, as hexadecimal digits."""
    if isinstance(content, str):
        content = content.encode("utf-8", "surrogatepass")
    return hashlib.sha256(content).hexdigest()
