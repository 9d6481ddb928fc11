"""The contract of codecs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
    write_bytes: Callable[..., Json]
    """Stores bytes: `write_bytes(*pieces, suffix=".npy")`, each piece anything with a buffer.

    With `own_file=True` they go into a file of their own, however few they are.

    Few bytes stay in the data, more go into a file, which reflow names, puts on the disk, and
    takes care of. They are in what is returned, whose fingerprint is theirs. The suffix says in
    which format they are, for those who look at the file."""
    read_bytes: Callable[[Json], memoryview]
    """Reads what `write_bytes` stored. What is long is mapped from the file. The bytes may be
    changed, which changes nothing that is stored."""


class Codec(Protocol):
    """How values of some type are stored as JSON and come back equal, type included."""

    @property
    def name(self) -> str:
        """Marks what this codec stored; unique, short, and never changed once in use."""
        ...

    @property
    def needs_class(self) -> bool:
        """Whether values can be read only with their class, which an annotation must name then."""
        ...

    def handles(self, kind: type) -> bool:
        """Tell whether this codec stores values of exactly this class."""
        ...

    def encode(self, value: Any, context: CodecContext) -> Json:
        """Encode a value as JSON. Raises `UnstorableValueError` when it cannot be stored."""
        ...

    def decode(self, data: Json, kind: type, context: CodecContext) -> Any:
        """Decode a value. Raises `StoredValueError` for data the codec did not write."""
        ...

    def places(self, data: Json) -> Sequence[str]:
        """Return paths of the files and folders that `data` refers to. Most codecs return `()`.

        A stored value is used again only while all of them are in the state in which they were
        when the value was stored.
        """
        ...

    def fingerprint(self, data: Json) -> Json:
        """Return what identifies the value, wherever its files are. Most codecs return `data`.

        None where the files are the value: it then counts by `data`, and by the place and state
        of each file.
        """
        ...
