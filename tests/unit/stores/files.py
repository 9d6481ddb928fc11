"""SQLite files on file systems of any kind, and what is said when they cannot be used."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from reflow.errors import StoreError
from reflow.stores import sqlite
from reflow.stores.filesystem import Mount
from reflow.stores.sql import SqlStore
from reflow.testing.stores import new_run

LOCAL = Mount(Path("/"), "ext4", frozenset())
NETWORK = Mount(Path("/"), "nfs4", frozenset())


@pytest.fixture
def on(monkeypatch: pytest.MonkeyPatch) -> Callable[[Mount | None], None]:
    """Lets every file lie on a file system."""

    def lie(mount: Mount | None) -> None:
        monkeypatch.setattr(sqlite, "mount_of", lambda _: mount)

    return lie


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqlStore]:
    store = SqlStore(f"{tmp_path}/m.db")
    yield store
    store.close()


def refused(path: Path, *said: str, lasting: bool = False) -> None:
    """Using the file fails in one sentence that names it, and one that says what to do.

    `lasting` where waiting for it is of no use.
    """
    store = SqlStore(str(path))
    with pytest.raises(StoreError) as caught:
        store.create_run(new_run(), [])
    store.close()
    for words in (str(path), *said):
        assert words in str(caught.value)
    assert caught.value.lasting is lasting
