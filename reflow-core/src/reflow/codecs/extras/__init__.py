"""Codecs of libraries that reflow does not need itself.

A codec's module is imported once a value, a stored value or an annotation of its library is met,
and imports the library itself no earlier than it is called. So these codecs cost nobody anything
who does not use them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from importlib import import_module

from reflow.codecs.contract import Codec

_MODULES = {
    "numpy": "arrays",
    "pandas": "frames",
    "pydantic": "models",
    "xarray": "datasets",
}
"""By the name of a library, which the names of its codecs begin with, the module of the codecs."""
_NEEDS = {"pandas": "pyarrow", "xarray": "h5netcdf"}
"""What a library's codecs import beside it."""


def is_extra(name: str) -> bool:
    """Tell whether the name of a codec is of one in this package."""
    return name.partition(".")[0] in _MODULES


def is_of_extra(kind: type) -> bool:
    """Tell whether a class is one of the libraries' own: its fields are none of the user's."""
    return kind.__module__.partition(".")[0] in _MODULES


def codecs_of(name: str) -> Mapping[str, Codec]:
    """Return by their names the codecs of the library of a codec; empty for other names."""
    library = name.partition(".")[0]
    return _load(library) if library in _MODULES else {}


def codecs_for(kind: type) -> Mapping[str, Codec]:
    """Return by their names the codecs of the libraries that a class, or a base of it, is from."""
    libraries = {base.__module__.partition(".")[0] for base in kind.__mro__}
    found: dict[str, Codec] = {}
    for library in libraries & _MODULES.keys():
        found.update(_load(library))
    return found


def extra_codecs() -> Sequence[Codec]:
    """Return all codecs of this package; always the same objects."""
    return [codec for library in _MODULES for codec in _load(library).values()]


def lacking(codec: Codec) -> str | None:
    """Return the extra of reflow-core that a codec lacks a library for; None where it has all."""
    from importlib.util import find_spec

    library = codec.name.partition(".")[0]
    needed = _NEEDS.get(library)
    return None if needed is None or find_spec(needed) is not None else library


@cache
def _load(library: str) -> dict[str, Codec]:
    module = import_module(f"{__name__}.{_MODULES[library]}")
    codecs: Sequence[Codec] = module.CODECS
    return {codec.name: codec for codec in codecs}
