"""A database that several users write to: nobody runs, loads or takes over what is another's."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from reflow.errors import DamagedRunError, ForeignRunError, NotReadyError, ReflowWarning
from reflow.model.records import RequestKind
from reflow.model.states import RunState

from tests.e2e.support import FlowFile, end_processes_of, processes_of, until

Flows = Callable[..., FlowFile]

COLLEAGUE = 12345

WAITS = """
    did("loaded")
    wf = Workflow("waits")

    @wf.job()
    def long() -> int:
        did("begun")
        wait_for("{here}/go")
        print("done")
        return 1
"""

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


@pytest.fixture
def abandoned(flow_file: Flows, tmp_path: Path) -> Any:
    """A run in the background whose processes have all been killed."""
    flow = flow_file(WAITS)
    run = flow.load().submit(executor="local", run_dir=tmp_path / "run")
    until(lambda: flow.calls["begun"])
    end_processes_of(tmp_path)
    flow.forget()
    return run


def folder_of(run: Any) -> Path:
    folder: Path = run.run_dir / ".reflow" / run.run_id
    return folder


@contextlib.contextmanager
def owned_by(uid: int, *paths: Path) -> Iterator[None]:
    for path in paths:
        os.chown(path, uid, -1)
    yield
    for path in paths:
        os.chown(path, os.geteuid(), -1)


def looked_at_only(run: Any, tmp_path: Path, flow: Path) -> list[str]:
    """Look in every way, and tell the notes; nothing has been started or recorded by that."""
    before = run.store.lease(run.run_id)
    notes: list[str] = run.status(as_dict=True)["notes"]
    with contextlib.suppress(NotReadyError):
        run.result("long")
    assert processes_of(tmp_path) == []
    assert run.store.lease(run.run_id) == before
    assert run.state is RunState.RUNNING
    assert not (tmp_path / "journal").exists()
    return notes


@needs_root
@pytest.mark.parametrize("part", ["folder", "settings"])
def test_a_look_at_a_colleagues_run_starts_loads_and_records_nothing(
    abandoned: Any, tmp_path: Path, part: str
) -> None:
    given = folder_of(abandoned) if part == "folder" else folder_of(abandoned) / "run.json"
    with owned_by(COLLEAGUE, given):
        notes = looked_at_only(abandoned, tmp_path, tmp_path / "flow.py")
    assert notes == [
        f"{abandoned.run_id} belongs to user {COLLEAGUE}: you can look at it, and nothing of it "
        "is run for you"
    ]


@pytest.mark.parametrize("part", ["folder", "settings"])
def test_what_others_may_write_is_not_run(abandoned: Any, tmp_path: Path, part: str) -> None:
    given = folder_of(abandoned) if part == "folder" else folder_of(abandoned) / "run.json"
    given.chmod(given.stat().st_mode | 0o020)
    (note,) = looked_at_only(abandoned, tmp_path, tmp_path / "flow.py")
    assert "others may write" in note
    assert f"chmod -R go-w {folder_of(abandoned)}" in note


@needs_root
def test_what_a_stranger_asks_is_written_down_and_heeded_only_if_the_owner_allows_it(
    abandoned: Any, tmp_path: Path
) -> None:
    with (
        owned_by(COLLEAGUE, folder_of(abandoned)),
        pytest.raises(ForeignRunError, match=r'requests = "all"'),
    ):
        abandoned.cancel()
    (request,) = abandoned.store.requests(abandoned.run_id)
    assert (request.kind, request.uid) == (RequestKind.CANCEL, os.geteuid())
    assert processes_of(tmp_path) == []


@pytest.mark.parametrize(("allowed", "state"), [("own", "SUCCESS"), ("all", "CANCELLED")])
def test_a_run_heeds_others_if_its_owner_said_so(
    flow_file: Flows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, allowed: str, state: str
) -> None:
    monkeypatch.setenv("REFLOW_STORE_REQUESTS", allowed)
    flow = flow_file(WAITS)
    run = flow.load().submit(executor="local", run_dir=tmp_path / "run")
    until(lambda: flow.calls["begun"])
    run.store.add_request(run.run_id, RequestKind.CANCEL, uid=COLLEAGUE)
    until(lambda: not run.store.requests(run.run_id))
    (tmp_path / "go").touch()
    assert run.wait(timeout=60).value == state


def rewritten(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], object]:
    def rewrite(path: Path) -> None:
        data = json.loads(path.read_bytes())
        change(data)
        path.write_text(json.dumps(data))

    return rewrite


def as_a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path, 0o600)


def as_a_link(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


DAMAGES = {
    "empty": lambda path: path.write_bytes(b""),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:40]),
    "no object": lambda path: path.write_text("[1]"),
    "no format": rewritten(lambda data: data.pop("format")),
    "newer": rewritten(lambda data: data.update(format=99)),
    "of another shape": rewritten(lambda data: data.update(surprise=1)),
    "of another run": rewritten(lambda data: data.update(run_id="other-20200101-0000")),
    "huge": lambda path: os.truncate(path, 2**40),
    "a pipe": as_a_pipe,
    "a link": as_a_link,
    "gone": lambda path: path.unlink(),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_damaged_settings_are_one_line_and_the_run_can_be_ended(
    abandoned: Any, tmp_path: Path, damage: Callable[[Path], object]
) -> None:
    damage(folder_of(abandoned) / "run.json")
    notes = abandoned.status(as_dict=True)["notes"]
    assert all("\n" not in note for note in notes)
    if abandoned.state is RunState.RUNNING:
        assert len(notes) == 1
        assert abandoned.cancel() == 1
    assert abandoned.state in (RunState.CANCELLED, RunState.FAILED)
    with pytest.raises((DamagedRunError, KeyError)):
        abandoned.retry()
    assert processes_of(tmp_path) == []


def test_one_bad_row_does_not_hide_the_others(flow_file: Flows, tmp_path: Path) -> None:
    flow = flow_file(WAITS)
    (tmp_path / "go").touch()
    workflow = flow.load()
    runs = [workflow.run_local(run_dir=tmp_path / str(number)) for number in range(3)]
    url = workflow.store.url
    workflow.store.close()
    import sqlite3

    connection = sqlite3.connect(url.removeprefix("sqlite://"))
    with connection:
        connection.execute(
            "UPDATE reflow_run SET state = 'DOOMED', created_at = ?, parameters = 'x' "
            "WHERE run_id = ?",
            (2**62, runs[1].run_id),
        )
    connection.close()
    with pytest.warns(ReflowWarning, match=runs[1].run_id):
        found = workflow.store.list_runs()
    assert {record.run_id for record in found} == {runs[0].run_id, runs[2].run_id}


def test_a_log_that_a_row_names_outside_of_the_run_directory_is_not_opened(
    flow_file: Flows, tmp_path: Path
) -> None:
    flow = flow_file(WAITS)
    (tmp_path / "go").touch()
    run = flow.run("pool", run_dir=tmp_path / "run")
    own = run.log_path("long")
    secret = tmp_path / "secret"
    secret.write_text("of somebody else")
    run.store.close()
    import sqlite3

    for named in (str(secret), "../secret", "logs/../../secret"):
        connection = sqlite3.connect(run.store.url.removeprefix("sqlite://"))
        with connection:
            connection.execute("UPDATE reflow_instance SET log = ?", (named,))
        connection.close()
        assert run.log_path("long") == own
