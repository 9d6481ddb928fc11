"""Bytes of values in files: where they lie, and what becomes of damage."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from reflow.codecs.codecs import Codecs
from reflow.codecs.encoding import ValueFileError
from reflow.codecs.stored_result import encode_result
from reflow.codecs.value_files import (
    ALIGNMENT,
    LONGEST_INLINE,
    LONGEST_PACKED,
    FileReference,
    ValueFiles,
)
from reflow.errors import MissingFileError, StoredValueError
from reflow.model.canonical import loads

codecs = Codecs()
HEADER = 128  # of an .npy file


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "files"


@pytest.fixture
def files(folder: Path) -> ValueFiles:
    return ValueFiles(folder, folder / "waves" / "1")


def array_of(size: int, fill: int = 0) -> Any:
    """Return an array whose file is of that size."""
    return np.full(size - HEADER, fill, dtype="u1")


def stored(files: ValueFiles, *arrays: Any) -> list[FileReference]:
    return codecs.files(codecs.encode(list(arrays), files=files))


def kept(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_few_bytes_stay_in_the_data(files: ValueFiles, folder: Path) -> None:
    assert stored(files, array_of(LONGEST_INLINE)) == []
    assert kept(folder) == []


def test_values_of_one_writer_lie_in_one_file_aligned(files: ValueFiles, folder: Path) -> None:
    sizes = (LONGEST_INLINE + 1, LONGEST_PACKED, 5001)
    found = stored(files, *map(array_of, sizes))
    (path,) = kept(folder)
    assert {each.path for each in found} == {str(path)}
    assert [each.offset % ALIGNMENT for each in found] == [0, 0, 0]
    assert [each.length for each in found] == list(sizes)
    assert found[1].offset >= found[0].end


def test_another_writer_has_another_file(files: ValueFiles, folder: Path) -> None:
    other = ValueFiles(folder, folder / "waves" / "1")
    stored(files, array_of(5000))
    stored(other, array_of(5000))
    assert len(kept(folder)) == 2


def test_a_long_value_has_a_file_named_by_its_content(files: ValueFiles, folder: Path) -> None:
    one, two, three = stored(
        files,
        array_of(LONGEST_PACKED + 1),
        array_of(LONGEST_PACKED + 1),
        array_of(LONGEST_PACKED + 1, 1),
    )
    assert one == two
    assert sorted(kept(folder)) == sorted([Path(one.path), Path(three.path)])
    assert Path(one.path).name == f"{one.digest}.npy"
    assert np.load(one.path).nbytes == LONGEST_PACKED + 1 - HEADER
    assert Path(one.path).stat().st_mode & 0o222 == 0


def test_a_damaged_file_is_replaced_when_its_value_is_made_again(
    files: ValueFiles, folder: Path
) -> None:
    (one,) = stored(files, array_of(LONGEST_PACKED + 1))
    damage(one)
    (again,) = stored(files, array_of(LONGEST_PACKED + 1))
    assert (again.path, again.digest) == (one.path, one.digest)
    again.read(check=True)
    one.read()


def damage(reference: FileReference) -> None:
    path = Path(reference.path)
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.seek(reference.end - 1)
        file.write(b"\xff")


@pytest.mark.parametrize("size", [LONGEST_INLINE + 1, LONGEST_PACKED + 1])
def test_what_is_read_may_be_changed_and_changes_nothing_else(
    files: ValueFiles, folder: Path, size: int
) -> None:
    data = codecs.encode(array_of(size, 1), files=files)
    one, other = codecs.decode(data), codecs.decode(data)
    one += 1
    assert set(one) == {2}
    assert set(other) == {1}
    assert set(codecs.decode(data)) == {1}


def test_each_value_of_a_list_is_read_alone(files: ValueFiles) -> None:
    size = LONGEST_PACKED + 1
    data: Any = codecs.encode([array_of(size, 1), array_of(size, 2)], files=files)
    Path(codecs.files(data)[0].path).unlink()
    assert set(codecs.decode(data[1])) == {2}
    with pytest.raises(MissingFileError):
        codecs.decode(data[0])


@pytest.mark.parametrize("size", [LONGEST_INLINE + 1, LONGEST_PACKED + 1])
@pytest.mark.parametrize("cut", [True, False], ids=["cut", "gone"])
def test_a_file_that_is_gone_or_cut_short_is_never_read(
    files: ValueFiles, size: int, cut: bool
) -> None:
    data = codecs.encode(array_of(size), files=files)
    (reference,) = codecs.files(data)
    if cut:
        Path(reference.path).chmod(0o644)
        os.truncate(reference.path, size - 1)
    else:
        Path(reference.path).unlink()
    with pytest.raises(MissingFileError, match="gone or was cut short"):
        codecs.decode(data)


def test_a_changed_byte_is_found_at_once_in_a_short_value(files: ValueFiles) -> None:
    data = codecs.encode(array_of(5000), files=files)
    damage(*codecs.files(data))
    with pytest.raises(StoredValueError, match="damaged"):
        codecs.decode(data)


def test_a_changed_byte_is_found_in_a_long_value_whose_file_was_written_to(
    files: ValueFiles,
) -> None:
    data = codecs.encode(array_of(LONGEST_PACKED + 1), files=files)
    damage(*codecs.files(data))
    with pytest.raises(StoredValueError, match="damaged"):
        codecs.decode(data)


def test_a_changed_byte_is_found_in_a_long_value_where_files_are_checked(
    files: ValueFiles,
) -> None:
    data = codecs.encode(array_of(LONGEST_PACKED + 1), files=files)
    (reference,) = codecs.files(data)
    damage(reference)
    os.utime(reference.path, ns=(reference.written, reference.written))  # as a failing disk would
    codecs.decode(data)
    with pytest.raises(StoredValueError, match="damaged"):
        Codecs(check_files=True).decode(data)


def test_a_long_value_whose_file_only_has_another_time_is_read(files: ValueFiles) -> None:
    """As after it was copied back from an archive."""
    data = codecs.encode(array_of(LONGEST_PACKED + 1, 1), files=files)
    (reference,) = codecs.files(data)
    os.utime(reference.path)
    assert set(codecs.decode(data)) == {1}
    assert set(codecs.decode(codecs.encode(array_of(LONGEST_PACKED + 1, 1), files=files))) == {1}


def test_the_content_of_a_long_value_is_not_read_where_its_file_is_as_it_was(
    files: ValueFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = codecs.encode(array_of(LONGEST_PACKED + 1), files=files)
    monkeypatch.setattr(FileReference, "require", None)
    codecs.decode(data)


def test_a_file_that_is_written_to_at_once_has_another_time(files: ValueFiles) -> None:
    """Also where the file system keeps full seconds only."""
    (reference,) = stored(files, array_of(LONGEST_PACKED + 1))
    Path(reference.path).chmod(0o644)
    os.truncate(reference.path, reference.length)
    again = Path(reference.path).stat().st_mtime_ns
    assert again // 10**9 > reference.written // 10**9
    assert reference.written % 10**9 == 0


def test_a_value_counts_by_its_content_wherever_it_lies(tmp_path: Path) -> None:
    for size in (5000, LONGEST_PACKED + 1):
        counted = set()
        for name in ("one", "other"):
            files = ValueFiles(tmp_path / name, tmp_path / name / "waves")
            stored(files, array_of(5000 + len(name)))
            data = codecs.encode(array_of(size), files=files)
            counted.add(repr(codecs.fingerprint(data, {})))
        assert len(counted) == 1


def test_a_value_in_a_file_may_be_used_in_other_run_directories(tmp_path: Path) -> None:
    files = ValueFiles(tmp_path / "files", tmp_path / "files")
    result = encode_result([array_of(5000)], Any, tmp_path, codecs, files=files)
    assert str(tmp_path) in result.output
    assert result.bound_dir is None
    (reference,) = codecs.files(loads(result.output))
    assert result.held == ((reference.path, 5000, 0),)


def test_a_result_tells_when_a_file_of_its_own_was_written(tmp_path: Path) -> None:
    files = ValueFiles(tmp_path / "files", tmp_path / "files")
    long = array_of(LONGEST_PACKED + 1)
    result = encode_result([long, long], Any, tmp_path, codecs, files=files)
    [file] = result.held
    assert file.size == LONGEST_PACKED + 1
    assert file.written == Path(file.path).stat().st_mtime_ns


def test_a_full_disk_is_no_mistake_of_the_codec(
    files: ValueFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(*_: Any) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "pwrite", write)
    with pytest.raises(ValueFileError, match="No space left on device"):
        codecs.encode(array_of(5000), files=files)


@pytest.mark.parametrize(
    "data", [[], ["/x", 0, 1], ["/x", "0", 1, "d"], ["/x", 0, 1, "d", "e"], None, 1]
)
def test_damaged_references_are_an_error_of_ours(data: Any) -> None:
    with pytest.raises(StoredValueError):
        codecs.decode({"$numpy.array": [None, {"$file": data}]})


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="there is no list of mappings")
def test_a_long_value_is_mapped_and_shared_by_all_who_read_it(files: ValueFiles) -> None:
    data = codecs.encode(array_of(LONGEST_PACKED + 1), files=files)
    (reference,) = codecs.files(data)
    back = codecs.decode(data)
    maps = Path("/proc/self/maps").read_text().splitlines()
    (line,) = [each for each in maps if each.endswith(reference.path)]
    assert line.split()[1] == "rw-p"  # private: a page is copied when it is written to
    assert not back.flags.owndata


def test_what_was_appended_is_on_the_disk_once_and_before_it_is_referred_to(
    files: ValueFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    stored(files, array_of(5000))
    assert not synced
    files.sync()
    files.sync()
    assert len(synced) == 1
    stored(files, array_of(5000))
    files.sync()
    assert len(synced) == 2
