"""The contract of codecs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from reflow.model.json import Json


@dataclass(frozen=True, slots=True)
class CodecContext:
    """What a codec may use besides the value."""

    directory: Path | None
    """A folder for files that hold parts of the value; None where none may be written. What is
    stored about such a file must be its absolute path."""
    encode: Callable[[Any], Json]
    """Encodes a part, whatever its type."""
    decode: Callable[[Json, Any], Any]
    """Decodes a part under the annotation given."""


class Codec(Protocol):
    """How values of some type are stored as JSON and come back equal, type included."""

    @property
    def name(self) -> str:
        """Marks what this codec stored; unique, short, and never changed once in use."""
        ...

    def handles(self, kind: type) -> bool:
        """Whether values of exactly this class are this codec's."""
        ...

    def encode(self, value: Any, context: CodecContext) -> Json:
        """The value as JSON. Raises `UnstorableValueError` when it cannot be stored."""
        ...

    def decode(self, data: Json, kind: type, context: CodecContext) -> Any:
        """The value again. Raises `StoredValueError` for data it did not write."""
        ...

    def fingerprint(self, data: Json) -> Json:
        """What the value counts by in identities. Most codecs return `data`."""
        ...

    def recorded(self, data: Json) -> Json:
        """Facts about files outside `data` that `verify` needs; None where there are none."""
        ...

    def exists(self, data: Json) -> bool:
        """Whether what `data` refers to is still there. Most codecs return True."""
        ...

    def verify(self, data: Json, recorded: Json) -> bool:
        """Whether it is still as recorded. Most codecs return True."""
        ...
