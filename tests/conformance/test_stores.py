"""The SQL store on both its databases, through the kit that authors of stores are given."""

from __future__ import annotations

from pathlib import Path

import pytest
from reflow.stores.filesystem import Mount
from reflow.stores.sql import SqlStore
from reflow.testing.stores import StoreConformance


class TestSqlite(StoreConformance):
    store_class = SqlStore

    @pytest.fixture
    def url(self, tmp_path: Path) -> str:
        return f"sqlite://{tmp_path}/state/manifest.db"


class TestSqliteOnANetwork(StoreConformance):
    """Without a write-ahead log, as on file systems that several hosts share."""

    store_class = SqlStore

    @pytest.fixture
    def url(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
        network = Mount(Path("/"), "nfs4", frozenset())
        monkeypatch.setattr("reflow.stores.sqlite.mount_of", lambda _: network)
        url = f"sqlite://{tmp_path}/manifest.db"
        # Other processes find the file as it was begun here, and leave its journal alone.
        store = SqlStore(url)
        store.list_runs()
        store.close()
        return url


class TestPostgres(StoreConformance):
    store_class = SqlStore

    @pytest.fixture
    def url(self, postgres_url: str) -> str:
        return postgres_url
