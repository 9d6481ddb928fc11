from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from reflow import Workflow, __version__
from reflow.plugins.health import disks, locks
from reflow.plugins.hookspecs import Finding, HealthCheck
from reflow.testing.plugins import broken_plugin, hooks_plugin, plugin, using_plugins

from tests.unit.cli.conftest import CommandLine

FLOW = """
from reflow import Workflow

{name} = Workflow("{name}")


@{name}.job()
def greet(name: str, loud: bool = False) -> str:
    return f"hello {{name}}"
"""


@pytest.fixture
def flow_file(tmp_path: Path) -> Path:
    path = tmp_path / "greeting.py"
    path.write_text(FLOW.format(name="one"))
    return path


# -- run FLOW.py ----------------------------------------------------------------------------


def test_a_flow_file_is_run_with_the_options_of_its_workflow(
    reflow: CommandLine, flow_file: Path
) -> None:
    said = reflow("run", "greeting.py", "--name", "you", "--max-workers", "1")
    assert said.code == 0
    assert "greet returned hello you" in said.out
    assert "\nreflow status one-" in said.out


def test_help_of_a_flow_file_shows_its_parameters(reflow: CommandLine, flow_file: Path) -> None:
    said = reflow("run", "greeting.py", "--help")
    assert said.code == 0
    assert "reflow run greeting.py [OPTIONS]" in said.out
    assert "--loud" in said.out
    assert "--executor" in reflow("submit", "greeting.py", "--help").out


def test_a_file_with_several_workflows_needs_a_name(reflow: CommandLine, flow_file: Path) -> None:
    flow_file.write_text(FLOW.format(name="one") + FLOW.format(name="two"))
    said = reflow("run", "greeting.py", "--name", "you")
    assert said.code == 2
    assert "one, two" in said.err
    assert reflow("run", "greeting.py:two", "--dry-run", "--name", "you").code == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "reflow run FLOW.py"),
        (["nowhere.py"], "nowhere.py"),
        (["--run-dir", "x", "greeting.py"], "reflow run --help"),
        (["greeting.py:none", "--name", "x"], "none"),
    ],
)
def test_a_flow_that_cannot_be_found_is_exit_code_two(
    reflow: CommandLine, flow_file: Path, words: list[str], message: str
) -> None:
    said = reflow("run", *words)
    assert said.code == 2
    assert message in said.err
    assert len(said.err.splitlines()) == 1


@pytest.mark.parametrize("text", ["x = (", "import no_such_module", "raise SystemExit(3)"])
def test_a_flow_file_that_cannot_be_imported_is_exit_code_two(
    reflow: CommandLine, flow_file: Path, text: str
) -> None:
    flow_file.write_text(text)
    said = reflow("run", "greeting.py")
    assert said.code == 2
    assert "greeting.py" in said.err
    assert "Traceback" not in said.err


def test_a_colon_may_be_part_of_the_file_name(reflow: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "a:b.py").write_text(FLOW.format(name="one"))
    assert reflow("run", "a:b.py", "--name", "you", "--max-workers", "1").code == 0
    assert reflow("run", "a:b.py:one", "--name", "you", "--max-workers", "1").code == 0


def test_a_flow_file_may_be_called_without_py(reflow: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "analyse").write_text(FLOW.format(name="one"))
    assert reflow("run", "./analyse", "--name", "you", "--max-workers", "1").code == 0


# -- the house-keeping ----------------------------------------------------------------------


def test_the_version_is_told(reflow: CommandLine) -> None:
    assert reflow("--version").out == f"reflow {__version__}\n"


def test_help_names_every_command(reflow: CommandLine) -> None:
    printed = reflow("--help").out
    for command in [
        "run",
        "submit",
        "status",
        "cancel",
        "retry",
        "runs",
        "logs",
        "plugins",
        "config",
        "doctor",
    ]:
        assert f" {command} " in printed


def test_plugins_are_shown_with_distribution_version_and_what_is_wrong(
    reflow: CommandLine,
) -> None:
    pond = plugin("pond", version="2.1", health_checks=[])
    with using_plugins(pond, broken_plugin("swamp", ImportError("no water"))):
        said = reflow("plugins")
        as_json = json.loads(reflow("plugins", "--json").out)
    assert said.code == 0
    assert "reflow-pond 2.1" in said.out
    assert "no water" in said.out
    assert [each["name"] for each in as_json][-2:] == ["pond", "swamp"]


def test_the_configuration_is_shown_with_the_origin_of_each_value(
    reflow: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = reflow("config", "path").out.strip()
    assert f"wrote {path}" in reflow("config", "init").out
    assert "exists already and was not changed" in reflow("config", "init").out
    Path(path).write_text('run_root = "elsewhere"\n')
    monkeypatch.setenv("REFLOW_MAX_SUBMIT_JOBS", "7")
    rows = [line.split(None, 2) for line in reflow("config", "show").out.splitlines()]
    assert ["run_root", '"elsewhere"', path] in rows
    assert ["max_submit_jobs", "7", "the variable REFLOW_MAX_SUBMIT_JOBS"] in rows
    assert reflow("config").out == reflow("config", "show").out
    assert json.loads(reflow("config", "show", "--json").out)["run_root"] == "elsewhere"


def test_a_password_in_the_configuration_is_not_shown(
    reflow: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REFLOW_STORE", "postgresql://me:s3cr:et@host/db?password=s3cret2")
    printed = reflow("config", "show").out
    assert "s3cr" not in printed
    assert "postgresql://me:***@host/db?password=***" in printed


def test_a_broken_configuration_is_exit_code_two(reflow: CommandLine) -> None:
    path = Path(reflow("config", "path").out.strip())
    path.parent.mkdir(parents=True)
    path.write_text("run_root = \n")
    for words in (["config", "show"], ["status"], ["runs"]):
        said = reflow(*words)
        assert said.code == 2
        assert f"{path}, line 1" in said.err


def test_a_warning_about_the_configuration_is_one_line(reflow: CommandLine) -> None:
    path = Path(reflow("config", "path").out.strip())
    path.parent.mkdir(parents=True)
    path.write_text('run_rot = "x"\n')
    said = reflow("runs")
    assert said.code == 0
    assert said.err.startswith("warning: ")
    assert "did you mean 'run_root'?" in said.err
    assert len(said.err.splitlines()) == 1


def check(name: str, *, ok: bool) -> HealthCheck:
    return HealthCheck(name=name, run=lambda: Finding(ok=ok, text=f"{name} was looked at"))


@pytest.fixture
def no_second_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out what `doctor` tries with processes of its own; `tests/e2e` has that."""
    found = Finding(ok=True, text="not tried")
    monkeypatch.setattr(locks, "check_locks", lambda: found)
    monkeypatch.setattr(disks, "check_quota", lambda: found)


@pytest.mark.usefixtures("no_second_process")
def test_doctor_runs_the_checks_of_plugins_and_tells_what_is_bad(reflow: CommandLine) -> None:
    with using_plugins(plugin("pond", health_checks=[check("water", ok=True)])):
        assert "ok   water: water was looked at" in reflow("doctor").out
    with using_plugins(plugin("pond", health_checks=[check("water", ok=False)])):
        said = reflow("doctor")
    assert said.code == 2
    assert "bad  water\n     water was looked at" in said.out


@pytest.mark.usefixtures("no_second_process")
def test_doctor_prints_json_with_all_findings(reflow: CommandLine) -> None:
    with using_plugins(plugin("pond", health_checks=[check("water", ok=False)])):
        said = reflow("doctor", "--json")
    found = json.loads(said.out)
    assert (said.code, found["version"], found["ok"]) == (2, 1, False)
    water = {"check": "water", "ok": False, "text": "water was looked at", "checked": True}
    assert water in found["findings"]


@pytest.mark.usefixtures("no_second_process")
def test_doctor_of_a_flow_tells_of_each_task(reflow: CommandLine, flow_file: Path) -> None:
    said = reflow("doctor", str(flow_file))
    assert said.code == 0
    assert "--   task greet: not checked by the executor 'local'" in said.out


@pytest.mark.usefixtures("no_second_process")
def test_doctor_of_a_flow_that_is_not_there_tells_that_with_the_rest(reflow: CommandLine) -> None:
    said = reflow("doctor", "other.py", "--executor", "locale")
    assert said.code == 2
    assert "bad  executor" in said.out
    assert "bad  other.py" in said.out


def test_plugins_add_commands_but_none_of_ours(reflow: CommandLine) -> None:
    def add(app: typer.Typer) -> None:
        app.command("pond")(lambda: print("splash"))
        app.command("status")(lambda: print("stolen"))

    with using_plugins(hooks_plugin("pond", {"reflow_cli": add})):
        assert reflow("pond").out == "splash\n"
        assert "stolen" not in reflow("status").out
        assert "'status' is left out" in reflow("--help").err


@pytest.mark.parametrize(
    ("typed", "meant"), [("statu", "status"), ("explian", "explain"), ("pluginz", "plugins")]
)
def test_a_command_that_is_mistyped_is_told_the_nearest(
    reflow: CommandLine, typed: str, meant: str
) -> None:
    said = reflow(typed)
    assert said.code == 2
    assert f"there is no command {typed!r}; did you mean {meant!r}? See 'reflow --help'" in said.err


def test_a_command_of_a_flow_file_is_told_the_nearest(flow: CommandLine, squares: Workflow) -> None:
    assert "did you mean 'submit'?" in flow(squares, "sbmit").err
