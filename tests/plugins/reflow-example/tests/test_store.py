"""The ledger, through the kit for stores."""

from __future__ import annotations

from pathlib import Path

import pytest
from reflow import Workflow
from reflow.plugin_api import StoreError, StoreVersionError
from reflow.testing.stores import StoreConformance
from reflow_example.store import LedgerStore, session


# [start:conformance]
class TestLedger(StoreConformance):
    store_class = LedgerStore

    @pytest.fixture
    def url(self, tmp_path: Path) -> str:
        return f"ledger://{tmp_path}/state/ledger.db"


# [end:conformance]
def test_a_workflow_keeps_its_results_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    wf = Workflow("small")

    @wf.job(version="1")
    def once() -> int:
        calls.append(1)
        return 7

    url = f"ledger://{tmp_path}/ledger.db"
    monkeypatch.setenv("REFLOW_STORE", url)
    runs = [wf.run_local(run_dir=tmp_path / name) for name in ("one", "two")]
    assert [run.result("once") for run in runs] == [7, 7]
    assert calls == [1]
    assert len(LedgerStore(url).list_runs()) == 2


def test_a_newer_ledger_is_refused(tmp_path: Path) -> None:
    with session(tmp_path / "ledger.db", "BEGIN") as opened:
        opened.rows("PRAGMA user_version = 99")
    with pytest.raises(StoreVersionError, match="pip install --upgrade reflow-example"):
        LedgerStore(f"ledger://{tmp_path}/ledger.db").list_runs()


def test_what_is_no_ledger_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("these are notes, not a database\n" * 100)
    with pytest.raises(StoreError, match=r"notes\.txt"):
        LedgerStore(f"ledger://{tmp_path}/notes.txt").list_runs()
    with pytest.raises(StoreError, match="ledger:///absolute"):
        LedgerStore("ledger://here")
