"""Values that annotations pickle, and who reads them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import pytest
from reflow import Pickled
from reflow.codecs.codecs import Codecs
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
    value: Any, annotation: Any, tmp_path: Path
) -> None:
    assert unstorable(annotation, Registry(tuple)) is None
    data = codecs.encode(value, annotation, tmp_path)
    assert codecs.decode(data, annotation, tmp_path) == value


def test_nothing_is_pickled_without_such_an_annotation(tmp_path: Path) -> None:
    with pytest.raises(UnstorableValueError, match=r"Annotated\[Forest, Pickled\(\)\]"):
        codecs.encode(Forest(), Any, tmp_path)


def test_what_is_no_such_value_is_not_pickled(tmp_path: Path) -> None:
    with pytest.raises(UnstorableValueError):
        codecs.encode(object(), OwnForest, tmp_path)


def trapped(folder: Path) -> Any:
    ran.clear()
    return codecs.encode(Trap(), Annotated[Trap, Pickled()], folder)


def test_a_pickled_value_is_not_read_where_no_annotation_says_so(tmp_path: Path) -> None:
    data = trapped(tmp_path)
    for annotation in (Any, Trap, Annotated[Trap, "Pickled()"]):
        with pytest.raises(StoredValueError):
            codecs.decode(data, annotation)
    assert not ran


def test_it_may_be_the_producers_annotation_that_says_so(tmp_path: Path) -> None:
    codecs.decode(trapped(tmp_path), (Trap, Annotated[Trap, Pickled()]))
    assert ran == ["unpickled"]


def refused(data: Any) -> None:
    with pytest.raises(StoredValueError):
        codecs.decode(data, Annotated[Trap, Pickled()])
    assert not ran


def test_a_file_that_others_may_write_is_not_unpickled(tmp_path: Path) -> None:
    data = trapped(tmp_path)
    Path(codecs.files(data)[0].path).chmod(0o664)
    refused(data)


def test_the_file_of_another_user_is_not_unpickled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = trapped(tmp_path)
    me = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: me + 1)
    refused(data)


def test_bytes_that_stand_in_the_database_are_not_unpickled(tmp_path: Path) -> None:
    data = trapped(tmp_path)
    (reference,) = codecs.files(data)
    content = codecs.encode(Path(reference.path).read_bytes())
    refused({"$pickled": ["PickledValue", content]})


def test_bytes_in_another_kind_of_file_of_ones_own_are_not_unpickled(tmp_path: Path) -> None:
    """Another user may have chosen what an array holds."""
    data = trapped(tmp_path)
    (reference,) = codecs.files(data)
    other = tmp_path / "array.npy"
    other.write_bytes(Path(reference.path).read_bytes())
    refused(
        {
            "$pickled": [
                "PickledValue",
                {"$file": [str(other), 0, reference.length, reference.digest]},
            ]
        }
    )


def test_a_changed_file_is_not_unpickled(tmp_path: Path) -> None:
    data = trapped(tmp_path)
    path = Path(codecs.files(data)[0].path)
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    refused(data)


def test_a_parameter_is_never_pickled() -> None:
    with pytest.raises(UnstorableValueError, match="as a parameter"):
        codecs.encode(Forest(), OwnForest)
