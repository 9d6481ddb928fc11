"""Which codec serves which class, and the tags that codecs leave in stored data.

A value that JSON returns equal, type included, is stored as it is. Everything else is *wrapped*: an
object with the single key `$name`, the codec's tag. Values of users' classes and of plugins carry
the tag of their class too: `{"$enum":["Colour","RED"]}`. A dict with a key that begins with `$` is
itself wrapped, so in canonical text `{"$` stands for nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

from reflow.codecs.annotations import ReachableClasses
from reflow.codecs.builtin import builtin_codecs
from reflow.codecs.contract import Codec
from reflow.codecs.extras import codecs_for, codecs_of, is_extra
from reflow.errors import PluginError, StoredValueError
from reflow.model.json import Json

BUILTIN = {codec.name: codec for codec in builtin_codecs()}
SELF_CONTAINED = frozenset(BUILTIN) - {"path", "file", "pickled"}
"""Codecs that refer to nothing outside the data."""


def tag_of(data: dict[str, Json]) -> str | None:
    """Return the name of the codec that wrapped a value; None for an ordinary object."""
    if len(data) != 1:
        return None
    (key,) = data
    return key[1:] if key.startswith("$") else None


def is_own(name: str) -> bool:
    """Tell whether a codec of that name is reflow's own, not a plugin's."""
    return name in BUILTIN or is_extra(name)


@cache
def has_class_tag(name: str) -> bool:
    """Tell whether a codec's values carry a class tag before the content."""
    codec = BUILTIN.get(name)
    if codec is None and is_extra(name):
        codec = codecs_of(name).get(name)
    return codec is None or codec.needs_class


def unwrap(name: str, data: dict[str, Json]) -> tuple[str | None, Json]:
    """Return class tag and content of a wrapped value. Raises `StoredValueError` for others."""
    payload = data[f"${name}"]
    if not has_class_tag(name):
        return None, payload
    if isinstance(payload, list) and len(payload) == 2:
        tag, content = payload
        if tag is None or isinstance(tag, str):
            return tag, content
    raise StoredValueError(f"stored data is damaged, or not reflow's: {str(data)[:80]}")


def wrap(name: str, tag: str | None, content: Json) -> Json:
    """Return the stored form of a codec's content: the reverse of `unwrap`."""
    return {f"${name}": [tag, content] if has_class_tag(name) else content}


class Registry:
    """Finds codecs by class and by name: reflow's own, then those of plugins.

    `plugins` is called once, and only for what no codec of reflow's own knows. Codecs of reflow's
    own that it returns are ignored.
    """

    def __init__(self, plugins: Callable[[], Sequence[Codec]]) -> None:
        self._find_plugins = plugins
        self._found: dict[str, Codec] | None = None
        self._by_type: dict[type, Codec | None] = {}
        self._classes: dict[Any, ReachableClasses] = {}

    def for_type(self, kind: type) -> Codec | None:
        """Return the codec for values of exactly this class; None when there is none."""
        if kind not in self._by_type:
            self._by_type[kind] = (
                _first(BUILTIN, kind)
                or _first(codecs_for(kind), kind)
                or _first(self._plugins(), kind)
            )
        return self._by_type[kind]

    def named(self, name: str) -> Codec:
        """Return the codec of that name. Raises `StoredValueError` if none is installed."""
        codec = BUILTIN.get(name)
        if codec is None:
            codec = (codecs_of(name) if is_extra(name) else self._plugins()).get(name)
        if codec is None:
            raise StoredValueError(
                f"a value was stored by the codec {name!r}, which no installed plugin provides; "
                "install the plugin that it was stored with"
            )
        return codec

    def classes(self, annotation: Any) -> ReachableClasses:
        """Return the classes that an annotation reaches."""
        try:
            known = self._classes.get(annotation)
        except TypeError:  # not hashable
            return ReachableClasses(annotation)
        if known is None:
            known = self._classes[annotation] = ReachableClasses(annotation)
        return known

    def _plugins(self) -> dict[str, Codec]:
        if self._found is None:
            found: dict[str, Codec] = {}
            for codec in self._find_plugins():
                own = BUILTIN.get(codec.name) or codecs_of(codec.name).get(codec.name)
                if own is codec:
                    continue
                if own is not None or codec.name in found:
                    raise PluginError(f"two codecs have the name {codec.name!r}; uninstall one")
                found[codec.name] = codec
            self._found = found
        return self._found


def _first(codecs: Mapping[str, Codec], kind: type) -> Codec | None:
    return next((codec for codec in codecs.values() if codec.handles(kind)), None)
