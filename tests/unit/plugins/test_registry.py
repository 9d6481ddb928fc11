"""What plugins offer, and what happens when one is broken."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from reflow.errors import ConfigError, MissingExecutorError, PluginError, ReflowWarning
from reflow.executors.contract import API_VERSION
from reflow.plugins.hookspecs import (
    ExecutorPlugin,
    Finding,
    HealthCheck,
    InstanceEvent,
    RunEvent,
    StorePlugin,
)
from reflow.plugins.registry import Registry, registry
from reflow.testing.plugins import (
    broken_plugin,
    builtin_plugin,
    hooks_plugin,
    installed,
    observer,
    plugin,
    using_plugins,
)

HERE = __name__


class PondExecutor:
    """Remembers what it was made with."""

    def __init__(
        self, *, depth: int = 3, fish: tuple[str, ...] = (), setup: Sequence[str] = ()
    ) -> None:
        self.made_with = {"depth": depth, "fish": list(fish), "setup": list(setup)}


class PondStore:
    """Remembers its URL."""

    def __init__(self, url: str) -> None:
        self.url = url


class Rule:
    """A type rule that is never asked."""

    def __init__(self, name: str, priority: int = 0) -> None:
        self.name, self.priority = name, priority

    def decide(self, question: object) -> None:
        raise AssertionError(question)


class PondCodec:
    """A codec that is never asked."""

    needs_class = False

    def __init__(self, name: str) -> None:
        self.name = name

    def handles(self, kind: type) -> bool:
        raise AssertionError(kind)

    encode = decode = handles


def offer(
    name: str = "pond",
    target: str = f"{HERE}:PondExecutor",
    commands: tuple[str, ...] = (),
    api_version: int = API_VERSION,
) -> ExecutorPlugin:
    return ExecutorPlugin(name=name, target=target, commands=commands, api_version=api_version)


@pytest.fixture(autouse=True)
def this_module_can_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, HERE, sys.modules[__name__])


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Puts commands on an otherwise empty PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))

    def add(*names: str) -> None:
        for name in names:
            (folder / name).write_text("#!/bin/sh\n")
            (folder / name).chmod(0o755)

    return add


def made(executor: object) -> dict[str, object]:
    assert isinstance(executor, PondExecutor)
    return executor.made_with


# -- executors ------------------------------------------------------------------------------


def test_an_executor_is_made_by_name_with_its_settings() -> None:
    found = Registry([plugin("pond", executors=[offer()])])
    assert made(found.make_executor("pond", {"depth": 7}))["depth"] == 7


def test_shared_settings_reach_an_executor_that_knows_them_and_does_not_set_them_itself() -> None:
    found = Registry([plugin("pond", executors=[offer()])])
    shared = {"setup": ["module load water"], "depth": 1, "max_submit_jobs": 5}
    assert made(found.make_executor("pond", {"depth": 2}, shared)) == {
        "depth": 2,
        "fish": [],
        "setup": ["module load water"],
    }


def test_an_unknown_setting_is_a_warning_with_the_nearest_one() -> None:
    found = Registry([plugin("pond", executors=[offer()])])
    with pytest.warns(ReflowWarning, match=r"\[executor.pond\] deepth .* 'depth'"):
        assert made(found.make_executor("pond", {"deepth": 7}))["depth"] == 3


def test_a_setting_of_the_wrong_type_is_an_error_that_says_what_is_expected() -> None:
    found = Registry([plugin("pond", executors=[offer()])])
    with pytest.raises(ConfigError, match=r"\[executor.pond\] depth must be a whole number"):
        found.make_executor("pond", {"depth": "deep"})


def test_a_setting_from_the_environment_is_read_as_its_type() -> None:
    found = Registry([plugin("pond", executors=[offer()])])
    assert made(found.make_executor("pond", {"depth": "12", "fish": "carp\npike"})) == {
        "depth": 12,
        "fish": ["carp", "pike"],
        "setup": [],
    }


def test_an_executor_module_is_not_imported_before_it_is_used(tmp_path: Path) -> None:
    source = "from reflow.plugin_api import *\n\n@hookimpl\ndef reflow_executors():\n    "
    source += (
        "return [ExecutorPlugin(name='pond', target='pond_heavy:X', api_version=API_VERSION)]\n"
    )
    heavy = "class X: pass\n"
    with installed(
        "reflow-pond", "1.0", {"pond": "pond_plugin"}, {"pond_plugin": source, "pond_heavy": heavy}
    ):
        assert "pond" in registry().executors()
        assert "pond_heavy" not in sys.modules
        assert registry().executor_class("pond").__name__ == "X"


@pytest.mark.parametrize(
    ("target", "cause"),
    [
        ("no_such_module:X", "No module named 'no_such_module'"),
        (f"{HERE}:NoSuchClass", "NoSuchClass"),
        ("not a target", "package.module:Class"),
    ],
)
def test_a_broken_target_names_distribution_and_cause(target: str, cause: str) -> None:
    found = Registry([plugin("pond", version="2.5", executors=[offer(target=target)])])
    assert "pond" in found.executors()
    with pytest.raises(PluginError, match=f"'pond' of reflow-pond 2.5 .*{cause}"):
        found.executor_class("pond")


def test_an_unknown_executor_is_an_import_error_with_the_nearest_installed_name() -> None:
    found = Registry([builtin_plugin()])
    with pytest.raises(ImportError, match=r"no executor 'locale'; did you mean 'local'"):
        found.executor_class("locale")


def test_a_known_executor_that_is_not_installed_says_what_to_install() -> None:
    with pytest.raises(
        MissingExecutorError, match=r"'slurm' is not installed: pip install reflow-"
    ):
        Registry([builtin_plugin()]).executor_class("slurm")


def test_a_misspelt_executor_that_is_not_installed_says_both() -> None:
    with pytest.raises(MissingExecutorError, match=r"'slurm'\? It needs `pip install reflow-slurm"):
        Registry([builtin_plugin()]).executor_class("slrum")


def test_two_plugins_with_one_executor_name_are_an_error_only_when_it_is_used() -> None:
    found = Registry(
        [
            plugin("pond", executors=[offer(), offer("lake")]),
            plugin("puddle", executors=[offer()]),
        ]
    )
    assert made(found.make_executor("lake"))
    with pytest.raises(PluginError, match=r"'pond' .* reflow-pond 1.0 and reflow-puddle 1.0"):
        found.executor_class("pond")


def test_an_executor_for_another_interface_is_refused_when_it_is_used() -> None:
    found = Registry([plugin("pond", executors=[offer(api_version=99), offer("lake")])])
    assert made(found.make_executor("lake"))
    with pytest.raises(PluginError, match=r"'pond' of reflow-pond 1.0 was written for version 99"):
        found.executor_class("pond")


# -- which executor -------------------------------------------------------------------------


def test_the_configured_executor_is_chosen_whatever_is_on_path(
    commands: Callable[..., None],
) -> None:
    commands("pondsub")
    found = Registry([plugin("pond", executors=[offer(commands=("pondsub",))])])
    assert found.choose_executor("other") == "other"


def test_without_a_scheduler_the_local_executor_is_chosen(commands: Callable[..., None]) -> None:
    commands("pondsub")
    found = Registry(
        [builtin_plugin(), plugin("pond", executors=[offer(commands=("pondsub", "pondstat"))])]
    )
    assert found.choose_executor() == "local"


def test_the_one_executor_whose_commands_are_all_on_path_is_chosen(
    commands: Callable[..., None],
) -> None:
    commands("pondsub", "pondstat")
    found = Registry(
        [
            builtin_plugin(),
            plugin("pond", executors=[offer(commands=("pondsub", "pondstat"))]),
            plugin("lake", executors=[offer("lake", commands=("pondsub", "lakestat"))]),
        ]
    )
    assert found.choose_executor() == "pond"


def test_two_schedulers_are_an_error_that_says_how_to_choose(commands: Callable[..., None]) -> None:
    commands("pondsub")
    offers = [offer(commands=("pondsub",)), offer("lake", commands=("pondsub",))]
    with pytest.raises(ConfigError, match=r"pond, lake.*--executor.*REFLOW_EXECUTOR.*\[executor\]"):
        Registry([plugin("pond", executors=offers)]).choose_executor()


def test_a_broken_plugin_is_mentioned_when_the_local_executor_is_chosen(
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert Registry([builtin_plugin(), broken_plugin("pond")]).choose_executor() == "local"
    assert "pond_plugin" in caplog.text


# -- stores ---------------------------------------------------------------------------------


def pond_store(scheme: str = "pond", api_version: int = API_VERSION) -> StorePlugin:
    return StorePlugin(scheme=scheme, target=f"{HERE}:PondStore", api_version=api_version)


def test_a_store_is_opened_by_the_scheme_of_its_url() -> None:
    found = Registry([plugin("pond", stores=[pond_store()])])
    assert found.store_for("POND://deep/water").url == "POND://deep/water"


def test_a_bare_path_is_an_sqlite_file(tmp_path: Path) -> None:
    found = Registry([plugin("pond", stores=[pond_store("sqlite")])])
    assert found.store_for("manifest.db").url == f"sqlite://{tmp_path}/manifest.db"
    assert found.store_for(Path("/a/b.db")).url == "sqlite:///a/b.db"
    assert found.store_for("~/b.db").url == f"sqlite://{Path.home()}/b.db"


def test_an_unknown_scheme_is_an_error_with_the_nearest_one() -> None:
    with pytest.raises(PluginError, match=r"postgre://; did you mean 'postgres'"):
        Registry([builtin_plugin()]).store_for("postgre://host/db")


def test_two_plugins_with_one_scheme_are_an_error_that_names_both() -> None:
    found = Registry([plugin(name, stores=[pond_store()]) for name in ("pond", "puddle")])
    with pytest.raises(PluginError, match=r"reflow-pond 1.0 and reflow-puddle 1.0"):
        found.store_for("pond://x")


def test_a_store_for_another_interface_is_refused() -> None:
    found = Registry([plugin("pond", stores=[pond_store(api_version=99)])])
    with pytest.raises(PluginError, match=r"the store 'pond' of reflow-pond 1.0 was written for"):
        found.store_for("pond://x")


# -- codecs and rules -----------------------------------------------------------------------


def test_two_codecs_of_one_name_are_an_error_that_names_both_distributions() -> None:
    sources = [plugin(name, codecs=[PondCodec("array")]) for name in ("pond", "puddle")]  # type: ignore[list-item]
    with pytest.raises(PluginError, match=r"codec 'array' .* reflow-pond 1.0 and reflow-puddle"):
        Registry(sources).codecs()


def test_codecs_come_in_the_order_of_the_plugins() -> None:
    sources = [plugin(name, codecs=[PondCodec(name)]) for name in ("pond", "lake", "sea")]  # type: ignore[list-item]
    assert [codec.name for codec in Registry(sources).codecs()] == ["pond", "lake", "sea"]


def test_type_rules_of_high_priority_come_first() -> None:
    rules = [Rule("low", -1), Rule("high", 5), Rule("usual")]
    found = Registry([plugin("pond", type_rules=rules)])
    assert [rule.name for rule in found.type_rules()] == ["high", "usual", "low"]


# -- broken plugins -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("broken", "problem"),
    [
        (broken_plugin("broken"), "ModuleNotFoundError: No module named 'broken_plugin'"),
        (broken_plugin("broken", SystemExit(3)), "SystemExit: 3"),
        (broken_plugin("broken", RuntimeError("two\nlines")), "RuntimeError: two lines"),
        (plugin("broken", api_version=7, executors=[offer("broken")]), "was written for version 7"),
        (hooks_plugin("broken", {"reflow_executors": lambda wrong: []}), "wrong"),
    ],
)
def test_a_plugin_that_cannot_be_used_harms_no_other_and_is_named(
    broken: Any, problem: str
) -> None:
    found = Registry([broken, plugin("pond", executors=[offer()])])
    assert list(found.executors()) == ["pond"]
    report = found.report()[0]
    assert not report.usable
    assert problem in report.problems[0]
    with pytest.raises(MissingExecutorError) as caught:
        found.executor_class("broken")
    assert problem in str(caught.value)
    assert "reflow-broken 1.0" in str(caught.value)


def test_a_known_distribution_that_cannot_be_imported_is_not_called_missing() -> None:
    found = Registry([builtin_plugin(), broken_plugin("cluster", distribution="reflow-slurm")])
    with pytest.raises(MissingExecutorError, match=r"reflow-slurm 1.0 cannot be loaded"):
        found.executor_class("slurm")


def test_a_hook_that_raises_leaves_the_other_hooks_of_the_plugin_alone() -> None:
    def reflow_executors() -> None:
        raise RuntimeError("no water")

    half = hooks_plugin(
        "half", {"reflow_executors": reflow_executors, "reflow_stores": lambda: [pond_store()]}
    )
    found = Registry([half, plugin("pond", executors=[offer()])])
    assert list(found.executors()) == ["pond"]
    assert list(found.stores()) == ["pond"]
    assert found.report()[0].problems == ("reflow_executors() raised RuntimeError: no water",)


def test_a_hook_that_fails_half_way_through_its_records_is_reported() -> None:
    def reflow_executors() -> Iterator[ExecutorPlugin]:
        yield offer()
        raise RuntimeError("dried up")

    found = Registry([hooks_plugin("half", {"reflow_executors": reflow_executors})])
    assert found.executors() == {}
    assert "dried up" in found.report()[0].problems[0]


@pytest.mark.parametrize("answer", [["pond"], None, "pond"])
def test_a_hook_that_returns_something_else_is_reported(answer: object) -> None:
    found = Registry([hooks_plugin("odd", {"reflow_executors": lambda: answer})])
    assert found.executors() == {}
    assert "where ExecutorPlugin was expected" in found.report()[0].problems[0]


def test_a_hook_may_return_a_single_record() -> None:
    found = Registry([hooks_plugin("pond", {"reflow_executors": lambda: offer()})])
    assert list(found.executors()) == ["pond"]


def test_a_hook_nobody_knows_is_reported_with_the_nearest_and_the_rest_works() -> None:
    def reflow_executor() -> list[ExecutorPlugin]:
        return []

    hooks = {"reflow_executor": reflow_executor, "reflow_stores": lambda: [pond_store()]}
    found = Registry([hooks_plugin("pond", hooks)])
    assert list(found.stores()) == ["pond"]
    assert "'reflow_executors'" in found.report()[0].problems[0]


def test_a_plugin_without_hooks_is_told_how_to_mark_them() -> None:
    assert "hookimpl" in Registry([hooks_plugin("empty", {})]).report()[0].problems[0]


def test_a_plugin_that_wraps_the_hooks_of_others_is_left_out() -> None:
    from reflow.plugins.hookspecs import hookimpl

    @hookimpl(wrapper=True)
    def reflow_executors() -> Iterator[None]:
        yield

    module = type(sys)("wrapping")
    module.reflow_executors = reflow_executors  # type: ignore[attr-defined]
    from reflow.plugins.registry import PluginSource

    source = PluginSource("wrapping", "reflow-wrapping", "1.0", lambda: module)
    found = Registry([source, plugin("pond", executors=[offer()])])
    assert list(found.executors()) == ["pond"]
    assert "wraps hooks" in found.report()[0].problems[0]


# -- observers, checks, commands ------------------------------------------------------------


def run_event(state: str) -> RunEvent:
    return RunEvent(run_id="w-1", workflow="w", run_dir="/r", state=state)


def test_observers_are_told_of_runs_that_start_and_end() -> None:
    seen: list[tuple[str, str]] = []
    found = Registry(
        [
            observer(
                "watcher",
                run_started=lambda event: seen.append(("started", event.state)),
                run_finished=lambda event: seen.append(("finished", event.state)),
            )
        ]
    )
    found.emit(run_event("RUNNING"))
    found.emit(run_event("CANCELLED"))
    assert seen == [("started", "RUNNING"), ("finished", "CANCELLED")]


def test_observers_are_told_of_instances() -> None:
    seen: list[InstanceEvent] = []
    event = InstanceEvent(run_id="w-1", task="t", state="FAILED", indices=range(3))
    Registry([observer("watcher", instances_changed=seen.append)]).emit(event)
    assert seen == [event]


def test_an_observer_that_raises_is_logged_and_the_others_are_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(event: RunEvent) -> None:
        raise RuntimeError("no network")

    seen: list[RunEvent] = []
    found = Registry(
        [
            observer("before", run_started=seen.append),
            observer("broken", run_started=fail),
            observer("after", run_started=seen.append),
        ]
    )
    with caplog.at_level(logging.WARNING, logger="reflow"):
        found.emit(run_event("RUNNING"))
    assert len(seen) == 2
    assert "reflow-broken 1.0" in caplog.text
    assert "no network" in caplog.text
    assert "no network" in found.report()[1].problems[0]


def test_a_health_check_that_raises_becomes_a_finding() -> None:
    def check() -> Finding:
        raise OSError("pond is frozen")

    found = Registry([plugin("pond", health_checks=[HealthCheck(name="ice", run=check)])])
    [guarded] = found.health_checks()
    finding = guarded.run()
    assert (guarded.name, finding.ok) == ("ice", False)
    assert "pond is frozen" in finding.text


def test_a_plugin_adds_commands_to_the_command_line() -> None:
    added: list[object] = []
    app: Any = object()
    Registry([hooks_plugin("pond", {"reflow_cli": lambda app: added.append(app)})]).add_commands(
        app
    )
    assert added == [app]


# -- reports --------------------------------------------------------------------------------


def test_the_report_says_what_each_plugin_provides() -> None:
    def reflow_cli(app: object) -> None:
        raise AssertionError(app)

    hooks: dict[str, Callable[..., Any]] = {
        "reflow_executors": lambda: [offer()],
        "reflow_stores": lambda: [pond_store()],
        "reflow_type_rules": lambda: [Rule("waves")],
        "reflow_codecs": lambda: [PondCodec("array")],
        "reflow_cli": reflow_cli,
    }
    [report] = Registry([hooks_plugin("pond", hooks, version="0.3")]).report()
    assert (report.name, report.distribution, report.version) == ("pond", "reflow-pond", "0.3")
    assert report.provides == (
        "executor pond",
        "store pond",
        "type rule waves",
        "codec array",
        "commands",
    )
    assert report.usable
    assert report.problems == ()


def test_the_report_names_conflicts_and_wrong_versions() -> None:
    sources = [
        plugin("pond", executors=[offer(), offer("old", api_version=0)]),
        plugin("puddle", executors=[offer()]),
    ]
    pond, puddle = Registry(sources).report()
    assert any("reflow-pond 1.0 and reflow-puddle 1.0" in problem for problem in puddle.problems)
    assert any("its executor 'old' was written for version 0" in each for each in pond.problems)


def test_the_core_registers_its_own_parts_through_the_same_hooks() -> None:
    report = Registry([builtin_plugin()]).report()[0]
    assert report.problems == ()
    words = set(report.provides)
    assert {"executor local", "store sqlite", "store postgresql", "health checks"} <= words
    assert any(word.startswith("codec ") for word in words)
    assert any(word.startswith("type rule ") for word in words)


# -- discovery ------------------------------------------------------------------------------

POND = """
from reflow.plugin_api import API_VERSION, ExecutorPlugin, hookimpl

@hookimpl
def reflow_executors():
    pond = {"name": "pond", "target": "pond_plugin:reflow_executors"}
    return [ExecutorPlugin(**pond, api_version=API_VERSION)]
"""


def test_installed_distributions_are_found() -> None:
    with installed("reflow-pond", "4.2", {"pond": "pond_plugin"}, {"pond_plugin": POND}):
        found = {report.distribution: report for report in registry().report()}
    assert found["reflow-pond"].version == "4.2"
    assert found["reflow-pond"].provides == ("executor pond",)
    assert "executor local" in found["reflow-core"].provides


def test_the_process_has_one_registry() -> None:
    assert registry() is registry()


def test_a_test_can_put_other_plugins_in_the_place_of_the_installed_ones() -> None:
    before = registry()
    with using_plugins(plugin("pond", executors=[offer()])) as replacement:
        assert registry() is replacement
        assert set(registry().executors()) == {"local", "pond"}
    assert registry() is before


@pytest.mark.parametrize("words", ["all", "reflow-pond", "pond", "other, pond"])
def test_plugins_are_left_out_by_a_variable(monkeypatch: pytest.MonkeyPatch, words: str) -> None:
    monkeypatch.setenv("REFLOW_DISABLE_PLUGINS", words)
    with installed("reflow-pond", "1.0", {"pond": "pond_plugin"}, {"pond_plugin": POND}):
        assert "pond" not in registry().executors()
        assert "local" in registry().executors()
        assert "pond_plugin" not in sys.modules
        with pytest.raises(MissingExecutorError, match=r"REFLOW_DISABLE_PLUGINS"):
            registry().executor_class("pond")
