"""JSON to Python values."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from reflow.codecs.contract import Codec, CodecContext
from reflow.codecs.extras import is_extra
from reflow.codecs.registry import Registry, tag_of, unwrap
from reflow.codecs.value_files import FileReference
from reflow.errors import ReflowError, StoredValueError, UnstorableValueError
from reflow.model.json import Json


class Decoder:
    """Decodes one value. Classes are found through the annotation, and nowhere else."""

    def __init__(
        self,
        registry: Registry,
        annotation: Any,
        directory: Path | None,
        encode: Callable[[Any], Json],
        read_file: Callable[[FileReference], memoryview],
    ) -> None:
        self._registry = registry
        self._annotation = annotation
        self._read_file = read_file
        self._context = CodecContext(
            directory, encode, self._decode_under, _write_nothing, self._read_bytes
        )

    def decode(self, data: Json) -> Any:
        """Decode a value. Raises `StoredValueError`."""
        if isinstance(data, list):
            return [self.decode(item) for item in data]
        if not isinstance(data, dict):
            return data
        name = tag_of(data)
        if name is None:
            return {key: self.decode(part) for key, part in data.items()}
        return self._decode_wrapped(name, *unwrap(name, data))

    def _decode_wrapped(self, name: str, tag: str | None, content: Json) -> Any:
        codec = self._registry.named(name)
        kind = object if tag is None else self._class(codec, tag)
        try:
            return codec.decode(content, kind, self._context)
        except (ReflowError, RecursionError):
            raise
        except ModuleNotFoundError as error:
            library = name.partition(".")[0]
            advice = f"install reflow-core[{library}]" if is_extra(name) else str(error)
            raise StoredValueError(
                f"a value stored by the codec {name!r} cannot be read here: {advice}"
            ) from error
        except Exception as error:  # whatever a codec makes of damaged data
            raise StoredValueError(
                f"a value stored by the codec {name!r} cannot be read: {error}"
            ) from error

    def _class(self, codec: Codec, tag: str) -> type:
        """Return the class of a stored value; `object` where a plugin's codec may do without it."""
        classes = self._registry.classes(self._annotation)
        if not codec.needs_class and not classes.reaches(tag):
            return object
        return classes.find(tag)

    def _decode_under(self, data: Json, annotation: Any) -> Any:
        """Decode a part of a value, whose own annotation may name more classes."""
        if annotation is Any:
            return self.decode(data)
        context = self._context
        both = (annotation, self._annotation)
        return Decoder(
            self._registry, both, context.directory, context.encode, self._read_file
        ).decode(data)

    def _read_bytes(self, data: Json) -> memoryview:
        """Return the bytes that a codec has stored: they lie in a file, or stand in the data."""
        if isinstance(data, dict) and tag_of(data) == "file":
            return self._read_file(FileReference.from_json(data["$file"]))
        found = self.decode(data)
        if not isinstance(found, bytes):
            raise StoredValueError(f"no stored bytes: {str(data)[:80]}")
        return memoryview(bytearray(found))


def _write_nothing(*pieces: object, suffix: str = "", own_file: bool = False) -> Json:
    raise UnstorableValueError("bytes cannot be stored while a value is read")
