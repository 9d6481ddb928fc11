"""The user's own code that does not lie beside the flow, and flows of other kinds of files."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.support import FlowFile, until
from tests.faults.scripted_scheduler import Folder, ScriptedExecutor

Flows = Callable[..., FlowFile]
WAYS = ("inline", "pool", "background", "dispatch jobs")


@pytest.mark.parametrize("way", WAYS)
def test_a_package_elsewhere_on_the_path_counts(
    flow_file: Flows,
    scheduler: Folder,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    way: str,
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "src"
    package = elsewhere / f"physics_{way.partition(' ')[0]}"
    package.mkdir(parents=True)
    monkeypatch.syspath_prepend(str(elsewhere))
    # Nobody but root may judge by the owner; here it is said.
    monkeypatch.setenv("REFLOW_SOURCE_OWN", str(elsewhere))
    (package / "__init__.py").touch()
    flow = flow_file(
        f"""
        from {package.name}.laws import scaled

        wf = Workflow("elsewhere")

        @wf.job()
        def scale(x: int = 2) -> int:
            did("scale")
            return scaled(x)
        """
    )

    def run(factor: int) -> Any:
        (package / "laws.py").write_text(f"def scaled(x): return {factor} * x")
        for name in [name for name in sys.modules if name.startswith(package.name)]:
            del sys.modules[name]
        if way != "dispatch jobs":
            return flow.run(way).result("scale")
        started = flow.load().submit(executor=ScriptedExecutor(folder=str(scheduler.path)))
        until(lambda: started.state != "RUNNING" and not scheduler.in_queue())
        return started.result("scale")

    assert (run(10), run(10), run(300)) == (20, 20, 600)
    assert flow.calls == {"scale": 2}


def test_an_executable_flow_without_py_runs_in_every_way(
    flow_file: Flows, scheduler: Folder
) -> None:
    flow = flow_file(
        f"""
        from tests.faults.scripted_scheduler import ScriptedExecutor

        wf = Workflow("noext")

        @wf.job()
        def items() -> list[int]:
            return [1, 2]

        @wf.job(array=True)
        def each(x: Annotated[int, Result(step="items")]) -> int:
            did("each")
            return x

        if __name__ == "__main__":
            ways = [
                wf.run_local(force=True),
                wf.run_local(max_workers=2, force=True),
                wf.submit(executor="local", force=True),
                wf.submit(executor=ScriptedExecutor(folder={str(scheduler.path)!r}), force=True),
            ]
            for run in ways:
                run.wait()
                assert run.result("each") == [1, 2]
        """
    )
    script = flow.path.rename(flow.folder / "analyse")
    script.write_text(f"#!{sys.executable}\n{script.read_text()}")
    script.chmod(0o755)
    root = Path(__file__).resolve().parents[2]
    subprocess.run(
        ["./analyse"],
        cwd=flow.folder,
        env={**os.environ, "PYTHONPATH": str(root)},
        check=True,
        timeout=100,
    )
    assert flow.calls == {"each": 8}
