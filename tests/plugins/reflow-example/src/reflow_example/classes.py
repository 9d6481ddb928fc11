"""Instances of attrs classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from reflow.plugin_api import CodecContext, Json, StoredValueError, UnstorableValueError


# [start:encode]
class AttrsCodec:
    """Instances of attrs classes, attribute by attribute."""

    name = "attrs"
    needs_class = True

    def handles(self, kind: type) -> bool:
        """Classes that attrs made, and their subclasses; attrs itself is not imported."""
        return hasattr(kind, "__attrs_attrs__") and not issubclass(kind, BaseException)

    def encode(self, value: Any, context: CodecContext) -> Json:
        """Encode each attribute by the codec of its own class."""
        names = names_of(type(value))
        if set(getattr(value, "__dict__", ())) - set(names):
            raise UnstorableValueError(
                f"this {type(value).__name__} has attributes that its class does not define"
            )
        return {name: context.encode(getattr(value, name)) for name in names}

    # [end:encode]
    # [start:decode]
    def decode(self, data: Any, kind: type, context: CodecContext) -> Any:
        """Set the same attributes; `__init__` is not called, as it could change them."""
        if set(names_of(kind)) != set(data):
            raise StoredValueError(f"{kind.__name__} has other attributes than when it was stored")
        value: Any = object.__new__(kind)
        for name, part in data.items():
            object.__setattr__(value, name, context.decode(part, Any))
        return value

    # [end:decode]
    # [start:facts]
    def places(self, data: Json) -> Sequence[str]:
        """No files that this codec wrote; those of its parts are found without it."""
        return ()

    def fingerprint(self, data: Json) -> Json:
        """All that was stored, each part by its own codec's rule."""
        return data


# [end:facts]
def names_of(kind: type) -> list[str]:
    """The names of a class's attributes."""
    return [attribute.name for attribute in getattr(kind, "__attrs_attrs__", ())]
