"""What a worker turns a return value into, and what planning asks of it later."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reflow.errors import StoredValueError
from reflow.model.json import Json
from reflow.values.bound import run_directory
from reflow.values.builtin import path_text
from reflow.values.codecs import Codecs, Reference
from reflow.values.lists import NotAListError, concatenate, join, parts
from reflow.values.registry import SELF_CONTAINED
from reflow.values.text import digest, dumps, loads

__all__ = [
    "NotAListError",
    "Sealed",
    "changed_since",
    "concatenate",
    "content_fingerprint",
    "is_stale",
    "join",
    "may_refer",
    "parts",
    "seal",
]

_MARK = re.compile(r'\{"\$([^"]*)":')


@dataclass(frozen=True, slots=True)
class Sealed:
    """A return value, ready to be recorded. See `Outcome` for the fields."""

    output: str
    fingerprint: str | None
    paths: str | None
    bound_dir: str | None


def seal(
    value: Any, annotation: Any, run_dir: Path, codecs: Codecs, directory: Path | None = None
) -> Sealed:
    """Encode a return value and note what its later use depends on.

    `annotation` is the function's return annotation, `directory` where codecs may put files.
    Raises `UnstorableValueError`.
    """
    data = codecs.encode(value, annotation, directory)
    output = dumps(data)
    within = run_directory(run_dir)
    bound = within.mentioned_in(output, data)
    fingerprint: str | None = None
    paths: str | None = None
    if not may_refer(output):
        fingerprint = digest(output)
    else:
        references = list(codecs.references(data))
        records = [_record(reference) for reference in references]
        if any(record["recorded"] is not None for record in records):
            paths = dumps(list[Json](records))
        else:
            fingerprint = digest(dumps(codecs.fingerprint(data)))
        bound = bound or any(map(within.contains, _paths(references)))
    return Sealed(output, fingerprint, paths, str(run_dir) if bound else None)


def may_refer(text: str) -> bool:
    """Whether what a stored text counts by may change: it may refer to files."""
    return '{"$' in text and not SELF_CONTAINED.issuperset(_MARK.findall(text))


def content_fingerprint(output_text: str, codecs: Codecs) -> str:
    """Digest of what a stored value counts by now.

    A `Path` counts by its text, and by size and modification time when it leads to a file;
    every other value counts by itself, type and order included. Raises `StoredValueError` when
    the plugin that stored a part is not installed.
    """
    if not may_refer(output_text):
        return digest(output_text)
    return digest(dumps(codecs.fingerprint(loads(output_text))))


def is_stale(paths_text: str | None, output_text: str, codecs: Codecs) -> str | None:
    """Why a stored output cannot be used any more: something it refers to is gone.

    None when all is there. What was missing already when the output was stored is not missed.
    """
    try:
        for reference, record in _recorded(paths_text, output_text, codecs):
            if record["existed"] and not reference.codec.exists(reference.data):
                return f"{_described(reference)} no longer exists"
            if _place(reference.codec.recorded(reference.data)) != _place(record["recorded"]):
                return f"{_described(reference)} leads elsewhere from this folder"
    except StoredValueError as error:
        return str(error)
    return None


def changed_since(paths_text: str | None, output_text: str, codecs: Codecs) -> str | None:
    """Why a stored output is not as it was: a file is gone, or has another size or time.

    None when everything is as recorded.
    """
    gone = is_stale(paths_text, output_text, codecs)
    if gone is not None:
        return gone
    for reference, record in _recorded(paths_text, output_text, codecs):
        if not reference.codec.verify(reference.data, record["recorded"]):
            return f"{_described(reference)} is not what it was when the task ended"
    return None


def _place(recorded: Json) -> Json:
    """The absolute path that a relative one led to; None for what is no path."""
    return recorded.get("path") if isinstance(recorded, dict) else None


def _paths(references: Iterable[Reference]) -> Iterator[str]:
    return (path_text(item.data) for item in references if item.codec.name == "path")


def _record(reference: Reference) -> dict[str, Json]:
    codec, data = reference.codec, reference.data
    return {
        "codec": codec.name,
        "existed": codec.exists(data),
        "recorded": codec.recorded(data),
    }


def _recorded(
    paths_text: str | None, output_text: str, codecs: Codecs
) -> Iterator[tuple[Reference, dict[str, Json]]]:
    """The references of an output beside what was recorded about them."""
    if paths_text is None:
        return
    records = loads(paths_text)
    references = list(codecs.references(loads(output_text)))
    if not isinstance(records, list) or len(records) != len(references):
        raise StoredValueError("what was recorded about the files of a result does not fit it")
    for reference, record in zip(references, records, strict=True):
        if not isinstance(record, dict) or record.get("codec") != reference.codec.name:
            raise StoredValueError("what was recorded about the files of a result does not fit it")
        yield reference, record


def _described(reference: Reference) -> str:
    if reference.codec.name == "path":
        return path_text(reference.data)
    return f"what the codec {reference.codec.name!r} stored"
