"""JSON to Python values."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from reflow.codecs.contract import CodecContext
from reflow.codecs.registry import NEED_CLASS, Registry, tag_of, unwrap
from reflow.errors import ReflowError, StoredValueError
from reflow.model.json import Json


class Decoder:
    """Decodes one value. Classes are found through the annotation, and nowhere else."""

    def __init__(
        self,
        registry: Registry,
        annotation: Any,
        directory: Path | None,
        encode: Callable[[Any], Json],
    ) -> None:
        self._registry = registry
        self._annotation = annotation
        self._context = CodecContext(directory, encode, self._decode_under)

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
        kind = object if tag is None else self._class(name, tag)
        try:
            return codec.decode(content, kind, self._context)
        except (ReflowError, RecursionError):
            raise
        except Exception as error:  # whatever a codec makes of damaged data
            raise StoredValueError(
                f"a value stored by the codec {name!r} cannot be read: {error}"
            ) from error

    def _class(self, name: str, tag: str) -> type:
        """Return the class of a stored value; `object` where a plugin's codec may do without it."""
        classes = self._registry.classes(self._annotation)
        if name not in NEED_CLASS and not classes.reaches(tag):
            return object
        return classes.find(tag)

    def _decode_under(self, data: Json, annotation: Any) -> Any:
        """Decode a part of a value, whose own annotation may name more classes."""
        if annotation is Any:
            return self.decode(data)
        context = self._context
        both = (annotation, self._annotation)
        return Decoder(self._registry, both, context.directory, context.encode).decode(data)
