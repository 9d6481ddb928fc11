"""Values that are pickled, because an annotation says so.

To unpickle is to run what the bytes say. So only bytes are unpickled that this user has pickled:
they lie in a file of their own, which nothing but this codec writes, which belongs to this user,
and which nobody else may write. What a row of the database says does not matter: rows may be
others'.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from reflow.codecs.contract import CodecContext
from reflow.codecs.self_contained import SelfContained
from reflow.codecs.unstorable import UnstorablePartError
from reflow.codecs.value_files import FileReference
from reflow.errors import StoredValueError
from reflow.model.json import Json

SUFFIX = ".pickle"


class PickledValue:
    """A value where the annotation says `Pickled()`; it also stands for that in an annotation."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


class PickledCodec(SelfContained):
    """Values under `Pickled()`, read where an annotation says the same."""

    name = "pickled"
    needs_class = True

    def handles(self, kind: type) -> bool:
        """Tell whether a value was found under such an annotation."""
        return kind is PickledValue

    def encode(self, value: PickledValue, context: CodecContext) -> Json:
        """Pickle into a file of the value's own."""
        import pickle

        if context.directory is None:
            raise UnstorablePartError(
                "a pickled value as a parameter", "let a task make it from what can be typed"
            )
        return context.write_bytes(
            pickle.dumps(value.value, pickle.HIGHEST_PROTOCOL), suffix=SUFFIX, own_file=True
        )

    def decode(self, data: Any, kind: type, context: CodecContext) -> Any:
        """Unpickle what this user has pickled."""
        import pickle

        match data:
            case {"$file": reference}:
                found = FileReference.from_json(reference)
            case _:
                raise StoredValueError("a pickled value that is in no file is not read")
        context.read_bytes(data)  # which waits until it is there
        with Path(found.path).open("rb") as file:
            # Of the open file: what its path leads to may be another one a moment later.
            if not _is_own(os.fstat(file.fileno()), found.path) or found.offset:
                raise StoredValueError(f"{found.path} is not unpickled: it is not your own")
            content = file.read()
        found.require(memoryview(content))
        return pickle.loads(content)  # noqa: S301 - see above


def may_be_read(path: str) -> bool:
    """Tell whether a file that bytes of values lie in may be read by this user."""
    if path.endswith(SUFFIX):
        return _is_own(Path(path).stat(), path)
    return os.access(path, os.R_OK)


def _is_own(status: os.stat_result, path: str) -> bool:
    """Tell whether a file holds what this user has pickled."""
    return path.endswith(SUFFIX) and status.st_uid == os.geteuid() and not status.st_mode & 0o022
