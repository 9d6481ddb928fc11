"""Code that is copied into pages."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts import fill_pages

POND = '''
DEPTHS = (
    1,
    2,
)


@dataclass
class Pond:
    """Water."""

    depth: int = 1

    @property
    def fish(self) -> int:
        return 3

    def swim(self) -> None:
        """Swim."""
        dive()


# [start:rest]
def dive() -> None: ...
# [end:rest]
'''


@pytest.fixture(autouse=True)
def pond(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pond.py").write_text(POND)
    monkeypatch.setattr(fill_pages, "ROOT", tmp_path)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("DEPTHS", "DEPTHS = (\n    1,\n    2,\n)\n"),
        ("Pond", '@dataclass\nclass Pond:\n    """Water."""\n\n    depth: int = 1\n'),
        ("fish", "@property\ndef fish(self) -> int:\n    return 3\n"),
        (
            "swim,fish",
            'def swim(self) -> None:\n    """Swim."""\n    dive()\n\n'
            "@property\ndef fish(self) -> int:\n    return 3\n",
        ),
        ("rest", "def dive() -> None: ...\n"),
    ],
)
def test_a_part_is_between_marks_or_what_has_its_name(name: str, text: str) -> None:
    assert fill_pages.content(f"pond.py:{name}") == text


def test_a_part_that_is_not_there_is_an_error() -> None:
    with pytest.raises(LookupError, match="0 parts are called frog"):
        fill_pages.content("pond.py:frog")
