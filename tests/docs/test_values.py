"""The table of values in the documentation, row by row."""

from __future__ import annotations

import collections
import datetime
import decimal
import enum
import fractions
import re
import typing
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypedDict

import numpy
import numpy.typing
import pandas
import pydantic
import pytest
import xarray
from reflow import Pickled
from reflow.codecs.codecs import Codecs
from reflow.codecs.value_files import LONGEST_PACKED, ValueFiles
from reflow.errors import UnstorableValueError
from reflow.model.json import Json
from reflow.permissions import make_folder

from tests.docs.pages import REPOSITORY

PAGE = REPOSITORY / "docs" / "values.md"
codecs = Codecs()


@dataclass
class Point:
    x: float
    grid: Any = None


class Colour(enum.Enum):
    RED = 1


class Pair(NamedTuple):
    name: str
    size: int


class Config(TypedDict):
    steps: int


class Pond(pydantic.BaseModel):
    name: str


class Forest:
    """Stands for a class of another library."""


NAMES: dict[str, Any] = {
    **vars(typing),
    "Colour": Colour,
    "Config": Config,
    "Counter": collections.Counter,
    "Decimal": decimal.Decimal,
    "Forest": Forest,
    "Fraction": fractions.Fraction,
    "NDArray": numpy.typing.NDArray,
    "Pair": Pair,
    "Path": Path,
    "Pickled": Pickled,
    "Point": Point,
    "Pond": Pond,
    "deque": collections.deque,
    "defaultdict": collections.defaultdict,
    "dt": datetime,
    "np": numpy,
    "pd": pandas,
    "uuid": uuid,
    "xr": xarray,
}
"""What the cells of the table may use."""


def rows() -> list[tuple[str, ...]]:
    """Value, annotation, how it is stored, what comes back and what counts, as on the page."""
    table = PAGE.read_text().partition("## The table")[2]
    lines = [line for line in table.splitlines() if line.startswith("| `")]
    cells = (re.split(r" (?<!\\)\| ", line.strip("| ")) for line in lines)
    return [tuple(cell.strip("`").replace("\\|", "|") for cell in row) for row in cells]


@pytest.mark.parametrize(
    ("value", "annotation", "stored", "back", "counts"), rows(), ids=lambda cell: cell[:40]
)
def test_a_row_says_how_a_value_is_stored_what_comes_back_and_what_counts(
    value: str, annotation: str, stored: str, back: str, counts: str, tmp_path: Path
) -> None:
    returned = eval(value, NAMES)
    promised = Any if annotation == "—" else eval(annotation, NAMES)
    folder = tmp_path / ".reflow" / "a-run" / "files"
    make_folder(folder, within=tmp_path)
    files = ValueFiles(folder, folder / "packed")
    if stored == "refused":
        with pytest.raises(UnstorableValueError):
            codecs.encode(returned, promised, folder, files)
        return
    data = codecs.encode(returned, promised, folder, files)
    assert how(data) == stored
    read = codecs.decode(data, promised, folder)
    assert type(read).__name__ == back
    assert ("place and state" if codecs.places(data) else "content") == counts


def how(data: Json) -> str:
    """Return the page's words for where encoded data lies."""
    found = codecs.files(data)
    if not found:
        return "JSON"
    (file,) = found
    if file.path.endswith(".values"):
        assert file.length <= LONGEST_PACKED
        return "shared file"
    return f"own file, {Path(file.path).suffix}"


def test_the_table_has_forty_kinds_of_values() -> None:
    assert len(rows()) >= 40
    assert len({(row[0], row[1]) for row in rows()}) == len(rows())
