"""What a workflow keeps between two looks at it."""

from __future__ import annotations

from pathlib import Path

import pytest
from reflow import Workflow


def test_another_store_that_the_environment_names_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workflow = Workflow("weather")
    monkeypatch.setenv("REFLOW_STORE", str(tmp_path / "first.db"))
    first = workflow.store
    assert workflow.store is first

    monkeypatch.setenv("REFLOW_STORE", str(tmp_path / "second.db"))

    assert workflow.store is not first
    assert workflow.config.store.url == str(tmp_path / "second.db")


def test_a_store_that_was_given_stays_whatever_the_environment_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workflow = Workflow("weather", store=tmp_path / "given.db")
    given = workflow.store
    monkeypatch.setenv("REFLOW_STORE", str(tmp_path / "other.db"))
    assert workflow.store is given
