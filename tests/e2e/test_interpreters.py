"""What is true in a Python process of its own: what is imported, and what hashes do not change."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

from reflow.codecs.codecs import Codecs
from reflow.model.canonical import dumps
from reflow.testing.plugins import (
    write_distribution,
)

from tests.unit.codecs.shapes import (
    Colour,
)
from tests.unit.fingerprint.code.projects import loaded, source_digest, write
from tests.unit.fingerprint.code.test_source_digest import HELPERS, NAMES


def python(code: str) -> str:
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_importing_reflow_loads_next_to_nothing() -> None:
    loaded = python(
        "import sys; before = set(sys.modules); import reflow; "
        "print(*sorted(set(sys.modules) - before))"
    ).split()
    assert set(loaded) <= {"__future__", "reflow", "reflow.excepthook"}


def test_a_plugin_that_only_offers_an_executor_loads_no_heavy_library() -> None:
    loaded = python(
        "import sys; from reflow.plugin_api import API_VERSION, ExecutorPlugin, hookimpl; "
        "print(*sys.modules)"
    ).split()
    assert not {
        "typer",
        "rich",
        "peewee",
        "jinja2",
        "subprocess",
        "reflow.executors.batch.base",
    } & set(loaded)


def test_looking_plugins_up_does_not_import_importlib_metadata() -> None:
    code = "import sys; from reflow.plugins.registry import registry; registry().executors(); "
    code += "sys.exit('importlib.metadata' in sys.modules)"
    ended = subprocess.run([sys.executable, "-c", code], check=False)
    assert ended.returncode == 0


POND = """
from reflow.plugin_api import API_VERSION, ExecutorPlugin, hookimpl

@hookimpl
def reflow_executors():
    pond = {"name": "pond", "target": "pond_plugin:reflow_executors"}
    return [ExecutorPlugin(**pond, api_version=API_VERSION)]
"""


def test_hook_calls_are_traced_on_demand(tmp_path: Path) -> None:
    write_distribution(
        tmp_path, "reflow-pond", "1.0", {"pond": "pond_plugin"}, {"pond_plugin": POND}
    )
    code = "from reflow.plugins.registry import registry; registry().executors()"
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "REFLOW_TRACE_HOOKS": "1"}
    ended = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert "reflow_executors of reflow-pond 1.0" in ended.stderr


def test_importing_a_flow_is_cheap(tmp_path: Path) -> None:
    heavy = ["inspect", "dataclasses", "pathlib", "difflib", "pluggy", "typer", "rich", "peewee"]
    code = f"""
import sys
before = set(sys.modules)
from reflow.flow import Flow
from reflow.wiring.markers import Param, Result, RunDir
print(*[name for name in {heavy} if name in set(sys.modules) - before])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_equal_sets_give_equal_text_whatever_order_python_keeps_them_in() -> None:
    program = textwrap.dedent("""
        from reflow.codecs.codecs import Codecs
        from reflow.model.canonical import dumps
        print(dumps(Codecs().encode({"b", "a", "c", ("x", 1), None, 2.5})))
    """)
    texts = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(texts) == 1


def test_numpy_is_not_imported_for_values_without_it() -> None:
    program = (
        "import sys; from reflow.codecs.codecs import Codecs; from collections import Counter; "
        "Codecs().encode([Counter('a')], list[dict[str, float]]); "
        "print('numpy' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"


codecs = Codecs()


FLOW = """
    from dataclasses import dataclass
    from enum import Enum
    import sys
    from tests.unit.codecs.shapes import Colour as Other

    class Colour(Enum):
        RED = 1

    @dataclass
    class Item:
        colour: Colour
        other: "Other"

    class Only(Enum):
        A = 1

    if __name__ == "__main__":
        from reflow.codecs.codecs import Codecs
        from reflow.model.canonical import dumps
        print(dumps(Codecs().encode([Item(Colour.RED, Other.RED), Only.A], Item | Only)))
"""


def test_a_class_has_the_same_text_in_the_script_and_where_it_is_loaded_under_another_name(
    tmp_path: Any,
) -> None:
    flow = tmp_path / "flow.py"
    flow.write_text(textwrap.dedent(FLOW))
    root = Path(__file__).parents[2]
    as_script = subprocess.run(
        [sys.executable, flow], env={"PYTHONPATH": str(root)}, capture_output=True, check=True
    ).stdout.decode()

    import importlib.util

    spec = importlib.util.spec_from_file_location("another_name", flow)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["another_name"] = module
    try:
        spec.loader.exec_module(module)
        value = [module.Item(module.Colour.RED, Colour.RED), module.Only.A]
        annotation = module.Item | module.Only
        assert dumps(codecs.encode(value, annotation)) == as_script.strip()
        assert codecs.decode(json.loads(as_script), annotation) == value
        assert '"Only"' in as_script
    finally:
        del sys.modules["another_name"]


def test_every_process_arrives_at_the_same_digest_whatever_the_module_is_called(
    tmp_path: Path,
) -> None:
    flow = (
        textwrap.dedent(NAMES)
        + "KINDS = {'b', 'a', 'c'}\nfrom helpers import used\n"
        + "STEPS = {helper, deep, even}\n"
        + "def other(x): return x in KINDS | {'d', 'e'}, task(x), used(x), STEPS\n"
        + "if __name__ == '__main__':\n"
        + "    from reflow.fingerprint.code.digest import Survey\n"
        + "    print(Survey([other]).look_at(other).digest)\n"
    )
    folder = write(tmp_path, {"flow.py": flow, "helpers.py": HELPERS})
    with loaded(folder / "flow.py") as module:
        here = source_digest(module.other)
    assert source_digest_of_import(folder) == here
    for arguments in (["flow.py"], [str(folder / "flow.py")], ["-m", "flow"]):
        for seed in ("1", "2"):
            script = subprocess.run(
                [sys.executable, *arguments],
                cwd=folder,
                env={**os.environ, "PYTHONHASHSEED": seed},
                capture_output=True,
                text=True,
                check=True,
            )
            assert script.stdout.strip() == here


def source_digest_of_import(folder: Path) -> str:
    program = (
        "from flow import other; from reflow.fingerprint.code.digest import Survey; "
        "print(Survey([other]).look_at(other).digest)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()
