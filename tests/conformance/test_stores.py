"""The SQL store on both its databases, through the kit that authors of stores are given."""

from __future__ import annotations

from pathlib import Path

import pytest
from reflow.stores.sql import SqlStore
from reflow.testing.stores import StoreConformance

from tests.services.postgres import postgres, postgres_url

__all__ = ["postgres", "postgres_url"]


class TestSqlite(StoreConformance):
    store_class = SqlStore

    @pytest.fixture
    def url(self, tmp_path: Path) -> str:
        return f"sqlite://{tmp_path}/state/manifest.db"


class TestPostgres(StoreConformance):
    store_class = SqlStore

    @pytest.fixture
    def url(self, postgres_url: str) -> str:
        return postgres_url
