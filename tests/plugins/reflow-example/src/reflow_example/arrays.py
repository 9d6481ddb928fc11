"""NumPy arrays, each in a file of its own."""

from __future__ import annotations

import hashlib
import io
import os
import sys
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reflow.plugin_api import CodecContext, Json, StoredValueError, UnstorableValueError

if TYPE_CHECKING:
    import numpy


# [start:encode]
class NpyCodec:
    """Arrays as `.npy` files; the name of each is the digest of its content."""

    name = "npy"

    def handles(self, kind: type) -> bool:
        """Exactly `numpy.ndarray`: a masked array or a matrix would lose its type."""
        loaded = sys.modules.get("numpy")
        return loaded is not None and kind is loaded.ndarray

    def encode(self, value: Any, context: CodecContext) -> Json:
        """Write the file; what is stored is its path and digest."""
        if context.directory is None:
            raise UnstorableValueError(
                "a NumPy array can be the result of a task, but not a parameter of a run: "
                "give the run a path, and load the array in a task"
            )
        content = written(value)
        digest = hashlib.sha256(content).hexdigest()
        path = context.directory.absolute() / f"{digest}.npy"
        if not path.exists():
            write_whole(path, content)
        return {"path": str(path), "sha256": digest}

    # [end:encode]
    # [start:decode]
    def decode(self, data: Any, kind: type, context: CodecContext) -> Any:
        """Read the array; an error if the file is not as it was written."""
        import numpy

        try:
            content = Path(data["path"]).read_bytes()
        except OSError as error:
            raise StoredValueError(f"the array in {data['path']} is gone: {error}") from error
        if hashlib.sha256(content).hexdigest() != data["sha256"]:
            raise StoredValueError(f"{data['path']} was changed since the array was stored there")
        return numpy.load(io.BytesIO(content), allow_pickle=False)

    # [end:decode]
    # [start:facts]
    def places(self, data: Any) -> Sequence[str]:
        """The file that holds the array."""
        return (data["path"],)

    def fingerprint(self, data: Any) -> Json:
        """An array counts by its content, wherever the file is."""
        digest: str = data["sha256"]
        return digest


# [end:facts]
# [start:files]
def written(value: numpy.ndarray[Any, Any]) -> bytes:
    """The content of the file. Raises `UnstorableValueError` for arrays of Python objects."""
    import numpy

    file = io.BytesIO()
    try:
        numpy.save(file, value, allow_pickle=False)
    except ValueError as error:
        raise UnstorableValueError(f"cannot store an array of {value.dtype}: {error}") from error
    return file.getvalue()


def write_whole(path: Path, content: bytes) -> None:
    """Write a file completely or not at all, even if other processes write it at the same time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    own = path.with_name(f"{path.name}.{uuid.uuid4().hex}")
    with own.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    own.replace(path)


# [end:files]
