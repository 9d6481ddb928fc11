"""The configuration: where values come from, and what is said of those that do not fit."""

from __future__ import annotations

import json
import re
import tomllib
import warnings
from dataclasses import FrozenInstanceError, dataclass
from datetime import timedelta
from pathlib import Path

import pytest
import reflow
from reflow.config.commented import commented_file, ensure_config_exists
from reflow.config.schema import (
    Config,
    Key,
    config_path,
    keys,
    load_config,
    toml,
)
from reflow.errors import ConfigError, ReflowWarning
from reflow.executors.contract import API_VERSION
from reflow.model.resources import Resources
from reflow.plugins.hookspecs import ExecutorPlugin
from reflow.testing.plugins import plugin, using_plugins

CORE = Path(reflow.__file__).parent
PAGE = Path(__file__).parents[3] / "docs" / "configuration.md"


class PondExecutor:
    """An executor with settings of its own."""

    name = "pond"

    def __init__(
        self, *, depth: int, setup: tuple[str, ...] = (), max_submit_jobs: int | None = None
    ) -> None:
        self.depth, self.setup, self.max_submit_jobs = depth, list(setup), max_submit_jobs


@dataclass(kw_only=True)
class LakeExecutor:
    """An executor whose settings are the fields of a dataclass."""

    queue: str | None = None
    account: str | None = None
    timeout: float = 60.0
    templates: str | None = None


LAKE = ExecutorPlugin(name="lake", target=f"{__name__}:LakeExecutor", api_version=API_VERSION)
POND = ExecutorPlugin(name="pond", target=f"{__name__}:PondExecutor", api_version=API_VERSION)


@pytest.fixture
def file(home: Path) -> Path:
    """The user's configuration file, which is not there yet."""
    path = home / ".config" / "reflow" / "config.toml"
    path.parent.mkdir(parents=True)
    return path


CHOICES = {
    "pilots.mem": "8G",
    "store.requests": "all",
    "defaults.per_job": "auto",
    "pilots.idle": "90s",
    "pilots.nodes": "whole",
}
"""Of keys that take one of a few words, another than the default."""
NUMBERS = {"max_submit_jobs", "pilots.jobs", "pilots.cpus"}
"""Keys that take numbers, and have none by default."""


def other_value(key: Key) -> object:
    """A value that is not the key's default, and fits."""
    default = key.of(Config())
    if key.name in CHOICES:
        return CHOICES[key.name]
    if isinstance(default, bool):
        return not default
    if key.name.endswith((".time", ".mem")):
        return 77
    if key.name == "cache.files":
        return "exists"
    if key.name == "store.share":
        return "all"
    if isinstance(default, int | float) or key.name in NUMBERS:
        return 7
    return ["a b", "c"] if isinstance(default, tuple) else "else"


def as_text(value: object) -> str:
    if isinstance(value, list):
        return "\n".join(value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def test_a_key_of_a_few_words_refuses_others(file: Path) -> None:
    file.write_text('[store]\nrequests = "anybody"\n')
    with pytest.raises(ConfigError, match=r"anybody.*own, all"):
        load_config()


# -- where values come from -----------------------------------------------------------------


def test_without_file_and_variables_all_is_as_by_default() -> None:
    assert load_config() == Config()
    assert load_config().origin("store.url") == "default"


@pytest.mark.parametrize("key", keys(), ids=lambda key: str(key.name))
def test_every_key_is_read_from_the_file(key: Key, file: Path) -> None:
    head, _, name = key.name.rpartition(".")
    value = other_value(key)
    file.write_text((f"[{head}]\n" if head else "") + f"{name} = {json.dumps(value)}\n")
    found = key.of(load_config())
    assert (list(found) if isinstance(found, tuple) else found) == value
    assert load_config().origin(key.name) == str(file)


@pytest.mark.parametrize("key", keys(), ids=lambda key: str(key.name))
def test_every_key_has_a_variable_that_comes_before_the_file(
    key: Key, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    head, _, name = key.name.rpartition(".")
    example = toml(key.example)
    file.write_text((f"[{head}]\n" if head else "") + f"{name} = {example}\n")
    value = other_value(key)
    monkeypatch.setenv(key.env, as_text(value))
    found = key.of(load_config())
    assert as_text(list(found) if isinstance(found, tuple) else found) == as_text(value)
    assert load_config().origin(key.name) == f"the variable {key.env}"


@pytest.mark.parametrize("key", keys(), ids=lambda key: str(key.name))
def test_every_key_is_used_by_something(key: Key) -> None:
    word = re.compile(rf"\b{key.name.rpartition('.')[2]}\b")
    others = (path for path in CORE.rglob("*.py") if path.parent.name != "config")
    assert any(word.search(path.read_text()) for path in others)


def test_no_two_keys_share_a_variable() -> None:
    names = [key.env for key in keys()]
    assert len(set(names)) == len(names)


def test_the_variables_that_people_know_are_the_ones_that_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("REFLOW_EXECUTOR", "pond")
    monkeypatch.setenv("REFLOW_STORE", "sqlite:///x.db")
    config = load_config()
    assert (config.executor.name, config.store.url) == ("pond", "sqlite:///x.db")


def test_an_empty_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REFLOW_EXECUTOR", "")
    assert load_config().executor.name is None


def test_arguments_come_before_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REFLOW_STORE", "sqlite:///from-variable.db")
    config = load_config().with_values({"store.url": "sqlite:///given.db"}, "--store")
    assert config.store.url == "sqlite:///given.db"
    assert config.origin("store.url") == "--store"


def test_another_file_can_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = tmp_path / "other.toml"
    other.write_text('run_root = "elsewhere"\n')
    assert load_config(other).run_root == "elsewhere"
    monkeypatch.setenv("REFLOW_CONFIG", str(other))
    assert config_path() == other
    assert load_config().run_root == "elsewhere"


def test_a_file_that_is_named_must_exist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=r"no\.toml"):
        load_config(tmp_path / "no.toml")
    monkeypatch.setenv("REFLOW_CONFIG", str(tmp_path / "no.toml"))
    with pytest.raises(ConfigError, match=r"no\.toml"):
        load_config()


def test_the_manifest_is_in_the_state_folder_by_default(home: Path) -> None:
    assert Config().store.url == f"sqlite://{home}/.local/state/reflow/manifest.db"


def test_executor_and_store_may_be_written_in_short(file: Path) -> None:
    file.write_text('executor = "pond"\nstore = "sqlite:///x.db"\n')
    config = load_config()
    assert (config.executor.name, config.store.url) == ("pond", "sqlite:///x.db")


def test_a_time_without_quotes_is_a_time(file: Path) -> None:
    file.write_text("[defaults]\ntime = 01:30:00\n")
    assert load_config().defaults.fill(Resources()).time == timedelta(minutes=90)


# -- values that do not fit -----------------------------------------------------------------


def test_an_unknown_key_is_a_warning_with_file_and_nearest_key(file: Path) -> None:
    file.write_text("[dispatch]\ngrace_second = 5\n")
    with pytest.warns(ReflowWarning, match="grace_second.*'dispatch.grace_seconds'") as caught:
        config = load_config()
    assert str(file) in str(caught[0].message)
    assert "\n" not in str(caught[0].message)
    assert config == Config()


def test_an_unknown_table_is_a_warning(file: Path) -> None:
    file.write_text('[stoer]\nurl = "sqlite:///x.db"\n')
    with pytest.warns(ReflowWarning, match="'stoer' is ignored.*'store'"):
        assert load_config() == Config()


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("run_root = \n", 1, "invalid value"),
        ("\n\n[store\nurl = 3\n", 3, "expected"),
        ('run_root = "unfinished', 1, "unterminated"),
        ('run_root = "a"\nrun_root = "b"\n', 2, "overwrite"),
    ],
)
def test_a_broken_file_is_an_error_with_file_and_line(
    file: Path, text: str, line: int, reason: str
) -> None:
    file.write_text(text)
    with pytest.raises(ConfigError, match=f"(?i)config.toml, line {line}: .*{reason}"):
        load_config()


def test_a_file_that_is_not_utf8_is_an_error_with_its_line(file: Path) -> None:
    file.write_bytes(b'# fine\nrun_root = "caf\xe9"\n')
    with pytest.raises(ConfigError, match=r"config.toml, line 2: .*UTF-8"):
        load_config()


def test_a_folder_in_place_of_the_file_is_an_error(file: Path) -> None:
    file.mkdir()
    with pytest.raises(ConfigError, match=r"cannot read .*config.toml"):
        load_config()


def test_an_executor_named_beside_tables_is_told_the_other_way(file: Path) -> None:
    file.write_text('executor = "local"\n[executor.local]\nslots = 2\n')
    with pytest.raises(ConfigError, match=r"`name = ...` under \[executor\]"):
        load_config()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("run_root = 3", "run_root must be text, not 3"),
        ("[dispatch]\ngrace_seconds = true", "dispatch.grace_seconds must be a number, not True"),
        ("[dispatch]\nfollow_up = 1", "dispatch.follow_up must be true or false, not 1"),
        ("max_submit_jobs = 2.5", "max_submit_jobs must be a whole number, not 2.5"),
        ('setup = "module load x"', "setup must be a list of texts"),
        ("setup = [1]", "setup must be a list of texts"),
        ("[defaults]\ntime = '10:00'", "defaults.time: time '10:00' is ambiguous"),
        ("[defaults]\nmem = 'much'", "defaults.mem: mem 'much' is not a size"),
        ("[dispatch]\nlease_seconds = 0", "dispatch.lease_seconds: 0 is not greater than zero"),
        ("dispatch = 3", "dispatch must be a table"),
        ("[executor]\nname = 3", "executor.name must be text"),
    ],
)
def test_a_wrong_value_names_file_key_and_what_is_expected(
    file: Path, text: str, said: str
) -> None:
    file.write_text(text + "\n")
    with pytest.raises(ConfigError) as caught:
        load_config()
    assert said in str(caught.value)
    assert str(file) in str(caught.value)


def test_a_wrong_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REFLOW_DISPATCH_GRACE_SECONDS", "long")
    with pytest.raises(ConfigError, match=r"REFLOW_DISPATCH_GRACE_SECONDS.*a number, not 'long'"):
        load_config()


@pytest.mark.parametrize(
    ("text", "value"), [("1", True), ("Yes", True), ("off", False), ("false", False)]
)
def test_truth_is_written_in_many_ways_in_a_variable(
    monkeypatch: pytest.MonkeyPatch, text: str, value: bool
) -> None:
    monkeypatch.setenv("REFLOW_DISPATCH_FOLLOW_UP", text)
    assert load_config().dispatch.follow_up is value


def test_a_list_is_written_by_line_or_as_toml_in_a_variable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("REFLOW_SETUP", "module load a\n\nsource b\n")
    assert load_config().setup == ("module load a", "source b")
    monkeypatch.setenv("REFLOW_SETUP", '["module load a, b"]')
    assert load_config().setup == ("module load a, b",)


def test_an_unknown_key_from_python_is_an_error_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"'store.ulr'; did you mean 'store.url'"):
        Config().with_values({"store.ulr": "x"})


# -- executors ------------------------------------------------------------------------------


def test_an_executors_table_reaches_its_constructor(file: Path) -> None:
    file.write_text("[executor.pond]\ndepth = 4\n")
    with using_plugins(plugin("pond", executors=[POND])):
        executor = load_config().make_executor("pond")
    assert isinstance(executor, PondExecutor)
    assert executor.depth == 4


def test_a_variable_comes_before_an_executors_table(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_text("[executor.pond]\ndepth = 4\n")
    monkeypatch.setenv("REFLOW_EXECUTOR_POND_DEPTH", "5")
    with using_plugins(plugin("pond", executors=[POND])):
        executor = load_config().make_executor("pond")
    assert isinstance(executor, PondExecutor)
    assert executor.depth == 5


def test_setup_lines_of_an_executor_come_before_those_for_all(file: Path) -> None:
    file.write_text(
        'setup = ["for all"]\nmax_submit_jobs = 9\n'
        '[executor.pond]\ndepth = 1\nsetup = ["for the pond"]\n'
    )
    with using_plugins(plugin("pond", executors=[POND])):
        executor = load_config().make_executor("pond")
    assert isinstance(executor, PondExecutor)
    assert (executor.setup, executor.max_submit_jobs) == (["for the pond"], 9)


def test_templates_are_looked_for_beside_the_configuration(file: Path) -> None:
    folder = file.absolute().parent / "templates"
    with using_plugins(plugin("lake", executors=[LAKE])):
        before = load_config().make_executor("lake")
        folder.mkdir()
        after = load_config().make_executor("lake")
    assert isinstance(before, LakeExecutor)
    assert isinstance(after, LakeExecutor)
    assert (before.templates, after.templates) == (None, str(folder))


def test_the_default_queue_reaches_an_executor_unless_it_has_one_of_its_own() -> None:
    config = Config.from_dict(
        {"defaults": {"queue": "all", "account": "a1"}, "executor": {"lake": {"queue": "mine"}}}
    )
    with using_plugins(plugin("lake", executors=[LAKE])):
        executor = config.make_executor("lake")
    assert isinstance(executor, LakeExecutor)
    assert (executor.queue, executor.account) == ("mine", "a1")


def test_the_fields_of_a_dataclass_are_checked_like_parameters() -> None:
    config = Config.from_dict({"executor": {"lake": {"timeout": "soon"}}})
    with (
        using_plugins(plugin("lake", executors=[LAKE])),
        pytest.raises(ConfigError, match=r"\[executor.lake\] timeout must be a number"),
    ):
        config.make_executor("lake")


def test_a_setting_without_default_must_be_set() -> None:
    with (
        using_plugins(plugin("pond", executors=[POND])),
        pytest.raises(ConfigError, match=r"\[executor.pond\] needs the setting 'depth'"),
    ):
        Config().make_executor("pond")


def test_a_setting_that_the_constructor_refuses_is_an_error_that_names_the_table() -> None:
    config = Config.from_dict({"executor": {"local": {"slots": 0}}})
    with pytest.raises(ConfigError, match=r"\[executor.local\] .* at least 1"):
        config.make_executor("local")


def test_the_configured_executor_is_made_when_none_is_named() -> None:
    config = Config.from_dict({"executor": {"name": "pond", "pond": {"depth": 2}}})
    with using_plugins(plugin("pond", executors=[POND])):
        assert isinstance(config.make_executor(), PondExecutor)


# -- as values ------------------------------------------------------------------------------


def test_a_configuration_travels_as_json(file: Path) -> None:
    file.write_text(
        'setup = ["a"]\nmax_submit_jobs = 3\n[executor]\nname = "pond"\n'
        '[executor.pond]\ndepth = 4\nfish = ["carp"]\n[defaults]\ntime = 90\n'
    )
    config = load_config()
    assert Config.from_dict(json.loads(json.dumps(config.as_dict()))) == config


def test_what_travels_holds_defaults_too_so_that_a_job_needs_no_home(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    config = Config()
    data = config.as_dict()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "other"))
    assert Config.from_dict(data).store.url == config.store.url != Config().store.url


def test_a_configuration_cannot_be_changed_in_place() -> None:
    with pytest.raises(FrozenInstanceError):
        Config().run_root = "x"  # type: ignore[misc]


def test_default_limits_fill_what_a_task_does_not_ask_for() -> None:
    defaults = Config.from_dict({"defaults": {"time": "01:00:00", "mem": "2G"}}).defaults
    assert defaults.fill(Resources(cpus=3, mem=5)) == Resources(
        cpus=3, mem=5, time=timedelta(hours=1)
    )
    assert defaults.fill(Resources(time=timedelta(1))).mem == 2 * 1024**3
    assert Config().defaults.fill(Resources()) == Resources()


def test_a_dispatch_job_asks_for_what_is_set() -> None:
    config = Config.from_dict({"dispatch": {"queue": "short", "time": 5, "mem": "512M"}})
    assert config.dispatch.resources == Resources(
        queue="short", time=timedelta(minutes=5), mem=512 * 1024**2
    )


# -- the file that people edit, and the page ------------------------------------------------


@pytest.mark.parametrize("nothing", ["0", 0])
def test_a_dispatch_job_may_ask_for_no_memory(nothing: str | int) -> None:
    config = Config().with_values({"dispatch.mem": nothing})
    assert config.dispatch.resources.mem is None


def test_the_commented_file_sets_nothing(file: Path) -> None:
    assert ensure_config_exists() == file
    assert load_config() == Config()
    assert load_config().origins == {}


def test_every_key_is_in_the_commented_file_and_valid_there(file: Path) -> None:
    ensure_config_exists()
    lines = file.read_text().splitlines()
    uncommented = [line[1:] if line[:1] == "#" and line[1:2] != " " else line for line in lines]
    file.write_text("\n".join(uncommented))
    config = load_config()
    assert set(config.origins) >= {key.name for key in keys()}


def test_the_commented_file_lists_the_settings_of_installed_executors() -> None:
    with using_plugins(plugin("pond", executors=[POND])):
        text = commented_file()
    assert "[executor.pond]\n# depth: a whole number\n#setup = []\n" in text
    tomllib.loads(text)


def test_a_configuration_file_that_is_there_is_left_alone(file: Path) -> None:
    file.write_text("# mine\n")
    assert ensure_config_exists() == file
    assert file.read_text() == "# mine\n"


def test_a_configuration_file_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot write"):
        ensure_config_exists(tmp_path / "file" / "config.toml")


def test_the_page_on_configuration_has_the_table_of_keys() -> None:
    rows = ["| key | variable | default | meaning |", "|---|---|---|---|"]
    rows += [f"| `{key.name}` | `{key.env}` | {key.shown} | {key.help} |" for key in keys()]
    table = "\n".join(rows) + "\n"
    assert table in PAGE.read_text(), f"paste this:\n{table}"


def test_reading_the_configuration_warns_about_nothing(file: Path) -> None:
    ensure_config_exists()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_config()
