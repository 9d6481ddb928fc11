"""Python values to JSON."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, get_origin

from reflow.codecs.annotations import meaning
from reflow.codecs.builtin import splits_in_json
from reflow.codecs.contract import Codec, CodecContext
from reflow.codecs.extras import codecs_for, is_extra, lacking
from reflow.codecs.instead import of_unpromised, of_value
from reflow.codecs.registry import BUILTIN, Registry, has_class_tag, is_own, wrap
from reflow.codecs.unstorable import UnstorablePartError, step, type_name
from reflow.codecs.value_files import LONGEST_INLINE, ValueFiles
from reflow.errors import ReflowError
from reflow.model.canonical import dumps, loads
from reflow.model.json import Json
from reflow.wiring.types import members

_DEEPEST = 100  # levels; what was written from a shallow stack must be readable from a deep one
_INT_BITS = 2000  # below the smallest limit that can be set on decimal conversion (640 digits)


class Encoder:
    """Encodes one value."""

    def __init__(
        self,
        registry: Registry,
        annotation: Any,
        directory: Path | None,
        decode: Callable[[Json, Any], Any],
        read_bytes: Callable[[Json], memoryview],
        files: ValueFiles | None,
        *,
        fits: bool = True,
    ) -> None:
        """Encode what is of the annotation's classes; unless it `fits`, look at that more closely.

        Values of libraries that are another class are refused then: to keep them would hide from
        the author of the task that the annotation is wrong, until a taker of the value fails.
        """
        self._fits = fits
        self._registry = registry
        self._annotation = annotation
        self._files = files
        self._context = CodecContext(directory, self.encode, decode, self._write_bytes, read_bytes)
        self._depth = 0
        self._own_classes = 0
        """How many values of users' and libraries' classes the current one is a part of."""
        self._writers: dict[type, Callable[[Any], Json]] = {
            type(None): _as_it_is,
            bool: _as_it_is,
            int: self._int,
            float: self._float,
            str: self._str,
            list: self._list,
            dict: self._dict,
        }

    def encode(self, value: Any) -> Json:
        """Encode a value as JSON. Raises `UnstorableValueError`."""
        write = self._writers.get(type(value))
        if write is None:
            write = self._writers[type(value)] = self._writer(type(value))
        return write(value)

    def _int(self, value: int) -> Json:
        return value if value.bit_length() <= _INT_BITS else self._wrap(BUILTIN["int"], None, value)

    def _float(self, value: float) -> Json:
        return value if math.isfinite(value) else self._wrap(BUILTIN["float"], None, value)

    def _str(self, value: str) -> Json:
        return self._wrap(BUILTIN["str"], None, value) if splits_in_json(value) else value

    def _list(self, value: list[Any]) -> Json:
        encoded: list[Json] = []
        self._enter()
        try:
            for item in value:
                encoded.append(self.encode(item))  # noqa: PERF401 (its length names the item)
        except UnstorablePartError as error:
            raise error.inside(f"[{len(encoded)}]") from None
        finally:
            self._depth -= 1
        return encoded

    def _dict(self, value: dict[Any, Any]) -> Json:
        if not _is_plain(value):
            return self._wrap(BUILTIN["dict"], None, value)
        encoded: dict[str, Json] = {}
        key = None
        self._enter()
        try:
            for key, part in value.items():
                encoded[key] = self.encode(part)
        except UnstorablePartError as error:
            raise error.inside(step(key)) from None
        finally:
            self._depth -= 1
        return encoded

    def _writer(self, kind: type) -> Callable[[Any], Json]:
        """Return the function that encodes values of a class that JSON does not know."""
        codec = self._registry.for_type(kind)
        if codec is None:
            raise UnstorablePartError(f"a value of type {type_name(kind)}", of_value(kind))
        if not self._fits and is_extra(codec.name) and not self._is_promised(kind):
            return partial(self._refuse, codec)
        if not has_class_tag(codec.name):
            return partial(self._wrap, codec, None)
        tag = self._registry.classes(self._annotation).tag(kind)
        if tag is None and codec.needs_class:
            raise UnstorablePartError(
                f"a value of class {type_name(kind)}",
                f"such a value can be read back only where the annotation names its class: "
                f"write {kind.__qualname__} into it, instead of {_shown(self._annotation)}",
            )
        return partial(self._wrap, codec, tag)

    def _refuse(self, codec: Codec, value: Any) -> Json:
        """Refuse a value that is of no promised class, unless it is part of another."""
        if not self._own_classes:
            raise _unpromised(type(value), self._annotation, is_whole=not self._depth)
        return self._wrap(codec, None, value)

    def _wrap(self, codec: Codec, tag: str | None, value: Any) -> Json:
        self._enter()
        hides_parts = codec.needs_class or is_extra(codec.name)
        self._own_classes += hides_parts
        try:
            data = codec.encode(value, self._context)
            if not is_own(codec.name) and loads(dumps(data)) != data:
                raise TypeError("what it returned does not come back from JSON as it was")
        except (UnstorablePartError, ValueFileError, RecursionError):
            raise
        except Exception as error:  # whatever a codec, or a property of the value, may raise
            lacks = lacking(codec)
            raise UnstorablePartError(
                f"a value of type {type_name(type(value))}",
                f"install reflow-core[{lacks}]"
                if lacks
                else f"its codec {codec.name!r} failed: {error}",
            ) from error
        finally:
            self._own_classes -= hides_parts
            self._depth -= 1
        return wrap(codec.name, tag, data)

    def _is_promised(self, kind: type) -> bool:
        return any(_derives(kind, each) for each in self._registry.classes(self._annotation))

    def _write_bytes(self, *pieces: Any, suffix: str = "", own_file: bool = False) -> Json:
        views = [memoryview(piece) for piece in pieces]
        few = sum(view.nbytes for view in views) <= LONGEST_INLINE and not own_file
        if self._files is None or few:
            return self._wrap(BUILTIN["bytes"], None, b"".join(views))
        try:
            reference = self._files.put(views, suffix, own_file)
        except OSError as error:
            raise ValueFileError(error) from error
        return wrap("file", None, reference.as_json())

    def _enter(self) -> None:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise too_deep()


class ValueFileError(ReflowError, OSError):
    """The files of values cannot be written: the disk is full, or the run directory gone."""

    def __init__(self, error: OSError) -> None:
        super().__init__(f"a value could not be written to the run directory: {error}")


def refuse(value: Any, annotation: Any) -> None:
    """Raise `UnstorableValueError` for a value that cannot be meant by an annotation.

    That is so where a library's class is promised, of which it is none.
    """
    promised = members(meaning(annotation))
    if any(isinstance(kind, type) and codecs_for(kind) for kind in map(_class_of, promised)):
        raise _unpromised(type(value), annotation)


def _class_of(annotation: Any) -> Any:
    return get_origin(annotation) or annotation


def _derives(kind: type, base: type) -> bool:
    try:
        return issubclass(kind, base)
    except TypeError:  # a TypedDict, or a protocol that cannot be checked at run time
        return False


def _unpromised(kind: type, annotation: Any, *, is_whole: bool = True) -> UnstorablePartError:
    wanted = members(meaning(annotation)) if is_whole else ()
    advice = of_unpromised(kind, {_class_of(each) for each in wanted})
    return UnstorablePartError(
        f"a value of type {type_name(kind)}",
        f"the annotation promises {_shown(annotation)}" + (f": {advice}" if advice else ""),
    )


def too_deep() -> UnstorablePartError:
    """Return the error for values that are nested without end, or nearly."""
    return UnstorablePartError(
        f"a value nested more than {_DEEPEST} levels deep", "does it contain itself?"
    )


def _as_it_is(value: Json) -> Json:
    return value


def _is_plain(value: dict[Any, Any]) -> bool:
    """Tell whether a JSON object reads back as this dict, its order included: keys are sorted."""
    previous = ""
    for key in value:
        if type(key) is not str or key < previous or key.startswith("$") or splits_in_json(key):
            return False
        previous = key
    return True


def _shown(annotation: Any) -> str:
    if annotation is Any:
        return "no annotation"
    return type_name(annotation) if isinstance(annotation, type) else str(annotation)
