"""Values that annotations pickle, and who reads them."""

from __future__ import annotations

import os
import pickle
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import pytest
from reflow import Pickled
from reflow.codecs.codecs import Codecs
from reflow.codecs.pickled import may_be_read
from reflow.codecs.registry import Registry
from reflow.codecs.storable import unstorable
from reflow.errors import StoredValueError, UnstorableValueError

codecs = Codecs()
ran: list[str] = []


class Forest:
    def __init__(self, trees: int = 1) -> None:
        self.trees = trees

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Forest) and self.trees == other.trees

    def __hash__(self) -> int:
        return self.trees


def note(word: str) -> None:
    ran.append(word)


class Trap:
    def __reduce__(self) -> Any:
        return note, ("unpickled",)


@dataclass
class Fitted:
    forest: Annotated[Forest, Pickled()]
    score: float = 0.0


class Pair(NamedTuple):
    one: Annotated[Forest, Pickled()]
    other: Annotated[Forest | None, Pickled()] = None


OwnForest = Annotated[Forest, Pickled()]


@pytest.mark.parametrize(
    ("value", "annotation"),
    [
        (Forest(2), OwnForest),
        (Forest(2), Annotated[Forest, "a note", Pickled()]),
        (Forest(2), Annotated[Forest, Pickled]),
        (Forest(2), Annotated[Any, Pickled()]),
        ([Forest(1), Forest(2)], list[OwnForest]),
        ([Forest(1)], Annotated[list[Forest], Pickled()]),
        ({"a": Forest(1), "b": None}, dict[str, OwnForest | None]),
        ((Forest(1), 2), tuple[OwnForest, int]),
        (Fitted(Forest(3), 0.5), Fitted),
        ([Pair(Forest(3), None), Pair(Forest(3), Forest(1))], list[Pair]),
        (None, OwnForest | None),
    ],
    ids=range(11),
)
def test_values_are_pickled_where_the_annotation_says_so(
    value: Any, annotation: Any, folder: Path
) -> None:
    assert unstorable(annotation, Registry(tuple)) is None
    data = codecs.encode(value, annotation, folder)
    assert codecs.decode(data, annotation, folder) == value


def test_nothing_is_pickled_without_such_an_annotation(tmp_path: Path) -> None:
    with pytest.raises(UnstorableValueError, match=r"Annotated\[Forest, Pickled\(\)\]"):
        codecs.encode(Forest(), Any, tmp_path)


def test_what_is_no_such_value_is_not_pickled(tmp_path: Path) -> None:
    with pytest.raises(UnstorableValueError):
        codecs.encode(object(), OwnForest, tmp_path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return the folder of the files of a run."""
    made = tmp_path / ".reflow" / "a-run" / "files"
    made.mkdir(parents=True)
    for each in (made, *made.parents[:2]):
        each.chmod(0o755)
    return made


def trapped(folder: Path) -> Any:
    ran.clear()
    return codecs.encode(Trap(), Annotated[Trap, Pickled()], folder)


def test_a_pickled_value_is_not_read_where_no_annotation_says_so(folder: Path) -> None:
    data = trapped(folder)
    for annotation in (Any, Trap, Annotated[Trap, "Pickled()"]):
        with pytest.raises(StoredValueError):
            codecs.decode(data, annotation)
    assert not ran


def test_it_may_be_the_producers_annotation_that_says_so(folder: Path) -> None:
    codecs.decode(trapped(folder), (Trap, Annotated[Trap, Pickled()]))
    assert ran == ["unpickled"]


def refused(data: Any) -> None:
    with pytest.raises(StoredValueError):
        codecs.decode(data, Annotated[Trap, Pickled()])
    assert not ran


def test_a_file_that_others_may_write_is_not_unpickled(folder: Path) -> None:
    data = trapped(folder)
    Path(codecs.files(data)[0].path).chmod(0o664)
    refused(data)


def test_the_file_of_another_user_is_not_unpickled(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = trapped(folder)
    me = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: me + 1)
    refused(data)


def test_bytes_that_stand_in_the_database_are_not_unpickled(folder: Path) -> None:
    data = trapped(folder)
    (reference,) = codecs.files(data)
    content = codecs.encode(Path(reference.path).read_bytes())
    refused({"$pickled": ["PickledValue", content]})


def test_bytes_in_another_kind_of_file_of_ones_own_are_not_unpickled(folder: Path) -> None:
    """Another user may have chosen what an array holds."""
    data = trapped(folder)
    (reference,) = codecs.files(data)
    other = Path(reference.path).with_suffix(".npy")
    other.write_bytes(Path(reference.path).read_bytes())
    refused(
        {
            "$pickled": [
                "PickledValue",
                {"$file": [str(other), 0, reference.length, reference.digest]},
            ]
        }
    )


def test_a_changed_file_is_not_unpickled(folder: Path) -> None:
    data = trapped(folder)
    path = Path(codecs.files(data)[0].path)
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    refused(data)


def naming(path: Path, content: bytes) -> Any:
    """Return what a row of the database may say of any file."""
    reference = [str(path), 0, len(content), sha256(content).hexdigest()]
    return {"$pickled": ["PickledValue", {"$file": reference}]}


@pytest.mark.parametrize(
    "place",
    [
        "download.pickle",
        "{digest}.pickle",
        "files/{start}/{digest}.pickle",
        ".reflow/a-run/files/{start}/other.pickle",
        ".reflow/a-run/files/{digest}.pickle",
        ".reflow/a-run/copies/{start}/{digest}.pickle",
        ".reflow/a-run/files/00/{digest}.pickle",
        ".reflow/a-run/files/../files/{start}/{digest}.pickle",
        ".reflow/../files/{start}/{digest}.pickle",
    ],
)
def test_a_file_of_ones_own_that_is_none_of_a_run_is_not_unpickled(
    place: str, folder: Path, tmp_path: Path
) -> None:
    """It may have been downloaded, and a row of another user may name it."""
    ran.clear()
    content = pickle.dumps(Trap())
    digest = sha256(content).hexdigest()
    path = tmp_path / place.format(digest=digest, start=digest[:2])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    path.chmod(0o444)
    refused(naming(path, content))
    assert not may_be_read(str(path))


@pytest.mark.parametrize("depth", range(5))
def test_no_link_is_followed_to_a_pickled_value(depth: int, folder: Path) -> None:
    """The links lead from the folders of a run, or the file's own name, to somewhere else."""
    data = trapped(folder)
    path = Path(codecs.files(data)[0].path)
    linked = (path, *path.parents)[depth]
    elsewhere = folder.parents[2] / "elsewhere"
    linked.rename(elsewhere)
    linked.symlink_to(elsewhere)
    refused(data)


def test_a_value_in_a_folder_that_others_may_write_is_not_unpickled(folder: Path) -> None:
    data = trapped(folder)
    folder.chmod(0o777)
    refused(data)


def test_a_parameter_is_never_pickled() -> None:
    with pytest.raises(UnstorableValueError, match="as a parameter"):
        codecs.encode(Forest(), OwnForest)
