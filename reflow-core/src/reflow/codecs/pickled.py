"""Values that are pickled, because an annotation says so.

To unpickle is to run what the bytes say. So only bytes are unpickled that this user has pickled:
they lie in a file of their own among the files of one of this user's runs, which nothing but this
codec writes there; it, and the folders of the run, belong to this user, and nobody else may write
them. What a row of the database says does not matter: rows may be others', and may name any file.
"""

from __future__ import annotations

import io
import os
import re
import sys
from typing import Any

from reflow.codecs.contract import CodecContext
from reflow.codecs.self_contained import SelfContained
from reflow.codecs.unstorable import UnstorablePartError
from reflow.codecs.value_files import FileReference
from reflow.errors import StoredValueError
from reflow.model.json import Json
from reflow.model.scripts import SCRIPTS

SUFFIX = ".pickle"
_PLACE = re.compile(
    r"(?P<run_dir>/.*)/(?P<folders>\.reflow/(?!\.)[^/]+/files/(?P<start>[0-9a-f]{2}))"
    r"/(?P<name>(?P<digest>(?P=start)[0-9a-f]{62})\.pickle)"
)
"""Where pickled values lie: among the files of a run, named by the digest of their content."""
_OPEN = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


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
        match data:
            case {"$file": reference}:
                found = FileReference.from_json(reference)
            case _:
                raise StoredValueError("a pickled value that is in no file is not read")
        place = _PLACE.fullmatch(found.path)
        if place is None or place["digest"] != found.digest or found.offset:
            raise _not_own(found.path)
        context.read_bytes(data)  # which waits until it is there
        try:
            descriptor = _open_own(place)
        except OSError as error:
            raise _not_own(found.path) from error
        with os.fdopen(descriptor, "rb") as file:
            content = file.read()
        found.require(memoryview(content))
        return _unpickled(content)


def _unpickled(content: bytes) -> Any:
    """Unpickle, with classes of the flow's own file whatever it is called in this process."""
    import pickle

    class Unpickler(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> Any:
            if module in SCRIPTS:
                top = name.partition(".")[0]
                holders = [each for each in (module, *SCRIPTS) if _has(each, top)]
                module = holders[0] if holders else module
            return super().find_class(module, name)

    return Unpickler(io.BytesIO(content)).load()


def _has(module: str, name: str) -> bool:
    return hasattr(sys.modules.get(module), name)


def may_be_read(path: str) -> bool:
    """Tell whether a file that bytes of values lie in may be read by this user.

    Raises `OSError` where a file that would be unpickled is not there.
    """
    if not path.endswith(SUFFIX):
        return os.access(path, os.R_OK)
    place = _PLACE.fullmatch(path)
    if place is None:
        return False
    os.close(_open_own(place))
    return True


def _open_own(place: re.Match[str]) -> int:
    """Open what this user has pickled. Raises `OSError`, also for what is not this user's own.

    What is opened is looked at, folder by folder, and no link is followed: what a path leads to may
    be another file a moment later.
    """
    folder = os.open(place["run_dir"], os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY)
    for name in place["folders"].split("/"):
        folder = _open_in(folder, name, os.O_DIRECTORY)
    return _open_in(folder, place["name"])


def _open_in(folder: int, name: str, flags: int = 0) -> int:
    """Open what lies in a folder, and close that. Raises `OSError`."""
    try:
        descriptor = os.open(name, _OPEN | flags, dir_fd=folder)
    finally:
        os.close(folder)
    status = os.fstat(descriptor)
    if status.st_uid != os.geteuid() or status.st_mode & 0o022:
        os.close(descriptor)
        raise PermissionError(f"{name} is not your own, or others may write it")
    return descriptor


def _not_own(path: str) -> StoredValueError:
    return StoredValueError(f"{path} is not unpickled: it is no file of a run of your own")
