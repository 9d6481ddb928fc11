"""Imports between layers, sizes of folders, what `import reflow` loads, who names schedulers."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CORE = ROOT / "reflow-core" / "src"
THIRD_PARTY = ROOT / "tests" / "plugins" / "reflow-example"

# Each may import its own row and those above it. A folder stands for what is in it; where a module
# is named itself, that counts. What only type checkers import is free.
LAYERS = (
    ("suggest", "plugins.distributions"),
    ("errors", "excepthook", "permissions", "scratch"),
    ("model",),
    # The contracts are interfaces without code, made of the words of the model.
    ("wiring.contract", "codecs.contract", "stores.contract", "executors.contract"),
    ("wiring",),
    ("codecs",),
    ("fingerprint",),
    ("config.values", "plugins"),
    ("config",),
    ("stores",),
    ("executors",),
    ("rundir",),
    # What plugins are given, and what `doctor` tries: beside the stack, for those outside it.
    ("plugin_api", "plugins.health", "plugins.builtin"),
    ("execution",),
    ("notebook",),
    ("dispatch",),
    ("runs",),
    ("report",),
    ("flow", "run", "workflow"),
    ("cli", "__main__"),
    ("testing",),
)
# The one way down: a method that reads the command line, and imports it when called.
DOORS = {("workflow", "cli.flow")}
RANKS = {name: rank for rank, row in enumerate(LAYERS) for name in row}

MOST_MODULES = 20

FOR_TYPE_CHECKERS = ("TYPE_CHECKING", "typing.TYPE_CHECKING")

SCHEDULERS = re.compile(
    # Between letters these are parts of other words; between cases they are not: `PBSExecutor`.
    r"(?<![a-z])(slurm|pbs|lsf|sge|flux|torque|qsub|sbatch|grid[ _-]?engine)(?![a-z])"
)


def sources(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.py"))


def module_of(path: Path) -> str:
    """The name within `reflow`: `stores.sql`; empty for `reflow` itself."""
    parts = path.relative_to(CORE / "reflow").with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def layer_of(module: str) -> str | None:
    """The most telling entry of `LAYERS` for a module."""
    while module and module not in RANKS:
        module = module.rpartition(".")[0]
    return module or None


def imports_of(path: Path) -> Iterator[tuple[int, str]]:
    """Line and full name of everything a file imports when it runs, at any depth."""
    package = path.relative_to(CORE).parent.parts if path.is_relative_to(CORE) else ()
    for node in running(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            source = ".".join(part for part in (base, node.module) if part)
            for alias in node.names:
                full = f"{source}.{alias.name}"
                inside = CORE.joinpath(*full.split("."))
                is_module = inside.is_dir() or inside.with_suffix(".py").is_file()
                yield node.lineno, full if is_module else source


def running(node: ast.AST) -> Iterator[ast.AST]:
    """A tree's nodes, without the blocks that are for type checkers."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test) in FOR_TYPE_CHECKERS:
            yield from (each for other in child.orelse for each in (other, *running(other)))
        else:
            yield child
            yield from running(child)


def reflow_imports(path: Path) -> Iterator[tuple[int, str]]:
    """Line and name within `reflow` of what a file imports from there."""
    for line, name in imports_of(path):
        if name == "reflow" or name.startswith("reflow."):
            yield line, name.removeprefix("reflow").removeprefix(".")


def test_every_module_stands_in_a_layer() -> None:
    unplaced = [
        module for path in sources(CORE) if (module := module_of(path)) and layer_of(module) is None
    ]
    assert unplaced == []


@pytest.mark.parametrize("path", sources(CORE), ids=lambda path: module_of(path) or "reflow")
def test_a_module_imports_only_what_stands_above_it(path: Path) -> None:
    layer = layer_of(module_of(path))
    if layer is None:
        return  # `reflow` itself, which imports nothing until it is asked, from anywhere
    wrong = [
        f"{path.name}:{line} imports reflow.{name}"
        for line, name in reflow_imports(path)
        if name and (target := layer_of(name)) and RANKS[target] > RANKS[layer]
        if (module_of(path), name) not in DOORS
    ]
    assert wrong == []


@pytest.mark.parametrize(("module", "behind"), sorted(DOORS))
def test_what_is_lower_is_imported_only_when_called(module: str, behind: str) -> None:
    tree = ast.parse((CORE / "reflow" / f"{module}.py").read_text())
    top = [node.module for node in tree.body if isinstance(node, ast.ImportFrom)]
    assert f"reflow.{behind}" not in top
    assert (module, behind) in {
        (module, name) for _, name in reflow_imports(CORE / "reflow" / f"{module}.py")
    }


def test_no_module_imports_from_the_package_root() -> None:
    # The root's names are for users; within, it would hide a dependency, and be circular.
    wrong = [
        f"{module_of(path)}:{node.lineno} imports {alias.name}"
        for path in sources(CORE)
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and node.module == "reflow" and not node.level
        for alias in node.names
        if alias.name != "__version__" and layer_of(alias.name) is None
    ]
    assert wrong == []


def test_nothing_imports_the_test_kit() -> None:
    wrong = [
        f"{module_of(path)}:{line}"
        for path in sources(CORE)
        if layer_of(module_of(path)) != "testing"
        for line, name in reflow_imports(path)
        if layer_of(name) == "testing"
    ]
    assert wrong == []


def test_backends_import_only_the_plugin_interface() -> None:
    backends = [path for path in ROOT.glob("reflow-*/src") if path != CORE]
    backends.append(THIRD_PARTY / "src")
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports reflow.{name}"
        for backend in backends
        for path in sources(backend)
        for line, name in reflow_imports(path)
        if name != "plugin_api"
    ]
    assert wrong == []


def test_a_third_partys_tests_import_only_what_is_public() -> None:
    wrong = [
        f"{path.name}:{line} imports {name}"
        for path in sources(THIRD_PARTY / "tests")
        for line, name in imports_of(path)
        if name.partition(".")[0] in ("reflow", "tests")
        if name not in ("reflow", "reflow.plugin_api") and not name.startswith("reflow.testing.")
    ]
    assert wrong == []


def test_nothing_was_written_into_any_distribution_for_a_third_party() -> None:
    words = re.compile(r"reflow[-_]example|harbour|ledger|AttrsCodec|__attrs", re.IGNORECASE)
    files = [
        path
        for source in ROOT.glob("reflow-*")
        for suffix in ("py", "j2", "toml", "md")
        for path in source.rglob(f"*.{suffix}")
    ]
    assert CORE / "reflow" / "plugins" / "registry.py" in files
    named = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in files
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        if words.search(line)
    ]
    assert named == []


def test_packages_hold_source_templates_and_nothing_that_was_left_behind() -> None:
    kinds = {".py", ".pyc", ".j2", ".css", ".js", ".typed"}
    left_behind = [
        path
        for package in ROOT.glob("reflow-*/src/reflow*")
        if package.suffix != ".egg-info"
        for path in package.rglob("*")
        if path.is_file() and path.suffix not in kinds and not _is_hidden(path)
    ]
    assert left_behind == []


def _is_hidden(path: Path) -> bool:
    """Whether a tool keeps it, out of sight."""
    return any(part.startswith(".") for part in path.relative_to(ROOT).parts)


def test_the_core_imports_no_backend() -> None:
    wrong = [
        f"{module_of(path)}:{line} imports {name}"
        for path in sources(CORE)
        for line, name in imports_of(path)
        if name.startswith("reflow_")
    ]
    assert wrong == []


def test_schedulers_are_named_in_one_table_only() -> None:
    files = [path for suffix in ("py", "j2") for path in (CORE / "reflow").rglob(f"*.{suffix}")]
    allowed = {CORE / "reflow" / "plugins" / "distributions.py"}
    named = [
        f"{path.relative_to(CORE)}:{number}: {line.strip()}"
        for path in files
        if path not in allowed
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        if names_a_scheduler(line)
    ]
    assert named == []


def names_a_scheduler(text: str) -> bool:
    """Whether one is named, in words or within a name in snake or camel case."""
    separated = re.sub(r"([a-z])([A-Z])|([A-Z])([A-Z][a-z])", r"\1\3 \2\4", text)
    return bool(SCHEDULERS.search(separated.lower()))


@pytest.mark.parametrize(
    "text",
    ["SlurmExecutor", "PBSExecutor", "from_slurm()", "SLURM_JOB_ID", "Grid Engine", "via sge."],
)
def test_a_scheduler_is_recognised_in_any_form(text: str) -> None:
    assert names_a_scheduler(text)


@pytest.mark.parametrize("text", ["message", "influx", "passenger", "fluxes"])
def test_other_words_are_not_taken_for_a_scheduler(text: str) -> None:
    assert not names_a_scheduler(text)


@pytest.mark.parametrize(
    "statement",
    [
        "import reflow",
        "from reflow import Param, Result, RunDir, Workflow, Flow, Run, TaskInterrupted",
        "import reflow; reflow.Workflow('w')",
    ],
)
def test_importing_reflow_loads_no_heavy_library(statement: str) -> None:
    code = f"{statement}; import sys; print(*{{name.split('.')[0] for name in sys.modules}})"
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    heavy = {"typer", "rich", "peewee", "playhouse", "jinja2", "pluggy", "importlib_metadata"}
    assert not (heavy | LIBRARIES) & set(ended.stdout.split())


LIBRARIES = {"numpy", "pandas", "pyarrow", "xarray", "h5netcdf", "h5py", "pydantic"}
"""Those that some values are of."""


def test_a_library_is_imported_only_when_a_value_of_its_is_met() -> None:
    code = """
import sys
from pathlib import Path
import reflow.execution.pool.worker, reflow.execution.job_worker, reflow.testing.codecs
from reflow.codecs.codecs import Codecs
from reflow.codecs.extras import extra_codecs
assert "reflow.codecs.extras.arrays" not in sys.modules
codecs = Codecs()
codecs.decode(codecs.encode({"a": [1, 2.5, (b"x", Path("x"), {1})]}))
assert "reflow.codecs.extras.arrays" not in sys.modules
assert not [codec for codec in extra_codecs() if codec.handles(dict)]
print(*{name.split(".")[0] for name in sys.modules})
"""
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert not LIBRARIES & set(ended.stdout.split())


def test_hosts_load_nothing_that_only_running_a_function_needs() -> None:
    code = """
import sys
import reflow.execution.pool.host, reflow.execution.pool.pilot
print(*sys.modules)
"""
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    loaded = ended.stdout.split()
    assert not [name for name in loaded if name.startswith(("reflow.codecs", "reflow.wiring"))]
    assert "reflow.execution.execute" not in loaded


def test_no_folder_has_more_modules_than_can_be_seen_at_a_glance() -> None:
    found = Counter(
        str(path.parent.relative_to(ROOT))
        for package in ROOT.glob("reflow-*/src")
        for path in sources(package)
        if path.name != "__init__.py"
    )
    assert {folder: count for folder, count in found.items() if count > MOST_MODULES} == {}
