"""Values to JSON and back: the interface of the encoder, the decoder and all codecs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from reflow.codecs.contract import Codec
from reflow.codecs.decoding import Decoder
from reflow.codecs.encoding import Encoder, refuse, too_deep
from reflow.codecs.promises import Promises
from reflow.codecs.registry import SELF_CONTAINED, Registry, tag_of, unwrap, wrap
from reflow.codecs.scalars import Fit
from reflow.codecs.value_files import FileReference, ValueFiles
from reflow.errors import StoredValueError
from reflow.model.json import Json


@dataclass(frozen=True, slots=True)
class Reference:
    """A part of encoded data that may refer to files outside it."""

    codec: Codec
    data: Json

    @property
    def places(self) -> Sequence[str]:
        """Paths of those files."""
        return self.codec.places(self.data)

    @property
    def file(self) -> FileReference | None:
        """Where bytes lie that reflow has written; None for a part of another kind."""
        return FileReference.from_json(self.data) if self.codec.name == "file" else None


class Codecs:
    """Encodes and decodes values.

    `plugins` gives the codecs of plugins. It is called at most once, and only for a type or a
    stored value that no built-in codec knows.
    """

    def __init__(
        self,
        plugins: Callable[[], Sequence[Codec]] = tuple,
        *,
        check_files: bool = False,
        patience: float = 0.0,
    ) -> None:
        """Read files as `FileReference.read` does with `check_files` and `patience` in seconds."""
        self._registry = Registry(plugins)
        self._promises = Promises()
        self._read_file = partial(FileReference.read, check=check_files, patience=patience)

    def encode(
        self,
        value: Any,
        annotation: Any = Any,
        directory: Path | None = None,
        files: ValueFiles | None = None,
    ) -> Json:
        """Encode a value as JSON; a list becomes an array of its encoded items.

        `annotation` names the classes that may occur in the value, and what equals a value of
        them is stored as one (see `promises.py`); `directory` is where codecs may put files, and
        `files`, by default in the same folder, is where reflow puts bytes for them. Without a
        folder all bytes stay in the data. Raises `UnstorableValueError`, which says what cannot
        be stored and where in the value it sits.
        """
        decode = partial(self._decode_part, annotation, directory)
        if files is None and directory is not None:
            files = ValueFiles(directory)
        try:
            kept, fit = self._promises.keep(value, annotation)
            if fit is Fit.NOT:
                refuse(value, annotation)
            return Encoder(
                self._registry,
                annotation,
                directory,
                decode,
                self._read_bytes,
                files,
                fits=fit > Fit.PARTLY,
            ).encode(kept)
        except RecursionError:
            raise too_deep() from None

    def decode(self, data: Json, annotation: Any = Any, directory: Path | None = None) -> Any:
        """Decode a value, equal to the encoded one and of the same type.

        Classes are found through `annotation` alone (a tuple of annotations will do, where
        several tasks describe the value); nothing that the data names is imported. Raises
        `StoredValueError` for data that `encode` did not write, or wrote under an annotation
        that names other classes.
        """
        encode = partial(self.encode, annotation=annotation, directory=directory)
        try:
            return Decoder(self._registry, annotation, directory, encode, self._read_file).decode(
                data
            )
        except RecursionError:
            raise StoredValueError("a stored value is nested too deeply to be read") from None

    def fingerprint(self, data: Json, files: Mapping[str, Json]) -> Json:
        """Return the fingerprint of encoded data; `files` holds that of each of its `places`."""
        if isinstance(data, list):
            return [self.fingerprint(item, files) for item in data]
        if not isinstance(data, dict):
            return data
        name = tag_of(data)
        if name is None or name in SELF_CONTAINED:
            return {key: self.fingerprint(part, files) for key, part in data.items()}
        tag, content = unwrap(name, data)
        codec = self._registry.named(name)
        counted = codec.fingerprint(content)
        if counted is None:
            return wrap(name, tag, [content, *map(files.get, codec.places(content))])
        return wrap(name, tag, self.fingerprint(counted, files))

    def references(self, data: Json) -> Iterator[Reference]:
        """Yield the parts of encoded data that may refer to files, always in the same order."""
        if isinstance(data, list):
            for item in data:
                yield from self.references(item)
        elif isinstance(data, dict):
            name = tag_of(data)
            if name is not None and name not in SELF_CONTAINED:
                yield Reference(self._registry.named(name), unwrap(name, data)[1])
            for key in sorted(data):
                if isinstance(data[key], dict | list):
                    yield from self.references(data[key])

    def places(self, data: Json) -> list[str]:
        """Return paths of all files that encoded data refers to, in the order of `references`."""
        return [place for part in self.references(data) for place in part.places]

    def files(self, data: Json) -> list[FileReference]:
        """Return the references to files of values in encoded data."""
        return [file for part in self.references(data) if (file := part.file) is not None]

    def _read_bytes(self, data: Json) -> memoryview:
        found: memoryview = self.decode({"$tuple": [data]})[0]
        return found

    def _decode_part(self, outer: Any, directory: Path | None, data: Json, annotation: Any) -> Any:
        return self.decode(data, outer if annotation is Any else (annotation, outer), directory)
