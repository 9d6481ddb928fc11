"""The Python reference page, statement by statement."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.reference.flows import FlowFile, WriteFlow, until

# -- Imports --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["Workflow", "Flow", "Run", "Param", "Result", "RunDir", "Config", "load_config"]
)
def test_the_public_names_are_imported_from_reflow(name: str) -> None:
    import reflow

    assert getattr(reflow, name).__name__ == name


# -- Workflow -------------------------------------------------------------------------------

PIPELINE = """
    import os
    from pathlib import Path
    from typing import Annotated

    from reflow import Param, Result, Workflow

    wf = Workflow("my_pipeline")


    def called(name: str) -> None:
        with Path("{here}/calls").open("a") as file:
            file.write(name + "\\n")


    @wf.job(cpus=4, time="01:00:00", mem="8G")
    def step_a(x: Annotated[str, Param(help="Input")]) -> list[str]:
        called("step_a")
        return [x, x + "_copy"]


    @wf.job(array=True)
    def step_b(item: Annotated[str, Result(step="step_a")]) -> str:
        called("step_b")
        return item.upper()


    if __name__ == "__main__":
        wf.cli()
"""


@pytest.fixture
def pipeline(write_flow: WriteFlow) -> FlowFile:
    return write_flow(PIPELINE)


@pytest.fixture
def calls(tmp_path: Path) -> Path:
    """The file into which the pipeline's tasks write their names when they are called."""
    return tmp_path / "calls"


def test_a_workflow_is_created_with_its_name(pipeline: FlowFile) -> None:
    assert pipeline.load().wf.describe()["name"] == "my_pipeline"


def test_registered_tasks_run_with_their_parameters(pipeline: FlowFile, tmp_path: Path) -> None:
    run = pipeline.load().wf.run_local(run_dir=tmp_path / "r", x="hello")
    assert run.result("step_a") == ["hello", "hello_copy"]
    assert run.result("step_b") == ["HELLO", "HELLO_COPY"]


# -- Tasks ----------------------------------------------------------------------------------

SHARED = """
    import os
    import time
    from pathlib import Path
    from typing import Annotated

    from reflow import Result, Workflow

    wf = Workflow("shared")


    @wf.job()
    def names() -> list[int]:
        return list(range(4))


    @wf.job(array=True, {options})
    def each(name: Annotated[int, Result(step="names")]) -> int:
        {body}
        return os.getpid()


    if __name__ == "__main__":
        wf.cli()
"""


@pytest.mark.parametrize(("per_job", "processes"), [(1, 4), (4, 1)])
def test_elements_share_a_job_by_per_job(
    write_flow: WriteFlow, tmp_path: Path, per_job: int, processes: int
) -> None:
    source = SHARED.replace("{options}", f"per_job={per_job}").replace("{body}", "pass")
    run = write_flow(source).load().wf.submit(run_dir=tmp_path / "r", executor="local")
    assert run.wait(timeout=60) == "SUCCESS"
    assert len(set(run.result("each"))) == processes


def test_at_once_elements_of_a_job_run_at_the_same_time(
    write_flow: WriteFlow, tmp_path: Path
) -> None:
    meet = """Path(f"{here}/{name // 2}-{name % 2}").touch()
        end = time.monotonic() + 60
        while not Path(f"{here}/{name // 2}-{1 - name % 2}").exists():
            assert time.monotonic() < end, "no other element came"
            time.sleep(0.01)"""
    source = SHARED.replace("{options}", "per_job=4, at_once=2").replace("{body}", meet)
    run = write_flow(source).load().wf.submit(run_dir=tmp_path / "r", executor="local")
    assert run.wait(timeout=60) == "SUCCESS"
    assert len(set(run.result("each"))) == 2


# -- Submitting to a scheduler --------------------------------------------------------------

BACKENDS = {"slurm": "Slurm", "pbs": "PBS", "lsf": "LSF", "sge": "SGE", "flux": "Flux"}


@pytest.fixture
def without_backends() -> Iterator[None]:
    """Only the core is installed, as far as the registry can see."""
    from reflow.plugins.registry import Registry, discover, set_registry

    core = [source for source in discover() if source.distribution == "reflow-core"]
    before = set_registry(Registry(core))
    yield
    set_registry(before)


def test_submit_takes_everything_the_page_shows_and_returns_a_run(
    pipeline: FlowFile, tmp_path: Path
) -> None:
    from reflow import Run

    run = pipeline.load().wf.submit(
        run_dir=tmp_path / "run1",
        x="hello",
        executor="local",
        force=False,
        force_tasks=["step_a"],
        verify=True,
    )
    assert isinstance(run, Run)
    run.wait(timeout=60)
    assert run.state == "SUCCESS"


@pytest.mark.usefixtures("without_backends")
@pytest.mark.parametrize("scheduler", BACKENDS)
def test_submit_to_a_scheduler_without_its_distribution_says_what_to_install(
    pipeline: FlowFile, tmp_path: Path, scheduler: str
) -> None:
    with pytest.raises(ImportError, match=f"pip install reflow-{scheduler}"):
        pipeline.load().wf.submit(run_dir=tmp_path / "r", x="hello", executor=scheduler)


def test_force_skips_the_cache(pipeline: FlowFile, tmp_path: Path, calls: Path) -> None:
    wf = pipeline.load().wf
    wf.submit(run_dir=tmp_path / "r", x="hello", executor="local").wait(timeout=60)
    wf.submit(run_dir=tmp_path / "r", x="hello", executor="local").wait(timeout=60)
    assert calls.read_text().split() == ["step_a", "step_b", "step_b"]
    wf.submit(run_dir=tmp_path / "r", x="hello", executor="local", force=True).wait(timeout=60)
    assert calls.read_text().split() == ["step_a", "step_b", "step_b"] * 2


def test_force_tasks_forces_these_tasks_only(
    pipeline: FlowFile, tmp_path: Path, calls: Path
) -> None:
    wf = pipeline.load().wf
    wf.run_local(run_dir=tmp_path / "r", x="hello")
    calls.unlink()
    wf.run_local(run_dir=tmp_path / "r", x="hello", force_tasks=["step_a"])
    assert calls.read_text().split() == ["step_a"]


def test_verify_checks_that_cached_files_still_exist(write_flow: WriteFlow, tmp_path: Path) -> None:
    flow = write_flow(
        """
        from pathlib import Path
        from reflow import RunDir, Workflow

        wf = Workflow("files")

        @wf.job()
        def make(run_dir: RunDir = RunDir()) -> Path:
            (run_dir / "made").write_text("made")
            return run_dir / "made"
        """
    )
    wf = flow.load().wf
    made = wf.run_local(run_dir=tmp_path / "r").result("make")
    made.unlink()
    assert wf.run_local(run_dir=tmp_path / "r", verify=True).result("make") == made
    assert made.read_text() == "made"


# -- Running locally ------------------------------------------------------------------------


def test_run_local_takes_everything_the_page_shows_and_returns_a_run(
    pipeline: FlowFile, tmp_path: Path
) -> None:
    from reflow import Run

    run = pipeline.load().wf.run_local(
        run_dir=tmp_path / "test", x="hello", max_workers=1, force=False, on_error="stop"
    )
    assert isinstance(run, Run)
    assert run.state == "SUCCESS"


def test_run_local_forced_skips_the_cache(pipeline: FlowFile, tmp_path: Path, calls: Path) -> None:
    wf = pipeline.load().wf
    for _ in range(2):
        wf.run_local(run_dir=tmp_path / "r", x="hello", force=True)
    assert calls.read_text().split() == ["step_a", "step_b", "step_b"] * 2


DIAMOND = """
    import os
    from pathlib import Path
    from typing import Annotated

    from reflow import Result, Workflow

    wf = Workflow("diamond")


    @wf.job()
    def last(
        a: Annotated[int, Result(step="left")], b: Annotated[int, Result(step="right")]
    ) -> int:
        note("last")
        return os.getpid()


    @wf.job()
    def left(top: Annotated[int, Result(step="top")]) -> int:
        note("left")
        return os.getpid()


    @wf.job()
    def right(top: Annotated[int, Result(step="top")]) -> int:
        note("right")
        return os.getpid()


    @wf.job()
    def top() -> int:
        note("top")
        return os.getpid()


    def note(name: str) -> None:
        with Path("{here}/order").open("a") as file:
            file.write(name + "\\n")
"""


def test_run_local_executes_the_graph_in_topological_order(
    write_flow: WriteFlow, tmp_path: Path
) -> None:
    write_flow(DIAMOND).load().wf.run_local(run_dir=tmp_path / "r")
    order = (tmp_path / "order").read_text().split()
    assert (order[0], set(order[1:3]), order[3:]) == ("top", {"left", "right"}, ["last"])


def test_run_local_executes_in_the_calling_process(write_flow: WriteFlow, tmp_path: Path) -> None:
    run = write_flow(DIAMOND).load().wf.run_local(run_dir=tmp_path / "r")
    assert {run.result(task) for task in ("top", "left", "right", "last")} == {os.getpid()}


def test_run_local_spreads_arrays_over_max_workers_processes(
    write_flow: WriteFlow, tmp_path: Path
) -> None:
    flow = write_flow(
        """
        import os
        import time
        from pathlib import Path
        from typing import Annotated

        from reflow import Result, Workflow

        wf = Workflow("pair")

        @wf.job()
        def names() -> list[str]:
            return ["one", "two"]

        @wf.job(array=True)
        def meet(name: Annotated[str, Result(step="names")]) -> int:
            # Each waits for the other, so that they must run at the same time.
            here = Path("{here}")
            (here / name).touch()
            other = {"one": "two", "two": "one"}[name]
            end = time.monotonic() + 30
            while not (here / other).exists():
                assert time.monotonic() < end
                time.sleep(0.01)
            return os.getpid()
        """
    )
    run = flow.load().wf.run_local(run_dir=tmp_path / "r", max_workers=2)
    processes = run.result("meet")
    assert len({*processes, os.getpid()}) == 3


FAILING = """
    from typing import Annotated

    from reflow import Result, Workflow

    wf = Workflow("failing")


    @wf.job()
    def bad() -> int:
        raise RuntimeError("the disk is on fire")


    @wf.job()
    def after_bad(x: Annotated[int, Result(step="bad")]) -> int:
        return x


    @wf.job()
    def good() -> int:
        return 1


    @wf.job()
    def after_good(x: Annotated[int, Result(step="good")]) -> int:
        return x + 1
"""


def test_on_error_continue_records_failures_skips_dependants_and_goes_on(
    write_flow: WriteFlow, tmp_path: Path
) -> None:
    run = write_flow(FAILING).load().wf.run_local(run_dir=tmp_path / "r", on_error="continue")
    states = {name: task["state"] for name, task in run.status(as_dict=True)["tasks"].items()}
    assert states == {
        "bad": "FAILED",
        "after_bad": "SKIPPED",
        "good": "SUCCESS",
        "after_good": "SUCCESS",
    }
    assert run.state == "FAILED"


def test_on_error_stop_is_the_default_and_raises(write_flow: WriteFlow, tmp_path: Path) -> None:
    from reflow import ReflowError

    wf = write_flow(FAILING).load().wf
    with pytest.raises(ReflowError, match="bad"):
        wf.run_local(run_dir=tmp_path / "r")
    assert [record.state for record in wf.store.list_runs()] == ["FAILED"]


# -- Validation -----------------------------------------------------------------------------

MISTAKES = {
    "missing refs": (
        """
        @wf.job()
        def a() -> int: return 1
        @wf.job()
        def b(x: Annotated[int, Result(step="aa")]) -> int: return x
        """,
        r"'?aa'?.*'?a'?",
    ),
    "cycles": (
        """
        @wf.job()
        def a(x: Annotated[int, Result(step="b")]) -> int: return x
        @wf.job()
        def b(x: Annotated[int, Result(step="a")]) -> int: return x
        """,
        "a.*b",
    ),
    "type mismatches": (
        """
        @wf.job()
        def a() -> list[int]: return [1]
        @wf.job()
        def b(x: Annotated[str, Result(step="a")]) -> str: return x
        """,
        r"list\[int\].*str|str.*list\[int\]",
    ),
}


@pytest.fixture(params=MISTAKES)
def mistaken(request: pytest.FixtureRequest, write_flow: WriteFlow) -> tuple[FlowFile, str]:
    """A flow with a mistake, and what the message about it must match."""
    tasks, message = MISTAKES[request.param]
    head = """
        from typing import Annotated
        from reflow import Result, Workflow
        wf = Workflow("mistaken")
    """
    main = """
        if __name__ == "__main__":
            wf.cli()
    """
    return write_flow(head + tasks + main), f"(?s){message}"


def test_validate_raises_value_error(mistaken: tuple[FlowFile, str]) -> None:
    flow, message = mistaken
    with pytest.raises(ValueError, match=message):
        flow.load().wf.validate()


@pytest.mark.parametrize("method", ["submit", "run_local"])
def test_submit_and_run_local_validate_by_themselves(
    mistaken: tuple[FlowFile, str], method: str, tmp_path: Path
) -> None:
    flow, message = mistaken
    with pytest.raises(ValueError, match=message):
        getattr(flow.load().wf, method)(run_dir=tmp_path / "r")


def test_cli_validates_by_itself(mistaken: tuple[FlowFile, str]) -> None:
    flow, message = mistaken
    ended = flow.command("run", "--run-dir", "r")
    assert ended.returncode == 2
    assert re.search(message, ended.stderr)
    assert "Traceback" not in ended.stderr


# -- Including flows ------------------------------------------------------------------------


def test_an_included_task_gets_the_prefix(write_flow: WriteFlow, tmp_path: Path) -> None:
    flow = write_flow(
        """
        from typing import Annotated

        from reflow import Flow, Result, Workflow

        preprocessing = Flow("preprocess")

        @preprocessing.job()
        def download() -> list[str]:
            return ["a", "b"]

        @preprocessing.job(array=True)
        def unpack(name: Annotated[str, Result(step="download")]) -> str:
            return name * 2

        wf = Workflow("whole")
        wf.include(preprocessing, prefix="pre")

        @wf.job()
        def use(names: Annotated[list[str], Result(step="pre_unpack")]) -> int:
            return len(names)
        """
    )
    run = flow.load().wf.run_local(run_dir=tmp_path / "r")
    assert list(run.status(as_dict=True)["tasks"]) == ["pre_download", "pre_unpack", "use"]
    assert (run.result("pre_unpack"), run.result("use")) == (["aa", "bb"], 2)


# -- CLI and describe -----------------------------------------------------------------------


def test_cli_serves_the_flow_file_as_a_command(pipeline: FlowFile) -> None:
    printed = pipeline.succeed("--help")
    for command in ("run", "submit", "status", "cancel", "retry", "runs", "dag", "describe"):
        assert command in printed


def test_describe_is_a_json_safe_dict_of_the_structure(pipeline: FlowFile) -> None:
    described = pipeline.load().wf.describe()
    assert json.loads(json.dumps(described)) == described
    assert [task["name"] for task in described["tasks"]] == ["step_a", "step_b"]


def test_describe_typed_is_a_workflow_description(pipeline: FlowFile) -> None:
    from reflow import WorkflowDescription

    described = pipeline.load().wf.describe_typed()
    assert isinstance(described, WorkflowDescription)
    assert described.name == "my_pipeline"


# -- Run ------------------------------------------------------------------------------------


def test_a_run_has_its_id_and_its_directory(pipeline: FlowFile, tmp_path: Path) -> None:
    run = pipeline.load().wf.run_local(run_dir=str(tmp_path / "r"), x="hello")
    assert re.fullmatch(r"my_pipeline-\d{8}-[0-9a-f]{4}", run.run_id)
    assert run.run_dir == tmp_path / "r"


def test_status_prints(
    pipeline: FlowFile, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = pipeline.load().wf.run_local(run_dir=tmp_path / "r", x="hello")
    capsys.readouterr()
    run.status()
    printed = capsys.readouterr().out
    for word in (run.run_id, "SUCCESS", "step_a", "step_b"):
        assert word in printed


def test_status_with_errors_prints_the_tracebacks_of_failed_instances(
    write_flow: WriteFlow, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = write_flow(FAILING).load().wf.run_local(run_dir=tmp_path / "r", on_error="continue")
    capsys.readouterr()
    run.status()
    assert "Traceback" not in capsys.readouterr().out
    run.status(errors=True)
    printed = capsys.readouterr().out
    assert "Traceback" in printed
    assert "the disk is on fire" in printed


def test_status_as_dict_is_silent_and_names_the_failed_instances(
    write_flow: WriteFlow, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = write_flow(FAILING).load().wf.run_local(run_dir=tmp_path / "r", on_error="continue")
    capsys.readouterr()
    status = run.status(as_dict=True)
    assert capsys.readouterr().out == ""
    [failed] = status["failed_instances"]
    assert (failed["task"], failed["index"], failed["state"]) == ("bad", None, "FAILED")
    assert "the disk is on fire" in failed["error"]


TWO_WAITING = """
    import time
    from pathlib import Path
    from typing import Annotated

    from reflow import Result, Workflow

    wf = Workflow("waiting")


    def wait_for(name: str) -> str:
        Path("{here}", name + ".started").touch()
        while not Path("{here}", name).exists():
            time.sleep(0.02)
        return name


    @wf.job()
    def step_a() -> str:
        return wait_for("a")


    @wf.job()
    def step_b() -> str:
        return wait_for("b")
"""


@pytest.fixture
def waiting(write_flow: WriteFlow) -> FlowFile:
    """Two tasks that wait for the files `a` and `b`."""
    return write_flow(TWO_WAITING)


def test_cancel_cancels_everything_that_is_active(waiting: FlowFile, tmp_path: Path) -> None:
    run = waiting.load().wf.submit(run_dir=tmp_path / "r", executor="local")
    until((tmp_path / "a.started").exists)
    run.cancel()
    run.wait(timeout=60)
    tasks = run.status(as_dict=True)["tasks"]
    assert {task["state"] for task in tasks.values()} == {"CANCELLED"}
    assert run.state == "CANCELLED"


def test_cancel_of_one_task_leaves_the_others_alone(waiting: FlowFile, tmp_path: Path) -> None:
    run = waiting.load().wf.submit(run_dir=tmp_path / "r", executor="local")
    until((tmp_path / "a.started").exists)
    run.cancel(task="step_a")
    (tmp_path / "b").touch()
    run.wait(timeout=60)
    tasks = run.status(as_dict=True)["tasks"]
    assert (tasks["step_a"]["state"], tasks["step_b"]["state"]) == ("CANCELLED", "SUCCESS")


READING = """
    from pathlib import Path

    from reflow import Workflow

    wf = Workflow("reading")


    @wf.job()
    def step_a() -> str:
        return Path("{here}/input").read_text()


    @wf.job()
    def step_b() -> str:
        return Path("{here}/input").read_text()
"""


def test_retry_takes_up_failed_tasks(write_flow: WriteFlow, tmp_path: Path) -> None:
    run = write_flow(READING).load().wf.run_local(run_dir=tmp_path / "r", on_error="continue")
    assert run.state == "FAILED"
    (tmp_path / "input").write_text("here now")
    run.retry()
    assert run.state == "SUCCESS"
    assert (run.result("step_a"), run.result("step_b")) == ("here now", "here now")


def test_retry_of_one_task_leaves_the_others_as_they_are(
    write_flow: WriteFlow, tmp_path: Path
) -> None:
    run = write_flow(READING).load().wf.run_local(run_dir=tmp_path / "r", on_error="continue")
    (tmp_path / "input").write_text("here now")
    run.retry(task="step_b")
    tasks = run.status(as_dict=True)["tasks"]
    assert (tasks["step_a"]["state"], tasks["step_b"]["state"]) == ("FAILED", "SUCCESS")


# -- Bulk cancel and listing runs -----------------------------------------------------------


def test_cancel_runs_cancels_several_at_once(waiting: FlowFile, tmp_path: Path) -> None:
    wf = waiting.load().wf
    runs = [wf.submit(run_dir=tmp_path / name, executor="local") for name in ("r1", "r2")]
    wf.cancel_runs([run.run_id for run in runs], wf.store)
    for run in runs:
        run.wait(timeout=60)
    assert [run.state for run in runs] == ["CANCELLED", "CANCELLED"]


@pytest.fixture
def history(pipeline: FlowFile, tmp_path: Path) -> FlowFile:
    """A store with runs of two workflows in February, March and April 2025."""
    from reflow.model.records import RunRecord
    from reflow.model.states import RunState

    store = pipeline.load().wf.store
    for workflow, month, state in (
        ("my_pipeline", 2, RunState.SUCCESS),
        ("my_pipeline", 3, RunState.FAILED),
        ("other", 3, RunState.SUCCESS),
        ("my_pipeline", 4, RunState.FAILED),
    ):
        run = RunRecord(
            run_id=f"{workflow}-2025{month:02}15-00a1",
            workflow=workflow,
            state=state,
            run_dir=tmp_path,
            created_at=datetime(2025, month, 15, tzinfo=UTC),
            parameters={},
        )
        assert store.create_run(run, [])
    return pipeline


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({}, ["my_pipeline-4", "other-3", "my_pipeline-3", "my_pipeline-2"]),
        ({"graph_name": "my_pipeline"}, ["my_pipeline-4", "my_pipeline-3", "my_pipeline-2"]),
        ({"graph_name": "my_pipeline", "limit": 1}, ["my_pipeline-4"]),
        ({"since": "2025-03-01"}, ["my_pipeline-4", "other-3", "my_pipeline-3"]),
        ({"until": "2025-04-01"}, ["other-3", "my_pipeline-3", "my_pipeline-2"]),
        ({"status": "FAILED"}, ["my_pipeline-4", "my_pipeline-3"]),
        (
            {
                "graph_name": "my_pipeline",
                "limit": 10,
                "since": "2025-03-01",
                "until": "2025-04-01",
                "status": "FAILED",
            },
            ["my_pipeline-3"],
        ),
    ],
)
def test_list_runs_filters(
    history: FlowFile, wanted: dict[str, str | int], found: list[str]
) -> None:
    records = history.load().wf.store.list_runs(**wanted)
    assert sorted(f"{r.workflow}-{r.created_at.month}" for r in records) == sorted(found)


def test_list_runs_gives_the_newest_first(history: FlowFile) -> None:
    months = [
        r.created_at.month for r in history.load().wf.store.list_runs(graph_name="my_pipeline")
    ]
    assert months == [4, 3, 2]


def test_list_runs_counts_since_from_that_moment_on_and_until_before_it(
    history: FlowFile,
) -> None:
    store = history.load().wf.store
    moment = "2025-03-15T00:00:00+00:00"
    assert len(store.list_runs(graph_name="other", since=moment)) == 1
    assert store.list_runs(graph_name="other", until=moment) == []


# -- Executors ------------------------------------------------------------------------------


def test_the_local_executor_is_imported_from_reflow(pipeline: FlowFile, tmp_path: Path) -> None:
    from reflow import LocalExecutor

    run = pipeline.load().wf.submit(run_dir=tmp_path / "r", executor=LocalExecutor(), x="hello")
    run.wait(timeout=60)
    assert run.result("step_b") == ["HELLO", "HELLO_COPY"]


@pytest.mark.usefixtures("without_backends")
@pytest.mark.parametrize(("name", "prefix"), BACKENDS.items())
def test_the_executor_of_a_missing_distribution_says_what_to_install(
    name: str, prefix: str
) -> None:
    with pytest.raises(ImportError, match=f"pip install reflow-{name}"):
        exec(f"from reflow import {prefix}Executor")  # as a person writes it


def test_an_executor_nobody_has_heard_of_is_a_value_error_with_the_nearest_name(
    pipeline: FlowFile, tmp_path: Path
) -> None:
    from reflow import ReflowError

    with pytest.raises(ReflowError, match="local"):
        pipeline.load().wf.submit(run_dir=tmp_path / "r", executor="locale", x="hello")


# -- Configuration --------------------------------------------------------------------------


def test_load_config_reads_the_file_in_the_users_configuration_folder(
    home: Path, pipeline: FlowFile, tmp_path: Path
) -> None:
    from reflow import Workflow, load_config

    place = tmp_path / "elsewhere.db"
    file = home / ".config" / "reflow" / "config.toml"
    file.parent.mkdir(parents=True)
    file.write_text(f'[store]\nurl = "sqlite:///{place}"\n')
    wf = Workflow("name", config=load_config())
    assert str(place) in wf.store.url
    assert str(place) in pipeline.load().wf.store.url


def test_ensure_config_exists_writes_a_fully_commented_file_if_it_is_missing(home: Path) -> None:
    from reflow import ensure_config_exists

    ensure_config_exists()
    written = (home / ".config" / "reflow" / "config.toml").read_text()
    settings = [line for line in written.splitlines() if line.strip()]
    assert settings
    assert all(line.startswith(("#", "[")) for line in settings)


def test_ensure_config_exists_leaves_a_file_alone(home: Path) -> None:
    from reflow import ensure_config_exists

    file = home / ".config" / "reflow" / "config.toml"
    file.parent.mkdir(parents=True)
    file.write_text("# mine\n")
    ensure_config_exists()
    assert file.read_text() == "# mine\n"
