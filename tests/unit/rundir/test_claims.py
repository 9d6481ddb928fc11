"""Who may run a position, of all that think they should."""

from __future__ import annotations

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from reflow.rundir import claims
from reflow.rundir.claims import (
    BY_CREATION,
    BY_LINK,
    Claim,
    claim,
    current_claim,
    is_being_claimed,
)
from reflow.rundir.layout import WaveLayout


@pytest.fixture
def layout(tmp_path: Path) -> WaveLayout:
    layout = WaveLayout(tmp_path / "0")
    layout.claims.mkdir(parents=True)
    return layout


def job(native_id: str, incarnation: str = "0", pid: int = 1) -> Claim:
    return Claim(native_id=native_id, incarnation=incarnation, host="node01", pid=pid)


either_way = pytest.mark.parametrize("way", [BY_LINK, BY_CREATION])


@either_way
def test_of_many_jobs_at_once_one_gets_the_position(layout: WaveLayout, way: str) -> None:
    jobs = [job(str(number), pid=number) for number in range(20)]

    with ThreadPoolExecutor(20) as pool:
        got = list(pool.map(lambda mine: claim(layout, 3, mine, way), jobs))

    (winner,) = (mine for mine, has in zip(jobs, got, strict=True) if has)
    assert current_claim(layout, 3) == winner


@either_way
def test_a_later_life_of_the_same_job_takes_over_and_an_earlier_one_does_not(
    layout: WaveLayout, way: str
) -> None:
    assert claim(layout, 0, job("24", "0"), way)
    assert not claim(layout, 0, job("24", "0"), way)
    assert claim(layout, 0, job("24", "2"), way)
    assert not claim(layout, 0, job("24", "1"), way)
    assert not claim(layout, 0, job("25", "3"), way)
    assert current_claim(layout, 0) == job("24", "2")


def test_a_job_that_died_while_it_claimed_by_creation_leaves_no_claim_and_no_second_holder(
    layout: WaveLayout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims, "CLAIM_APPEARS_WITHIN", 0.05)
    (layout.claims / "0").mkdir()
    (layout.claims / "0" / ".0.0.taken").touch()

    assert not claim(layout, 0, job("24"), BY_CREATION)
    assert current_claim(layout, 0) is None


def test_who_has_no_patience_does_not_wait_for_a_claim_that_is_being_made(
    layout: WaveLayout, monkeypatch: pytest.MonkeyPatch
) -> None:
    (layout.claims / "0").mkdir()
    (layout.claims / "0" / ".0.0.taken").touch()
    waited: list[float] = []
    monkeypatch.setattr(time, "sleep", waited.append)

    assert not claim(layout, 0, job("24"), BY_CREATION, patience=0)

    assert waited == []


def test_a_claim_is_being_made_from_the_decision_until_it_is_there(layout: WaveLayout) -> None:
    assert not is_being_claimed(layout, 0)
    (layout.claims / "0").mkdir()
    for level in range(2):
        (layout.claims / "0" / f".0.{level}.taken").touch()
        assert is_being_claimed(layout, 0)
        (layout.claims / "0" / f".0.{level}.taken").unlink()
        assert claim(layout, 0, job("24", str(level)), BY_CREATION)
        assert not is_being_claimed(layout, 0)


def test_a_life_that_is_known_by_a_word_differs_from_any_other(layout: WaveLayout) -> None:
    assert claim(layout, 0, job("24", "cookie-a"))
    assert not claim(layout, 0, job("24", "cookie-a"))
    assert claim(layout, 0, job("24", "cookie-b"))


def test_nobody_has_a_position_that_was_not_claimed(layout: WaveLayout) -> None:
    assert current_claim(layout, 0) is None


def test_claims_of_many_positions_do_not_share_one_folder(layout: WaveLayout) -> None:
    for position in range(0, 3000, 100):
        assert claim(layout, position, job("24"))

    files = [path for path in layout.claims.rglob("*") if path.is_file()]
    assert Counter(path.parent for path in files).most_common(1)[0][1] == 10
    assert len(files) == 30
