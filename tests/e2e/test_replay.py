"""Calling the function of one element again, with what it was given, and recording nothing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from reflow import NotFoundError, NotReadyError
from reflow.errors import ForeignRunError
from reflow.report.elements.replay import replay_lines

from tests.e2e.fixtures import Way
from tests.e2e.support import FlowFile, counts

Flows = Callable[..., FlowFile]

PIPELINE = """
    import random

    wf = Workflow("pipeline")

    @wf.job()
    def items(names: str = "a b c") -> list[str]:
        return names.split()

    @wf.array_job()
    def each(item: Annotated[str, Result(step="items")], times: int = 2) -> str:
        did(item)
        print("working on", item)
        if os.environ.get("FAILS") == item:
            raise ValueError("asked to")
        return item * times

    @wf.job()
    def joined(parts: Annotated[list[str], Result(step="each")]) -> dict[str, list[str]]:
        return {"parts": parts, "more": ["x"]}

    @wf.job()
    def drawn() -> float:
        return random.random()
"""

FILES = """
    wf = Workflow("files")

    @wf.job()
    def made(rd: RunDir, out: Annotated[Path, Param(output=True)] = Path("{here}/out.txt")) -> Path:
        did("made")
        (rd / "beside.txt").write_text(os.environ.get("TEXT", "one"))
        out.write_text("two")
        return rd / "beside.txt"

    @wf.job()
    def read(path: Annotated[Path, Result(step="made")]) -> str:
        return path.read_text()
"""


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which replays make theirs."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return folder


def contents(folder: Path) -> dict[str, tuple[int, int]]:
    """All files of a folder, with size and time."""
    return {
        str(path): (path.stat().st_size, path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file()
    }


def of_run(run: Any) -> dict[str, tuple[int, int]]:
    """What elements have left of a run; its last dispatch job may be about to end."""
    waves = run.run_dir / ".reflow" / run.run_id / "waves"
    return contents(run.run_dir / "logs") | contents(waves)


def text_of(found: dict[str, Any]) -> str:
    return "\n".join(line.plain for line in replay_lines(found, width=200))


def test_an_element_returns_what_it_had_returned(
    flow_file: Flows, folders: Path, capfd: pytest.CaptureFixture[str], way: Way
) -> None:
    flow = flow_file(PIPELINE)
    run = way(flow)
    before, runs = of_run(run), len(run.store.list_runs())
    flow.forget()
    capfd.readouterr()
    found = run.replay("each", 1)
    assert (found["state"], found["equal"], found["returned"]) == ("SUCCESS", True, "'bb'")
    assert flow.calls == {"b": 1}
    assert capfd.readouterr().out == "working on b\n"
    assert of_run(run) == before
    assert len(run.store.list_runs()) == runs
    assert list(folders.glob("reflow-replay-*")) == []
    assert counts(run, "each") == {"SUCCESS": 3}
    assert "It returned 'bb', as recorded." in text_of(found)


def test_a_failure_shows_the_users_traceback_alone(
    flow_file: Flows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAILS", "b")
    run = flow_file(PIPELINE).run("pool")
    found = run.replay("each", 1)
    assert (found["state"], found["recorded_state"]) == ("FAILED", "FAILED")
    assert (found["error"], found["equal"]) == ("ValueError: asked to", None)
    assert found["traceback"].count("File ") == 1
    assert "It failed, as recorded: ValueError: asked to" in text_of(found)
    monkeypatch.delenv("FAILS")
    found = run.replay("each", 1)
    assert (found["state"], found["returned"]) == ("SUCCESS", "'bb'")
    assert "It returned 'bb'; recorded is FAILED with ValueError: asked to" in text_of(found)


def test_a_failure_that_differs_tells_both_errors(
    flow_file: Flows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAILS", "b")
    flow = flow_file(PIPELINE)
    run = flow.run("inline")
    flow.replace("asked to", "of another kind")
    both = "It failed with ValueError: of another kind; recorded is FAILED with ValueError: asked"
    assert both in text_of(run.replay("each", 1))
    monkeypatch.setenv("FAILS", "a")
    assert "It failed with ValueError: of another kind; recorded is that it returned 'aa'" in (
        text_of(run.replay("each", 0))
    )


def test_a_dict_is_equal_whatever_the_order_of_its_keys(flow_file: Flows) -> None:
    flow = flow_file(PIPELINE)
    run = flow.run("inline")
    flow.replace('{"parts": parts, "more": ["x"]}', '{"more": ["x"], "parts": parts}')
    assert run.replay("joined")["equal"]
    flow.replace('{"more": ["x"], "parts": parts}', '{"a": [], "more": ["x"], "parts": parts}')
    assert run.replay("joined")["differences"] == [".a is new: []"]


def test_the_source_is_that_of_the_run(flow_file: Flows) -> None:
    flow = flow_file(PIPELINE)
    run = flow.run("pool")
    flow.replace("return item * times", "return item * times + '!'")
    assert flow.load().open_run(run.run_id).replay("each", 0)["equal"]


def test_a_run_of_one_process_kept_no_source_and_that_is_said(flow_file: Flows) -> None:
    flow = flow_file(PIPELINE)
    run = flow.run("inline")
    flow.replace("return item * times", "return item * times + '!'")
    found = run.replay("each", 0)
    assert (found["equal"], found["differences"]) == (False, ["it: 'aa' → 'aa!'"])
    assert "the source was used as it is now" in found["notes"][0]


def test_what_came_from_the_cache_is_given_what_it_would_have_been(flow_file: Flows) -> None:
    flow = flow_file(PIPELINE)
    flow.run("pool")
    run = flow.run("pool")
    assert counts(run, "each") == {"SUCCESS": 3}
    assert run.replay("each", 2)["returned"] == "'cc'"
    assert run.replay("joined")["equal"]


def test_a_result_that_differs_is_told_place_by_place(flow_file: Flows) -> None:
    flow = flow_file(PIPELINE)
    run = flow.run("inline")
    flow.replace('"more": ["x"]', '"more": ["y"]')
    found = run.replay("joined")
    assert found["differences"] == [".more[0]: 'x' → 'y'"]
    drawn = run.replay("drawn")
    assert (drawn["equal"], drawn["count"]) == (False, 1)
    assert "If it draws random numbers" in text_of(drawn)


def test_it_writes_into_a_folder_of_its_own(
    flow_file: Flows, tmp_path: Path, folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flow = flow_file(FILES)
    run = flow.run("pool", run_dir=tmp_path / "run")
    before = contents(tmp_path / "run") | contents(tmp_path)
    found = run.replay("made", keep=True)
    kept = Path(found["folder"])
    assert kept.parent == folders
    assert found["equal"], found["differences"]
    assert found["returned"].startswith(str(tmp_path / "run")[:70])
    assert (kept / "run" / "beside.txt").read_text() == "one"
    assert (kept / "files" / str(tmp_path)[1:] / "out.txt").read_text() == "two"
    left = contents(tmp_path)
    journal = str(flow.journal)
    changed = {path for path in before if path != journal and left[path] != before[path]}
    assert changed == set()
    assert run.replay("read")["returned"] == "'one'"
    monkeypatch.setenv("TEXT", "other")
    assert run.replay("made")["differences"] == ["the file: beside.txt has another content"]


def test_files_that_are_not_as_they_were_are_named(flow_file: Flows, tmp_path: Path) -> None:
    run = flow_file(FILES).run("pool", run_dir=tmp_path / "run")
    (tmp_path / "run" / "beside.txt").write_text("longer")
    found = run.replay("read")
    assert (found["equal"], found["returned"]) == (False, "'longer'")
    assert "beside.txt is not as it was: 3 bytes more" in found["notes"][0]


def test_arrays_are_compared_by_their_values(flow_file: Flows) -> None:
    pytest.importorskip("numpy")
    flow = flow_file(
        """
        import numpy as np

        wf = Workflow("arrays")

        @wf.job()
        def long() -> np.ndarray:
            return np.arange(5000.0)

        @wf.job()
        def again(x: Annotated[np.ndarray, Result(step="long")]) -> np.ndarray:
            return x + 1
        """
    )
    run = flow.run("inline")
    assert run.replay("again")["equal"]
    flow.replace("return x + 1", "x[7] += 0.5; return x + 1")
    found = run.replay("again")
    assert found["differences"] == ["the array: 1 of 5,000 values differ, by at most 0.5"]


def test_runs_that_it_starts_are_not_recorded(flow_file: Flows) -> None:
    flow = flow_file(
        """
        inner = Workflow("inner")

        @inner.job()
        def one() -> int:
            return 1

        wf = Workflow("outer")

        @wf.job()
        def outer() -> int:
            return inner.run_local(max_workers=1).result("one")
        """
    )
    run = flow.run("pool")
    recorded = len(run.store.list_runs())
    assert run.replay("outer")["equal"]
    assert len(run.store.list_runs()) == recorded


def test_what_cannot_be_called_says_so(flow_file: Flows, monkeypatch: pytest.MonkeyPatch) -> None:
    flow = flow_file(
        """
        wf = Workflow("breaks")

        @wf.job()
        def first() -> int:
            raise ValueError("broken")

        @wf.job()
        def second(x: Annotated[int, Result(step="first")]) -> int:
            return x
        """
    )
    run = flow.run("pool")
    with pytest.raises(NotReadyError, match=r"^second of .* its inputs are not known"):
        run.replay("second")
    with pytest.raises(NotFoundError):
        run.replay("first", 3)
    shutil.rmtree(run.run_dir)
    with pytest.raises(NotFoundError, match="run directory"):
        run.replay("first")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_nothing_of_another_user_is_called(flow_file: Flows) -> None:
    flow = flow_file(PIPELINE)
    run = flow.run("pool")
    flow.forget()
    os.chown(run.run_dir / ".reflow" / run.run_id, 12345, 12345)
    with pytest.raises(ForeignRunError, match="run the flow yourself"):
        run.replay("each", 0)
    assert flow.calls == {}
    assert run.explain("each", 0)["reason"] == "first"


def type_in(run: Any, *words: str, typed: str = "") -> subprocess.CompletedProcess[str]:
    """Type `reflow WORDS`, and then something on its standard input."""
    return subprocess.run(
        [sys.executable, "-m", "reflow", *words],
        input=typed,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "REFLOW_STORE": run.store.url},
    )


def test_the_exit_code_tells_whether_it_is_equal(flow_file: Flows) -> None:
    run = flow_file(PIPELINE).run("pool")
    ended = type_in(run, "replay", run.run_id, "each[1]")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.startswith("working on b\n")
    assert type_in(run, "replay", run.run_id, "drawn").returncode == 1
    as_json = type_in(run, "replay", run.run_id, "each", "1", "--json")
    assert as_json.stdout.startswith("{")
    assert as_json.stderr == "working on b\n"


def test_the_debugger_opens_at_the_exception_or_else_at_the_start(
    flow_file: Flows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAILS", "b")
    run = flow_file(PIPELINE).run("pool")
    ended = type_in(run, "replay", run.run_id, "each", "1", "--pdb", typed="p times, item\nq\n")
    assert "(2, 'b')" in ended.stdout
    assert ended.stdout.count('File "') == 1
    assert ended.returncode == 1
    ended = type_in(run, "replay", run.run_id, "each", "0", "--pdb", typed="p item\nq\n")
    assert "did(item)" in ended.stdout
    assert ended.returncode == 130
