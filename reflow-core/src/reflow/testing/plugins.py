"""Plugins for tests, working and broken, without installing anything.

There are two kinds of helpers. `plugin`, `hooks_plugin` and `broken_plugin` make a `PluginSource`
in memory, for a `Registry` of a test's own or, with `using_plugins`, for the whole process::

    def test_the_pond_is_offered():
        pond = ExecutorPlugin(
            name="pond", target="reflow_pond:PondExecutor", api_version=API_VERSION
        )
        with using_plugins(plugin("pond", executors=[pond])):
            assert "pond" in registry().executors()

`write_distribution` writes a distribution as an installer would leave it, for tests that start
other processes::

    def test_the_command_line_shows_the_pond(tmp_path):
        write_distribution(tmp_path, "reflow-pond", "1.0", {"pond": "pond_plugin"},
                           {"pond_plugin": "..."})
        subprocess.run(["reflow", "plugins"], env={**os.environ, "PYTHONPATH": str(tmp_path)})
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from reflow.codecs.contract import Codec
from reflow.plugins.hookspecs import (
    ExecutorPlugin,
    HealthCheck,
    InstanceEvent,
    RunEvent,
    StorePlugin,
    hookimpl,
)
from reflow.plugins.loading import BUILTIN_MODULE
from reflow.plugins.registry import PluginSource, Registry, set_registry
from reflow.wiring.contract import TypeRule


def plugin(
    name: str,
    *,
    distribution: str | None = None,
    version: str = "1.0",
    api_version: int | None = None,
    executors: Iterable[ExecutorPlugin] | None = None,
    stores: Iterable[StorePlugin] | None = None,
    type_rules: Iterable[TypeRule] | None = None,
    codecs: Iterable[Codec] | None = None,
    health_checks: Iterable[HealthCheck] | None = None,
) -> PluginSource:
    """Make a plugin that gives these records.

    Its distribution is `reflow-NAME` unless said otherwise; `api_version` is the version of the
    interface that the whole plugin declares, None for a plugin that declares none.
    """
    given = {
        "reflow_executors": executors,
        "reflow_stores": stores,
        "reflow_type_rules": type_rules,
        "reflow_codecs": codecs,
        "reflow_health_checks": health_checks,
    }
    hooks = {hook: _giving(list(each)) for hook, each in given.items() if each is not None}
    attributes = {} if api_version is None else {"api_version": api_version}
    return hooks_plugin(
        name, hooks, distribution=distribution, version=version, attributes=attributes
    )


def observer(
    name: str,
    *,
    run_started: Callable[[RunEvent], None] | None = None,
    run_finished: Callable[[RunEvent], None] | None = None,
    instances_changed: Callable[[InstanceEvent], None] | None = None,
) -> PluginSource:
    """Make a plugin that is told what happens to runs."""
    given: dict[str, Callable[[Any], None] | None] = {
        "reflow_run_started": run_started,
        "reflow_run_finished": run_finished,
        "reflow_instances_changed": instances_changed,
    }
    return hooks_plugin(name, {hook: _told(each) for hook, each in given.items() if each})


def hooks_plugin(
    name: str,
    hooks: Mapping[str, Callable[..., Any]],
    *,
    distribution: str | None = None,
    version: str = "1.0",
    attributes: Mapping[str, object] | None = None,
) -> PluginSource:
    """Make a plugin whose module has these functions as hooks, whether reflow knows them or not."""
    module = ModuleType(f"{name}_plugin")
    for attribute, value in (attributes or {}).items():
        setattr(module, attribute, value)
    for hook, function in hooks.items():
        setattr(module, hook, hookimpl(function))
    return PluginSource(name, distribution or f"reflow-{name}", version, lambda: module)


def broken_plugin(
    name: str,
    error: BaseException | None = None,
    *,
    distribution: str | None = None,
    version: str = "1.0",
) -> PluginSource:
    """Make a plugin whose module cannot be imported: `error`, or a missing module."""

    def load() -> object:
        raise error or ModuleNotFoundError(f"No module named '{name}_plugin'")

    return PluginSource(name, distribution or f"reflow-{name}", version, load)


def builtin_plugin() -> PluginSource:
    """Make the core's own plugin, for a registry that is to have it beside others."""

    def load() -> object:
        from importlib import import_module

        return import_module(BUILTIN_MODULE)

    return PluginSource("builtin", "reflow-core", "", load)


@contextmanager
def using_plugins(*sources: PluginSource) -> Iterator[Registry]:
    """Give the process, within the block, the core's own plugin and these, and no others."""
    replacement = Registry([builtin_plugin(), *sources])
    previous = set_registry(replacement)
    try:
        yield replacement
    finally:
        set_registry(previous)


def write_distribution(
    folder: Path,
    distribution: str,
    version: str,
    entry_points: Mapping[str, str],
    modules: Mapping[str, str],
) -> None:
    """Write an installed distribution into a folder that is, or will be, on the import path.

    `entry_points` are those of the group `reflow`; `modules` hold source code by module name.
    """
    for module, source in modules.items():
        path = folder.joinpath(*module.split(".")).with_suffix(".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source, encoding="utf-8")
    information = folder / f"{distribution.replace('-', '_')}-{version}.dist-info"
    information.mkdir(parents=True)
    (information / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n", encoding="utf-8"
    )
    lines = [f"{name} = {value}" for name, value in entry_points.items()]
    (information / "entry_points.txt").write_text(
        "\n".join(["[reflow]", *lines, ""]), encoding="utf-8"
    )


@contextmanager
def installed(
    distribution: str, version: str, entry_points: Mapping[str, str], modules: Mapping[str, str]
) -> Iterator[Path]:
    """Make this process find the distribution, within the block, as if it were installed.

    Yields its folder. Its modules are removed from `sys.modules` afterwards.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_distribution(folder, distribution, version, entry_points, modules)
        sys.path.insert(0, name)
        previous = set_registry(None)
        try:
            yield folder
        finally:
            set_registry(previous)
            sys.path.remove(name)
            for module in modules:
                sys.modules.pop(module, None)


def _giving(records: list[Any]) -> Callable[[], list[Any]]:
    def give() -> list[Any]:
        return records

    return give


def _told(observe: Callable[[Any], None]) -> Callable[[Any], None]:
    def tell(event: Any) -> None:
        observe(event)

    return tell
