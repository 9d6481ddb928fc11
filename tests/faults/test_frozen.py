"""Copies of the source, in workers and in the processes that their tasks start."""

from __future__ import annotations

import json
import platform
import subprocess
import sys
import sysconfig
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from reflow.rundir.layout import RunLayout

from tests.e2e.support import FlowFile, failed, until

Flows = Callable[..., FlowFile]

MAPS = """
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor

    from shapes import shape

    wf = Workflow("maps")

    def word(x: int) -> str:
        return f"{shape(x)} of {os.path.basename(__file__)}"

    @wf.job()
    def mapped() -> list[str]:
        did("begun")
        wait_for("{here}/go")
        {mapping}

    if __name__ == "__main__":
        wf.submit(executor="local")
"""
MAPPINGS = {
    method: f"""
        context = multiprocessing.get_context("{method}")
        with ProcessPoolExecutor(1, mp_context=context) as pool:
            return list(pool.map(word, [1, 2]))
    """
    for method in ("spawn", "forkserver", "fork")
}
MAPPINGS["joblib"] = """
        from joblib import Parallel, delayed
        return Parallel(n_jobs=2)(delayed(word)(x) for x in [1, 2])
"""


def flow_with(flow_file: Flows, mapping: str) -> FlowFile:
    flow = flow_file("")
    lines = mapping.strip().replace("\n        ", "\n    ")
    text = MAPS.replace("    {mapping}", "    " + lines.replace("\n", "\n    "))
    (flow.folder / "shapes.py").write_text("def shape(x): return 'o' * x")
    return flow.write(text)


@pytest.mark.parametrize("how", MAPPINGS)
def test_processes_that_a_task_starts_find_the_copy_and_the_main_module(
    flow_file: Flows, how: str
) -> None:
    if how == "joblib":
        pytest.importorskip("joblib")
    flow = flow_with(flow_file, MAPPINGS[how])
    subprocess.run([sys.executable, str(flow.path)], cwd=flow.folder, check=True, timeout=60)
    until(lambda: flow.calls["begun"])
    flow.path.rename(flow.folder / "moved")
    (flow.folder / "shapes.py").unlink()
    (flow.folder / "go").touch()
    from reflow import load_config
    from reflow.plugins.registry import registry
    from reflow.run import open_run

    store = registry().store_for(load_config().store.url)
    run = open_run(store.list_runs(limit=1)[0].run_id)
    assert run.wait(timeout=60) == "SUCCESS", failed(run)
    assert run.result("mapped") == ["o of flow.py", "oo of flow.py"]


def test_a_traceback_shows_the_lines_that_ran(flow_file: Flows) -> None:
    flow = flow_file(
        """
        wf = Workflow("lines")

        @wf.job()
        def breaks() -> int:
            did("begun")
            wait_for("{here}/go")
            return 1 // 0  # as submitted
        """
    )
    run = flow.load().submit(executor="local")
    until(lambda: flow.calls["begun"])
    flow.replace("return 1 // 0  # as submitted", "return 2  # edited")
    (flow.folder / "go").touch()
    assert run.wait(timeout=60) == "FAILED"
    [element] = run.status(as_dict=True)["failed_instances"]
    assert "# as submitted" in element["traceback"]


def test_a_compiled_module_is_the_one_that_was_there_at_submission(
    flow_file: Flows, tmp_path_factory: pytest.TempPathFactory
) -> None:
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    source = tmp_path_factory.mktemp("c") / "counted.c"

    def build(flow: FlowFile, number: int) -> None:
        source.write_text(
            "#include <Python.h>\n"
            'static struct PyModuleDef counted = {PyModuleDef_HEAD_INIT, "counted"};\n'
            "PyMODINIT_FUNC PyInit_counted(void) {\n"
            "  PyObject *module = PyModule_Create(&counted);\n"
            f'  PyModule_AddIntConstant(module, "NUMBER", {number});\n'
            "  return module;\n}\n"
        )
        new = flow.folder / "new.so"
        include = sysconfig.get_path("include")
        words = ["cc", "-shared", "-fPIC", f"-I{include}", str(source), "-o", str(new)]
        if subprocess.run(words, check=False, capture_output=True).returncode:
            pytest.skip("needs a compiler")
        new.rename(flow.folder / f"counted{suffix}")

    flow = flow_file(
        """
        wf = Workflow("compiled")

        @wf.job()
        def first() -> int:
            did("begun")
            wait_for("{here}/go")
            return 1

        @wf.job()
        def number(x: Annotated[int, Result(step="first")]) -> str:
            import counted
            return f"{counted.NUMBER} {os.path.basename(counted.__file__)}"
        """
    )
    build(flow, 1)
    run = flow.load().submit(executor="local")
    until(lambda: flow.calls["begun"])
    build(flow, 2)
    (flow.folder / "go").touch()
    assert run.wait(timeout=60) == "SUCCESS", failed(run)
    assert run.result("number") == f"1 counted{suffix}"


LATE = """
    import importlib

    wf = Workflow("late")

    @wf.job()
    def cooked() -> str:
        did("begun")
        wait_for("{here}/go")
        return importlib.import_module("rec" + "ipe").WORD
"""


@pytest.mark.parametrize("way", ["pool", "background"])
@pytest.mark.parametrize("edited", [True, False])
def test_results_made_with_a_module_that_was_written_after_submission_serve_their_run_only(
    flow_file: Flows, way: str, edited: bool
) -> None:
    flow = flow_file(LATE)
    recipe = flow.folder / "recipe.py"
    recipe.write_text("WORD = 'before'")

    def edit() -> None:
        until(lambda: flow.calls["begun"])
        if edited:
            recipe.write_text("WORD = 'edited'")
        (flow.folder / "go").touch()

    person = threading.Thread(target=edit)
    person.start()
    run = flow.run(way)
    person.join()
    assert run.result("cooked") == ("edited" if edited else "before")
    notes = [note for note in run.status(as_dict=True)["notes"] if "recipe.py was written" in note]
    assert len(notes) == edited
    flow.forget()
    flow.run(way)
    assert flow.calls["begun"] == edited


def copies_of(run: Any) -> list[Path]:
    return sorted(RunLayout(run.run_dir, run.run_id).copies.glob("*.zip"))


WAITS = """
    wf = Workflow("waits")

    @wf.job()
    def first() -> int:
        did("begun")
        wait_for("{here}/go")
        return 1

    @wf.job()
    def second(x: Annotated[int, Result(step="first")]) -> int:
        did("second")
        return x + 1
"""


def test_runs_of_a_run_directory_share_a_copy_that_is_compiled(flow_file: Flows) -> None:
    flow = flow_file(f"{WAITS}\n    if __name__ == '__main__':\n        wf.cli()\n")
    (flow.folder / "go").touch()

    def copies_after_a_run() -> list[Path]:
        words = ["submit", "--executor", "local", "--run-dir", "shared", "--force", "--wait"]
        subprocess.run([sys.executable, flow.path, *words], cwd=flow.folder, check=True)
        return sorted((flow.folder / "shared/.reflow/source").glob("*.zip"))

    [archive] = copies_after_a_run()
    with zipfile.ZipFile(archive) as content:
        assert any(name.endswith("-flow.py.code") for name in content.namelist())
    assert copies_after_a_run() == [archive]
    flow.replace("return x + 1", "return x + 2")
    assert len(copies_after_a_run()) == 2


def test_a_worker_that_cannot_read_its_copy_says_so(flow_file: Flows) -> None:
    flow = flow_file(WAITS)
    run = flow.load().submit(executor="local")
    until(lambda: flow.calls["begun"])
    [archive] = copies_of(run)
    archive.unlink()
    (flow.folder / "go").touch()
    assert run.wait(timeout=60) == "FAILED"
    [(cause, error)] = [failed(run)["second", None]]
    assert cause == "ERROR"
    assert f"cannot be read on this machine: {archive}" in error


def test_a_worker_that_cannot_load_its_copy_says_which_python_it_was_made_with(
    flow_file: Flows,
) -> None:
    flow = flow_file(WAITS)
    run = flow.load().submit(executor="local")
    until(lambda: flow.calls["begun"])
    [archive] = copies_of(run)
    with zipfile.ZipFile(archive) as content:
        entries = {name: content.read(name) for name in content.namelist()}
    index = {**json.loads(entries["index.json"]), "python": "3.11.0rc1", "magic": "of another"}
    entries["index.json"] = json.dumps(index).encode()
    with zipfile.ZipFile(archive, "w") as content:
        for name, data in entries.items():
            content.writestr(name, b"def half(" if name.endswith("-flow.py") else data)
    (flow.folder / "go").touch()
    assert run.wait(timeout=60) == "FAILED"
    error = failed(run)["second", None][1]
    assert "SyntaxError" in error
    here = platform.python_version()
    assert f"submitted with Python 3.11.0rc1, and this is {here}" in error


def test_a_check_of_a_result_that_a_dispatcher_cannot_load_is_a_miss(flow_file: Flows) -> None:
    flow = flow_file(
        """
        if "reflow.runs.supervisor" in sys.orig_argv:
            raise RuntimeError("a dispatcher loads nothing of the flow")

        wf = Workflow("checked")

        @wf.job(verify=lambda value: True)
        def one() -> int:
            did("one")
            return 1
        """
    )
    assert flow.run("background").state == "SUCCESS"
    assert flow.run("background").state == "SUCCESS"
    assert flow.calls == {"one": 1}
    assert flow.run("background", verify=True).state == "SUCCESS"
    assert flow.calls == {"one": 2}
