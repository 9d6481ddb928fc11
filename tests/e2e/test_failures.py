"""What is said of tasks that fail, and what can be had of arrays that failed in part."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from pathlib import Path

import pytest
from reflow import NotFoundError, NotReadyError, RunFailedError, TaskFailedError
from reflow.model.states import RunState
from reflow.report.status import print_status

from tests.e2e.support import WAYS, FlowFile, failed, fake_scheduler, until

Flows = Callable[..., FlowFile]

TOOL = """
    import subprocess

    wf = Workflow("tool")

    @wf.job()
    def loud() -> int:
        subprocess.run(["sh", "-c", "echo working; echo cannot find index >&2; exit 3"], check=True)
        return 1

    @wf.job()
    def quiet() -> int:
        words = ["sh", "-c", "seq 9000 >&2; echo cannot read genome >&2; exit 3"]
        subprocess.run(words, check=True, capture_output=True)
        return 1

    @wf.job()
    def wrapped() -> int:
        try:
            subprocess.run(["sh", "-c", "echo no licence; exit 1"], check=True, text=True,
                           stdout=subprocess.PIPE)
        except subprocess.CalledProcessError as error:
            raise RuntimeError("align failed") from error
        return 1
"""
LONG = """
    wf = Workflow("long")

    @wf.job()
    def work() -> int:
        raise ValueError("begin " + "x" * 3_000_000 + " end")
"""
HALF = """
    wf = Workflow("part")

    class BadInputError(Exception):
        pass

    @wf.job()
    def make() -> list[int]:
        return [0, 1, 2, 3]

    @wf.job(array=True)
    def half(x: Annotated[int, Result(step="make")]) -> float:
        if x == 1:
            raise BadInputError(f"{x} is no good")
        return 1 / (x - 2)
"""


@pytest.mark.parametrize("way", WAYS)
def test_a_programs_own_words_stand_beside_its_failure(
    flow_file: Flows, way: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run = flow_file(TOOL).run(way)
    errors = {task: error for (task, _), (_, error) in failed(run).items()}
    assert errors["loud"].endswith("exit status 3; its last output: cannot find index")
    assert errors["quiet"].endswith("exit status 3; its last output: cannot read genome")
    assert errors["wrapped"] == "RuntimeError: align failed; its last output: no licence"
    capsys.readouterr()
    run.status(errors=True)
    shown = capsys.readouterr().out
    assert "working" in shown
    assert shown.count("cannot read genome") >= 2
    assert run.log_path("quiet").read_text().count("\n") > 9000


def test_jobs_of_a_scheduler_show_a_programs_own_words(
    flow_file: Flows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with fake_scheduler("slurm", tmp_path, monkeypatch):
        run = flow_file(TOOL).load().submit(run_dir="run", executor="slurm")
        until(lambda: run.state is not RunState.RUNNING)
        assert failed(run)["loud", None][1].endswith("; its last output: cannot find index")


@pytest.mark.parametrize("way", WAYS)
def test_a_long_error_is_whole_in_the_log_and_short_elsewhere(
    flow_file: Flows, way: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run = flow_file(LONG).run(way)
    status = run.status(as_dict=True)
    (failure,) = status["failed_instances"]
    assert len(failure["error"]) < 2_200
    assert len(failure["traceback"]) < 17_000
    assert failure["error"].startswith("ValueError: begin")
    assert failure["traceback"].rstrip().endswith("end")
    print_status(status, errors=True)
    assert len(capsys.readouterr().out) < 50_000
    assert len(run.log_path("work").read_text()) > 3_000_000
    folder = run.run_dir / ".reflow" / run.run_id
    results = [path for path in folder.rglob("*") if path.is_file()]
    assert max(path.stat().st_size for path in results) < 100_000
    assert Path(run.store.url.removeprefix("sqlite://")).stat().st_size < 1_500_000


@pytest.mark.parametrize("way", WAYS)
def test_what_succeeded_of_an_array_can_be_had(flow_file: Flows, way: str) -> None:
    run = flow_file(HALF).run(way)
    assert run.result("half", index=3) == 1.0
    assert run.result("half", 0) == -0.5
    states = [(item.index, item.state, item.value) for item in run.results("half")]
    assert states == [
        (0, "SUCCESS", -0.5),
        (1, "FAILED", None),
        (2, "FAILED", None),
        (3, "SUCCESS", 1.0),
    ]
    assert "no good" in run.results("half")[1].error
    assert [item.value for item in run.results("make")] == [[0, 1, 2, 3]]
    with pytest.raises(NotReadyError, match=r"no result of 2 of its 4 elements \(1, 2\)"):
        run.result("half")
    with pytest.raises(NotReadyError, match=r"half\[2\] .* FAILED ZeroDivisionError"):
        run.result("half", index=2)
    with pytest.raises(NotFoundError, match="there is no 4"):
        run.result("half", index=4)


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize(
    ("raises", "kind", "text"),
    [
        ("1 // 0", "ZeroDivisionError", "integer division"),
        ("Own('mine')", "Own", "mine"),
        ("open('/nowhere/at/all')", "FileNotFoundError", "/nowhere/at/all"),
    ],
)
def test_a_failed_run_raises_with_the_run_and_the_tasks_exception(
    flow_file: Flows, workers: int, raises: str, kind: str, text: str
) -> None:
    flow = flow_file(f"""
        wf = Workflow("boom")

        class Own(Exception):
            pass

        @wf.job()
        def boom() -> int:
            error = {raises}
            raise error
    """)
    with pytest.raises(RunFailedError, match=text) as caught:
        flow.load().run_local(max_workers=workers)
    assert isinstance(caught.value, RuntimeError)
    assert caught.value.run is not None
    assert caught.value.run.state is RunState.FAILED
    cause = caught.value.__cause__
    assert type(cause).__name__ == kind
    assert text in str(cause)
    assert ", in boom" in "".join(traceback.format_exception(caught.value))


def test_an_exception_that_cannot_be_made_anew_is_told_as_text(flow_file: Flows) -> None:
    flow = flow_file("""
        wf = Workflow("boom")

        @wf.job()
        def boom() -> int:
            class Hidden(Exception):
                def __init__(self, one, two):
                    self.two = two
                def __str__(self):
                    return self.two
            raise Hidden(1, "secret place")
    """)
    with pytest.raises(RunFailedError) as caught:
        flow.load().run_local()
    assert isinstance(caught.value.__cause__, TaskFailedError)
    assert "secret place" in str(caught.value.__cause__)


def test_an_interrupted_task_learns_which_signal_it_was(flow_file: Flows) -> None:
    run = flow_file("""
        wf = Workflow("told")

        @wf.job()
        def told() -> int:
            try:
                os.kill(os.getpid(), signal.SIGTERM)
                time.sleep(60)
            except TaskInterrupted as error:
                return error.signal
            return 0
    """).run("background")
    assert run.result("told") == 15
