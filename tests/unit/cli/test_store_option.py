"""Runs in another manifest than the configured one."""

from __future__ import annotations

from pathlib import Path

import pytest
from reflow import Workflow
from reflow.errors import NotFoundError
from reflow.run import open_run

from tests.unit.cli.conftest import CommandLine


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    return tmp_path / "else where.db"


def test_every_command_finds_the_runs_of_the_store_it_is_given(
    flow: CommandLine, reflow: CommandLine, squares: Workflow, elsewhere: Path
) -> None:
    store = ("--store", str(elsewhere))
    assert flow(squares, "run", "--max-workers", "1", *store).code == 0
    assert elsewhere.exists()
    run_id = flow(squares, "runs", *store).out.splitlines()[1].split()[0]
    for command in ("status", "retry", "cancel", "logs"):
        assert flow(squares, command, run_id, *store).code == 0
        assert reflow(command, run_id, *store).code == 0
        assert reflow(command, run_id).code == 2


def test_what_to_type_next_names_the_store(
    flow: CommandLine, squares: Workflow, elsewhere: Path
) -> None:
    said = flow(squares, "run", "--max-workers", "1", "--store", str(elsewhere))
    assert f"REFLOW_STORE='{elsewhere}' " in said.out


def test_a_store_with_a_password_is_not_repeated(flow: CommandLine, squares: Workflow) -> None:
    said = flow(squares, "runs", "--store", "nowhere://me:secret@host/db")
    assert said.code == 2
    assert "secret" not in said.out + said.err


def test_runs_from_python_are_recorded_where_they_are_told(
    squares: Workflow, elsewhere: Path
) -> None:
    run = squares.run_local(store=elsewhere)
    assert run.store.url.endswith("else where.db")
    assert squares.open_run(run.run_id, store=elsewhere).state == "SUCCESS"
    assert open_run(run.run_id, store=str(elsewhere)).state == "SUCCESS"
    with pytest.raises(NotFoundError):
        squares.open_run(run.run_id)
