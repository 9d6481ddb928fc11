"""Models of pydantic, field by field."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from reflow.codecs.contract import CodecContext
from reflow.codecs.self_contained import SelfContained
from reflow.codecs.unstorable import UnstorablePartError
from reflow.errors import StoredValueError, UnstorableValueError
from reflow.model.json import Json

_STATE = (
    "__dict__",
    "__pydantic_fields_set__",
    "__pydantic_extra__",
    "__pydantic_private__",
)


class ModelCodec(SelfContained):
    """Models whose class the annotation names, as JSON.

    What a model holds is stored as it stands, and comes back without being validated once more,
    which could change it. A field of a type that only pydantic knows is stored as pydantic writes
    it in JSON, and is read by its annotation.
    """

    name = "pydantic.model"
    needs_class = True

    def handles(self, kind: type) -> bool:
        """Tell whether a class is a model."""
        pydantic = sys.modules.get("pydantic")
        return pydantic is not None and issubclass(kind, pydantic.BaseModel)

    def encode(self, value: Any, context: CodecContext) -> Json:
        """Encode fields, extra ones and private ones, and which were set."""
        fields = type(value).__pydantic_fields__
        lacking = [name for name in fields if name not in vars(value)]
        if lacking:
            raise UnstorablePartError(
                f"this value of class {type(value).__qualname__}",
                f"its field {lacking[0]!r} is not set, and could not be read back",
            )
        held = {
            name: _field(value, name, part, fields, context)
            for name, part in vars(value).items()
            if name in fields
        }
        others = {name: part for name, part in vars(value).items() if _is_own(value, name)}
        return {
            "extra": context.encode(value.__pydantic_extra__),
            "fields": held,
            "others": context.encode(others),
            "private": context.encode(_private(value)),
            "set": sorted(value.__pydantic_fields_set__),
        }

    def decode(self, data: Any, kind: type, context: CodecContext) -> Any:
        """Return a model that holds the same."""
        if not self.handles(kind):
            raise StoredValueError(f"{kind.__qualname__} is no model, as it was when stored")
        fields: Mapping[str, Any] = kind.__pydantic_fields__  # type: ignore[attr-defined]
        if set(fields) != set(data["fields"]):
            changed = ", ".join(sorted(set(fields) ^ set(data["fields"])))
            raise StoredValueError(
                f"the fields of {kind.__qualname__} changed since this value was stored: {changed}"
            )
        # In the order of the class, which what is dumped follows; that of JSON objects is lost.
        stored = data["fields"]
        held = {name: _read(stored[name], field, context) for name, field in fields.items()}
        private = context.decode(data["private"], Any)
        state = (
            {**held, **context.decode(data["others"], Any)},
            set(data["set"]),
            context.decode(data["extra"], Any),
            None if private is None else _all_private(kind, private),
        )
        value: Any = object.__new__(kind)
        for name, part in zip(_STATE, state, strict=True):
            object.__setattr__(value, name, part)
        return value


CODECS = (ModelCodec(),)


def _is_own(value: Any, name: str) -> bool:
    """Tell whether an attribute is neither a field nor derived from fields."""
    from functools import cached_property

    kind = type(value)
    return name not in kind.__pydantic_fields__ and not isinstance(
        getattr(kind, name, None), cached_property
    )


def _private(value: Any) -> dict[str, Any] | None:
    from pydantic_core import PydanticUndefined

    held = value.__pydantic_private__
    if held is None:
        return None
    return {name: part for name, part in held.items() if part is not PydanticUndefined}


def _all_private(kind: Any, held: dict[str, Any]) -> dict[str, Any]:
    from pydantic_core import PydanticUndefined

    unset = {name: PydanticUndefined for name in kind.__private_attributes__ if name not in held}
    return {**held, **unset}


def _field(
    value: Any, name: str, part: Any, fields: Mapping[str, Any], context: CodecContext
) -> Json:
    try:
        return [context.encode(part)]
    except UnstorableValueError as refused:
        text = _as_pydantic_writes(part, fields[name])
        if text is None:
            if isinstance(refused, UnstorablePartError):
                raise refused.inside(f".{name}") from None
            raise
        return {"json": text}


def _as_pydantic_writes(part: Any, field: Any) -> str | None:
    """Return the JSON text of a field's value; None where pydantic does not read it back equal."""
    try:
        adapter = _adapter(field)
        text: str = adapter.dump_json(part, round_trip=True).decode()
        back = adapter.validate_json(text)
        return text if type(back) is type(part) and bool(back == part) else None
    except Exception:  # whatever a class in a field makes of it
        return None


def _read(data: Any, field: Any, context: CodecContext) -> Any:
    if isinstance(data, list):
        return context.decode(data[0], Any)
    return _adapter(field).validate_json(data["json"])


def _adapter(field: Any) -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(field.annotation)
