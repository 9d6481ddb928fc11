"""The getting-started page, statement by statement."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from tests.reference.flows import FlowFile, WriteFlow, until

# -- A Workflow is the runtime entry point --------------------------------------------------


def test_a_workflow_validates_the_task_graph(getting_started: FlowFile) -> None:
    getting_started.load().wf.validate()


def test_a_workflow_submits_and_its_run_exposes_status_cancel_and_retry(
    getting_started: FlowFile, tmp_path: Path
) -> None:
    run = getting_started.load().wf.submit(run_dir=tmp_path / "demo", executor="local")
    run.wait(timeout=60)
    assert run.status(as_dict=True)["run"]["status"] == "SUCCESS"
    run.cancel()
    run.retry()
    assert run.state == "SUCCESS"


# -- A job produces a single task instance; RunDir ------------------------------------------


def test_a_job_produces_a_single_task_instance(getting_started: FlowFile, tmp_path: Path) -> None:
    run = getting_started.load().wf.run_local(run_dir=tmp_path / "demo")
    assert run.status(as_dict=True)["tasks"]["prepare"]["counts"] == {"SUCCESS": 1}
    assert run.result("prepare") == ["a.nc", "b.nc", "c.nc"]


RUN_DIR_FLOW = """
    from pathlib import Path

    from reflow import RunDir, Workflow

    wf = Workflow("where")


    @wf.job()
    def first(workplace: RunDir = RunDir()) -> str:
        assert isinstance(workplace, Path)
        return str(workplace)


    @wf.job()
    def second(workplace: RunDir = RunDir()) -> str:
        return str(workplace)


    if __name__ == "__main__":
        wf.cli()
"""


def test_run_dir_is_injected_with_the_shared_working_directory(
    write_flow: WriteFlow, tmp_path: Path
) -> None:
    run = write_flow(RUN_DIR_FLOW).load().wf.run_local(run_dir=tmp_path / "demo")
    assert run.result("first") == run.result("second") == str(tmp_path / "demo")


@pytest.mark.parametrize("command", ["submit", "run"])
def test_run_dir_never_appears_on_the_command_line(write_flow: WriteFlow, command: str) -> None:
    assert "workplace" not in write_flow(RUN_DIR_FLOW).succeed(command, "--help")


# -- Array tasks: fan-out and gather --------------------------------------------------------


def test_an_array_task_creates_one_instance_per_upstream_element(
    getting_started: FlowFile, tmp_path: Path
) -> None:
    run = getting_started.load().wf.run_local(run_dir=tmp_path / "demo")
    assert run.status(as_dict=True)["tasks"]["convert"]["counts"] == {"SUCCESS": 3}
    assert run.result("convert") == ["a.zarr", "b.zarr", "c.zarr"]


def test_gather_collects_all_array_outputs_into_one_list(
    getting_started: FlowFile, tmp_path: Path
) -> None:
    run = getting_started.load().wf.run_local(run_dir=tmp_path / "demo")
    assert run.result("publish") == "published 3 outputs"


def test_fan_out_and_gather_are_inferred_from_the_types(getting_started: FlowFile) -> None:
    described = {task["name"]: task for task in getting_started.load().wf.describe()["tasks"]}
    assert "fan-out" in str(described["convert"])
    assert "gather" in str(described["publish"])


# -- The command line -----------------------------------------------------------------------


def test_dag_shows_the_graph(getting_started: FlowFile) -> None:
    printed = getting_started.succeed("dag")
    assert re.search(r"prepare.*convert.*publish", printed, re.DOTALL)


def test_submit_help_shows_the_flags(getting_started: FlowFile) -> None:
    printed = getting_started.succeed("submit", "--help")
    for flag in ("--run-dir", "--executor", "--force", "--force-tasks", "--verify", "--dry-run"):
        assert flag in printed


def test_submit_starts_a_run_in_the_run_directory(
    getting_started: FlowFile, tmp_path: Path
) -> None:
    place = tmp_path / "scratch" / "demo"
    printed = getting_started.succeed("submit", "--run-dir", str(place), "--wait")
    run_id = re.search(r"demo-\d{8}-[0-9a-f]{4}", printed)
    assert run_id is not None
    run = getting_started.load().wf.open_run(run_id.group())
    assert (run.run_dir, run.state) == (place, "SUCCESS")
    assert run.result("publish") == "published 3 outputs"


# -- What happens on submit -----------------------------------------------------------------

BROKEN = {
    "missing reference": 'def b(x: Annotated[str, Result(step="nowhere")]) -> str: return x',
    "type mismatch": 'def b(x: Annotated[str, Result(step="numbers")]) -> str: return x',
    "cycle": 'def b(x: Annotated[str, Result(step="b")]) -> str: return x',
}


@pytest.mark.parametrize("mistake", BROKEN)
def test_submit_validates_the_graph_first(
    write_flow: WriteFlow, tmp_path: Path, mistake: str
) -> None:
    flow = write_flow(
        f"""
from typing import Annotated
from reflow import Result, Workflow
wf = Workflow("broken")
@wf.job()
def numbers() -> list[int]: return [1]
@wf.job()
{BROKEN[mistake]}
"""
    )
    wf = flow.load().wf
    with pytest.raises(ValueError, match="b"):
        wf.submit(run_dir=tmp_path / "demo", executor="local")
    assert wf.store.list_runs() == []
    assert not (tmp_path / "demo").exists()


def test_submit_creates_a_run_record_in_the_shared_manifest_database(
    getting_started: FlowFile, tmp_path: Path
) -> None:
    wf = getting_started.load().wf
    runs = [wf.submit(run_dir=tmp_path / name, executor="local") for name in ("one", "two")]
    assert {record.run_id for record in wf.store.list_runs(graph_name="demo")} == {
        run.run_id for run in runs
    }
    for run in runs:
        run.wait(timeout=60)


def test_submit_materialises_the_tasks_at_once(getting_started: FlowFile, tmp_path: Path) -> None:
    run = getting_started.load().wf.submit(run_dir=tmp_path / "demo", executor="local")
    assert list(run.status(as_dict=True)["tasks"]) == ["prepare", "convert", "publish"]
    run.wait(timeout=60)


def test_workers_execute_the_functions_in_processes_of_their_own(
    write_flow: WriteFlow, tmp_path: Path
) -> None:
    flow = write_flow(
        """
        import os
        from reflow import Workflow

        wf = Workflow("pids")

        @wf.job()
        def pid() -> int:
            return os.getpid()

        @wf.job()
        def session() -> int:
            return os.getsid(0)
        """
    )
    run = flow.load().wf.submit(run_dir=tmp_path / "demo", executor="local")
    run.wait(timeout=60)
    assert run.result("pid") != os.getpid()
    assert run.result("session") != os.getsid(0)


def test_the_dispatcher_repeats_until_the_graph_is_complete(
    getting_started: FlowFile, tmp_path: Path
) -> None:
    run = getting_started.load().wf.submit(run_dir=tmp_path / "demo", executor="local")
    run.wait(timeout=60)
    tasks = run.status(as_dict=True)["tasks"]
    assert {name: task["state"] for name, task in tasks.items()} == {
        "prepare": "SUCCESS",
        "convert": "SUCCESS",
        "publish": "SUCCESS",
    }


# -- Running from Python --------------------------------------------------------------------

PARAMETERS = """
    import time
    from pathlib import Path
    from typing import Annotated

    from reflow import Param, Workflow

    wf = Workflow("transfer")


    @wf.job()
    def fetch(start: str, bucket: str = "main") -> str:
        return f"{bucket}/{start}"


    @wf.job()
    def tidy(
        level: Annotated[int, Param(help="How thorough", short="-l", namespace="local")] = 1,
    ) -> int:
        return level


    if __name__ == "__main__":
        wf.cli()
"""


def test_submit_from_python_takes_the_parameters_as_keywords(
    write_flow: WriteFlow, tmp_path: Path
) -> None:
    wf = write_flow(PARAMETERS).load().wf
    run = wf.submit(
        run_dir=str(tmp_path / "demo"), executor="local", start="2025-01-01", bucket="demo"
    )
    run.wait(timeout=60)
    assert run.result("fetch") == "demo/2025-01-01"


def test_status_gives_the_run_state_and_a_breakdown_by_task(
    write_flow: WriteFlow, tmp_path: Path
) -> None:
    run = write_flow(PARAMETERS).load().wf.run_local(run_dir=tmp_path / "demo", start="now")
    status = run.status()
    assert status["run"]["status"] == "SUCCESS"
    assert status["tasks"]["fetch"]["state"] == "SUCCESS"
    assert status["run"]["parameters"]["start"] == "now"


WAITING = """
    import time
    from pathlib import Path

    from reflow import Workflow

    wf = Workflow("waiting")


    @wf.job()
    def wait_for_ever() -> None:
        Path("{here}/started").touch()
        while True:
            time.sleep(0.05)


    if __name__ == "__main__":
        wf.cli()
"""


def test_cancel_cancels_active_jobs(write_flow: WriteFlow, tmp_path: Path) -> None:
    run = write_flow(WAITING).load().wf.submit(run_dir=tmp_path / "demo", executor="local")
    until((tmp_path / "started").exists)
    run.cancel()
    run.wait(timeout=60)
    assert run.state == "CANCELLED"
    assert run.status(as_dict=True)["tasks"]["wait_for_ever"]["state"] == "CANCELLED"


def test_retry_resubmits_failed_tasks(write_flow: WriteFlow, tmp_path: Path) -> None:
    flow = write_flow(
        """
        from pathlib import Path
        from reflow import Workflow

        wf = Workflow("fragile")

        @wf.job()
        def read() -> str:
            return Path("{here}/input").read_text()
        """
    )
    run = flow.load().wf.submit(run_dir=tmp_path / "demo", executor="local")
    run.wait(timeout=60)
    assert run.state == "FAILED"
    (tmp_path / "input").write_text("here now")
    run.retry()
    run.wait(timeout=60)
    assert (run.state, run.result("read")) == ("SUCCESS", "here now")


# -- Plain and Annotated style --------------------------------------------------------------


def test_plain_parameters_become_flags(write_flow: WriteFlow) -> None:
    flow = write_flow(PARAMETERS)
    printed = flow.succeed("submit", "--help")
    assert "--start" in printed
    assert "--bucket" in printed
    printed = flow.succeed("run", "--run-dir", "demo", "--start", "2025", "--bucket", "b")
    run_id = re.search(r"transfer-\d{8}-[0-9a-f]{4}", printed)
    assert run_id is not None
    assert flow.load().wf.open_run(run_id.group()).result("fetch") == "b/2025"


def test_param_gives_help_text_short_flags_and_a_local_namespace(write_flow: WriteFlow) -> None:
    flow = write_flow(PARAMETERS)
    printed = flow.succeed("submit", "--help")
    assert "How thorough" in printed
    assert "--tidy-level" in printed
    assert "-l" in printed
    printed = flow.succeed("run", "--run-dir", "demo", "--start", "2025", "-l", "3")
    run_id = re.search(r"transfer-\d{8}-[0-9a-f]{4}", printed)
    assert run_id is not None
    assert flow.load().wf.open_run(run_id.group()).result("tidy") == 3
