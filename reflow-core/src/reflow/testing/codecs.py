'''What every codec must do, as a class of tests that its author subclasses.

An author writes, in a test module::

    from reflow.testing.codecs import CodecConformance

    class TestPebbleCodec(CodecConformance):
        @pytest.fixture
        def codec(self):
            return PebbleCodec()

        @pytest.fixture
        def values(self):
            """Return values, no two of them equal."""
            return [Pebble("grey"), Pebble("white"), Pebble("")]

and runs pytest. For a codec that writes files there is `FileCodecConformance`.
'''

# ruff: noqa: D102 - the names of tests are sentences.

from __future__ import annotations

import re
import stat
import typing
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from reflow.codecs.codecs import Codecs
from reflow.codecs.contract import Codec
from reflow.codecs.registry import BUILTIN
from reflow.errors import StoredValueError, UnstorableValueError
from reflow.model.canonical import dumps, loads
from reflow.model.json import Json

OTHERS = (bool, int, float, str, bytes, list, tuple, dict, set, object)
"""Classes that reflow handles itself, or that no codec handles."""


class CodecConformance:
    """Subclass it, and give the fixtures `codec` and `values`."""

    @pytest.fixture
    def codec(self) -> Codec:
        """Return the codec under test."""
        raise NotImplementedError("give a fixture `codec` that returns the codec")

    @pytest.fixture
    def values(self) -> Sequence[Any]:
        """Return values that it stores, no two of them equal; also empty, huge and nested ones."""
        raise NotImplementedError("give a fixture `values` that returns values of the codec's")

    @pytest.fixture
    def unstorable(self) -> Sequence[Any]:
        """Return values of its classes that it cannot store; by default there are none."""
        return ()

    @pytest.fixture
    def annotation(self) -> Any:
        """Return the annotation of tasks with such values; needed where it names a class."""
        return Any

    def same(self, value: Any, back: Any) -> bool:
        """Tell whether a value was restored; override it where `==` does not tell."""
        return type(value) is type(back) and bool(value == back)

    @pytest.fixture
    def codecs(self, codec: Codec) -> Codecs:
        """Put the codec beside the built-in ones."""
        return Codecs(lambda: [codec])

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        """Return the folder where the codec may put files."""
        made = tmp_path / "files of a run"
        made.mkdir()
        return made

    @staticmethod
    def files(folder: Path) -> list[Path]:
        """List what a codec has put into its folder."""
        return [path for path in folder.rglob("*") if path.is_file()]

    def stored(self, codecs: Codecs, value: Any, annotation: Any, folder: Path | None) -> Json:
        """Return a value as the store gives it back."""
        text = dumps(codecs.encode(value, annotation, folder))
        assert text.isascii()
        return loads(text)

    def places(self, codecs: Codecs, codec: Codec, data: Json) -> list[str]:
        """List the files that the codec's own parts of stored data refer to."""
        parts = [each for each in codecs.references(data) if each.codec is codec]
        return [place for part in parts for place in part.places]

    # -- what it is ------------------------------------------------------------------------
    def test_its_name_is_a_word_that_is_not_taken(self, codec: Codec) -> None:
        assert re.fullmatch(r"[a-z][a-z0-9_.-]*", codec.name)
        assert BUILTIN.get(codec.name, codec) is codec

    def test_it_handles_its_values_and_leaves_other_types_alone(
        self, codec: Codec, values: Sequence[Any]
    ) -> None:
        kinds = {type(value) for value in values}
        assert [kind for kind in kinds if not codec.handles(kind)] == []
        assert [kind for kind in OTHERS if kind not in kinds and codec.handles(kind)] == []

    # -- there and back --------------------------------------------------------------------
    def test_values_come_back_equal_and_of_the_same_type(
        self,
        codec: Codec,
        codecs: Codecs,
        values: Sequence[Any],
        annotation: Any,
        folder: Path,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        for value in values:
            data = self.stored(codecs, value, annotation, folder)
            with monkeypatch.context() as reader:
                # Another process, started in another folder and with other files.
                reader.chdir(tmp_path)
                back = Codecs(lambda: [codec]).decode(data, annotation, tmp_path)
            assert self.same(value, back), f"{value!r} came back as {back!r}"

    def test_values_come_back_from_within_others(
        self, codecs: Codecs, values: Sequence[Any], annotation: Any, folder: Path
    ) -> None:
        nested = {"list": list(values), "tuple": (values[0], [values[-1]])}
        whole = typing.Union[dict[str, Any], annotation]  # noqa: UP007 - of a value
        data = self.stored(codecs, nested, whole, folder)
        back = codecs.decode(data, whole, folder)
        assert all(map(self.same, values, back["list"]))
        assert self.same(values[0], back["tuple"][0])
        assert self.same(values[-1], back["tuple"][1][0])

    def test_storing_a_value_does_not_change_it(
        self, codecs: Codecs, values: Sequence[Any], annotation: Any, folder: Path
    ) -> None:
        for value in values:
            data = self.stored(codecs, value, annotation, folder)
            assert self.stored(codecs, value, annotation, folder) == data

    def test_what_cannot_be_stored_is_an_error_of_ours(
        self, codecs: Codecs, unstorable: Sequence[Any], annotation: Any, folder: Path
    ) -> None:
        for value in unstorable:
            with pytest.raises(UnstorableValueError):
                codecs.encode(value, annotation, folder)

    def test_where_no_files_may_be_written_it_needs_none_or_says_so(
        self, codecs: Codecs, values: Sequence[Any], annotation: Any
    ) -> None:
        for value in values:
            try:
                data = self.stored(codecs, value, annotation, None)
            except UnstorableValueError:
                continue
            assert self.same(value, codecs.decode(data, annotation))

    # -- identity --------------------------------------------------------------------------
    def test_a_value_counts_the_same_wherever_it_was_stored(
        self,
        codecs: Codecs,
        values: Sequence[Any],
        annotation: Any,
        folder: Path,
        tmp_path: Path,
    ) -> None:
        for value in values:
            one, other = (
                codecs.fingerprint(self.stored(codecs, value, annotation, place), {})
                for place in (folder, tmp_path / "of another run")
            )
            assert dumps(one) == dumps(other)

    def test_different_values_count_differently(
        self, codecs: Codecs, values: Sequence[Any], annotation: Any, folder: Path
    ) -> None:
        counted = [
            dumps(codecs.fingerprint(self.stored(codecs, value, annotation, folder), {}))
            for value in values
        ]
        alike = [(values[one], values[two]) for one, two in _pairs(counted)]
        assert alike == []

    # -- where the store holds not all of it -----------------------------------------------
    def test_elements_that_store_the_same_at_once_do_not_disturb_each_other(
        self, codecs: Codecs, values: Sequence[Any], annotation: Any, folder: Path
    ) -> None:
        many = [value for value in values for _ in range(8)]

        with ThreadPoolExecutor(8) as pool:
            stored = list(pool.map(lambda one: self.stored(codecs, one, annotation, folder), many))

        # One after the other: codecs need not be thread-safe, as each task has its own process.
        for value, data in zip(many, stored, strict=True):
            assert self.same(value, codecs.decode(data, annotation, folder))


class FileCodecConformance(CodecConformance):
    """The tests of a codec that keeps what it stores in files of its own."""

    def test_others_may_not_write_its_files(
        self, codecs: Codecs, values: Sequence[Any], annotation: Any, folder: Path
    ) -> None:
        for value in values:
            self.stored(codecs, value, annotation, folder)
        others = stat.S_IWGRP | stat.S_IWOTH
        assert [path for path in self.files(folder) if path.stat().st_mode & others] == []

    def test_it_names_every_file_that_it_wrote(
        self, codec: Codec, codecs: Codecs, values: Sequence[Any], annotation: Any, folder: Path
    ) -> None:
        data = self.stored(codecs, values[0], annotation, folder)
        written = self.files(folder)
        assert written, "it wrote no files: use CodecConformance"
        assert sorted(map(Path, self.places(codecs, codec, data))) == sorted(written)

    def test_a_value_whose_file_is_gone_cannot_be_read(
        self, codecs: Codecs, values: Sequence[Any], annotation: Any, folder: Path
    ) -> None:
        data = self.stored(codecs, values[0], annotation, folder)
        for path in self.files(folder):
            path.unlink()
        with pytest.raises(StoredValueError):
            codecs.decode(data, annotation, folder)

    def test_a_file_that_was_changed_is_not_read_as_another_value(
        self, codecs: Codecs, values: Sequence[Any], annotation: Any, folder: Path
    ) -> None:
        data = self.stored(codecs, values[0], annotation, folder)
        for path in self.files(folder):
            content = path.read_bytes()
            path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
            with pytest.raises(StoredValueError):
                codecs.decode(data, annotation, folder)
            path.write_bytes(content)


def _pairs(texts: Sequence[str]) -> list[tuple[int, int]]:
    """List the places of equal texts."""
    places = combinations(range(len(texts)), 2)
    return [(one, two) for one, two in places if texts[one] == texts[two]]
