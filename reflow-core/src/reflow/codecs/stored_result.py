"""Return values as they are recorded, and what planning asks of them later."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reflow.codecs.codecs import Codecs
from reflow.codecs.lists import NotAListError, join, pairs, parts
from reflow.codecs.registry import SELF_CONTAINED
from reflow.codecs.run_dir_paths import run_directory
from reflow.codecs.value_files import ValueFiles
from reflow.model.canonical import dumps
from reflow.model.outcomes import HeldFile

__all__ = [
    "NotAListError",
    "StoredResult",
    "encode_result",
    "join",
    "may_refer",
    "pairs",
    "parts",
]

_MARK = re.compile(r'\{"\$([^"]*)":')


@dataclass(frozen=True, slots=True)
class StoredResult:
    """A return value, ready to be recorded."""

    output: str
    places: tuple[str, ...]
    """Paths of the files that it refers to, in the order of `Codecs.references`."""
    bound_dir: str | None
    held: tuple[HeldFile, ...] = ()
    """The files that bytes of it lie in, each once."""


def encode_result(
    value: Any,
    annotation: Any,
    run_dir: Path,
    codecs: Codecs,
    directory: Path | None = None,
    files: ValueFiles | None = None,
) -> StoredResult:
    """Encode a return value and record what its later use depends on.

    `annotation` is the function's return annotation, `directory` where codecs may put files, and
    `files` is what writes bytes for them. Raises `UnstorableValueError`.
    """
    data = codecs.encode(value, annotation, directory, files)
    output = dumps(data)
    within = run_directory(run_dir)
    parts = list(codecs.references(data)) if may_refer(output) else []
    places = tuple(place for part in parts for place in part.places)
    bound = within.mentioned_in(output, data) or any(map(within.contains, places))
    held: dict[str, HeldFile] = {}
    for file in filter(None, (part.file for part in parts)):
        held[file.path] = max(file.held, held.get(file.path, file.held))
    return StoredResult(output, places, str(run_dir) if bound else None, tuple(held.values()))


def may_refer(text: str) -> bool:
    """Tell whether a stored value may refer to files, whose state is then part of it."""
    return '{"$' in text and not SELF_CONTAINED.issuperset(_MARK.findall(text))
