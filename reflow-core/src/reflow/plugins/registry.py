"""What the installed plugins provide, and the only place where their names are looked up.

A plugin that cannot be loaded has no effect until something that it might have provided is looked
up; then its failure is part of the error. Two plugins that claim one name are an error when that
name is used.
"""

from __future__ import annotations

import re
import shutil
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from reflow.errors import (
    ConfigError,
    DefinitionError,
    MissingExecutorError,
    PluginError,
    ReflowError,
    ReflowWarning,
)
from reflow.executors.contract import API_VERSION
from reflow.model.states import RunState
from reflow.plugins.distributions import EXECUTOR_DISTRIBUTIONS
from reflow.plugins.entry_points import import_object
from reflow.plugins.hookspecs import (
    ExecutorPlugin,
    Finding,
    HealthCheck,
    InstanceEvent,
    RunEvent,
    StorePlugin,
)
from reflow.plugins.loading import (
    Plugin,
    PluginHost,
    PluginSource,
    describe_error,
    discover,
    logger,
    wrong_api_version,
)
from reflow.suggest import did_you_mean, nearest

if TYPE_CHECKING:
    import typer

    from reflow.codecs.contract import Codec
    from reflow.executors.contract import Executor
    from reflow.stores.contract import Store
    from reflow.wiring.contract import TypeRule

__all__ = ["PluginReport", "PluginSource", "Registry", "discover", "registry", "set_registry"]

LOCAL = "local"
_SLIP = 0.75
"""Names at least as similar as this (0 to 1) are taken for misspellings of each other."""
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_Record = TypeVar("_Record", ExecutorPlugin, StorePlugin)


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginReport:
    """What `reflow plugins` shows of one plugin."""

    name: str
    """The name of its entry point."""
    distribution: str
    version: str
    provides: tuple[str, ...]
    """What it provides, in words: `executor local`, `store sqlite`, `commands`."""
    problems: tuple[str, ...]
    """What is wrong with it; empty when all is well."""
    usable: bool
    """False when it was left out."""


@dataclass(frozen=True, slots=True)
class _Claim(Generic[_Record]):
    """A plugin's claim to provide what has one name."""

    plugin: Plugin
    record: _Record


class Registry:
    """The plugins of one process, loaded at the first look-up."""

    def __init__(self, sources: Iterable[PluginSource] | None = None) -> None:
        """Use the plugins of `sources`; by default those that are installed."""
        self._sources = sources

    # -- executors -------------------------------------------------------------------------
    def executors(self) -> dict[str, ExecutorPlugin]:
        """Return the provided executors by name."""
        return {name: claims[0].record for name, claims in self._executors.items()}

    def check_executor_names(self, task: str, names: Iterable[str]) -> None:
        """Check the executor names that a task has options for.

        Raises `DefinitionError` for a misspelling of a known name. Any other unknown name may be
        that of a plugin which is only installed elsewhere: a `ReflowWarning`.
        """
        known = {*self.executors(), *(entry.executor for entry in EXECUTOR_DISTRIBUTIONS)}
        for name in names:
            if name in known:
                continue
            meant = nearest(name, known, _SLIP)
            if meant is not None:
                raise DefinitionError(
                    f"task {task!r} has options for {name!r}, and there is no such executor; "
                    f"did you mean {meant!r}?"
                )
            warnings.warn(
                f"task {task!r} has options for {name!r}, an executor that no installed plugin "
                "provides; no other executor reads them",
                ReflowWarning,
                stacklevel=2,
            )

    def executor_class(self, name: str) -> Callable[..., Executor]:
        """Return the class of an executor.

        Raises `MissingExecutorError` when no plugin provides it, and `PluginError` when several
        do, or when it cannot be imported or was built for another interface.
        """
        if name not in self._executors:
            raise MissingExecutorError(self._missing_executor(name))
        return self._resolve("executor", name, self._executors[name])  # type: ignore[no-any-return]

    def make_executor(
        self,
        name: str,
        settings: Mapping[str, Any] | None = None,
        shared: Mapping[str, Any] | None = None,
    ) -> Executor:
        """Make an executor with these settings, its constructor's keyword arguments.

        `shared` holds settings that are used where the constructor has such a parameter and
        `settings` does not set it. An unknown setting is a `ReflowWarning`. Raises `ConfigError`
        for a value that does not fit, and what `executor_class` raises.
        """
        from reflow.config.values import fit_settings

        make = self.executor_class(name)
        table = f"executor.{name}"
        fitting = fit_settings(table, make, settings or {}, shared or {})
        try:
            return make(**fitting)
        except ReflowError:
            raise
        except (TypeError, ValueError) as error:
            raise ConfigError(f"[{table}] cannot be used: {error}") from error

    def choose_executor(self, configured: str | None = None) -> str:
        """Return the name of the executor to use when none is named.

        That is the configured one, else the one whose commands are all on PATH, else `local`.
        Raises `ConfigError` when several schedulers are present.
        """
        if configured:
            return configured
        here = [
            name
            for name, record in self.executors().items()
            if record.commands and all(shutil.which(command) for command in record.commands)
        ]
        if len(here) > 1:
            raise ConfigError(
                f"several schedulers are here ({', '.join(here)}): choose one with "
                f"`--executor {here[0]}`, with `REFLOW_EXECUTOR={here[0]}`, or with "
                f'`name = "{here[0]}"` under `[executor]` in the configuration file'
            )
        if here:
            return here[0]
        for plugin in self._failed():
            if plugin.source.disabled:
                continue
            logger.warning("%s; if it should run your jobs, install it again", _failure(plugin))
        return LOCAL

    def executor_class_called(self, class_name: str) -> Callable[..., Executor] | None:
        """Return the executor class of that name, for `from reflow import ...`, or None.

        Raises `MissingExecutorError` when it is in a distribution that is not installed.
        """
        for name, claims in self._executors.items():
            if _class_name(claims[0].record) == class_name:
                return self.executor_class(name)
        for entry in EXECUTOR_DISTRIBUTIONS:
            if entry.class_name == class_name:
                return self.executor_class(entry.executor)
        return None

    def executor_class_names(self) -> list[str]:
        """Return the class names of the provided executors."""
        return [_class_name(record) for record in self.executors().values()]

    # -- stores ----------------------------------------------------------------------------
    def stores(self) -> dict[str, StorePlugin]:
        """Return the provided stores by URL scheme."""
        return {scheme: claims[0].record for scheme, claims in self._stores.items()}

    def store_for(self, url: str | Path) -> Store:
        """Open the store at a URL; a bare path is an SQLite file.

        Raises `PluginError` when no plugin, or more than one, opens the URL's scheme.
        """
        found = _SCHEME.match(str(url))
        if found is None:
            url = f"sqlite://{Path(url).expanduser().absolute()}"
        scheme = found[1].lower() if found else "sqlite"
        if scheme not in self._stores:
            raise PluginError(
                f"no installed plugin opens a store at {scheme}://"
                f"{did_you_mean(scheme, self._stores)}{self._footnote()}"
            )
        open_store = self._resolve("store", scheme, self._stores[scheme])
        return open_store(str(url))  # type: ignore[no-any-return]

    # -- values and types ------------------------------------------------------------------
    def codecs(self) -> tuple[Codec, ...]:
        """Return all codecs, built-in ones first. Raises `PluginError` when two have one name."""
        owners: dict[str, Plugin] = {}
        for plugin, codec in self._codecs:
            if codec.name in owners:
                raise PluginError(_conflict("codec", codec.name, [owners[codec.name], plugin]))
            owners[codec.name] = plugin
        return tuple(codec for _, codec in self._codecs)

    def type_rules(self) -> tuple[TypeRule, ...]:
        """Return all type rules, those of high priority first."""
        rules = [rule for _, rule in self._type_rules]
        return tuple(sorted(rules, key=lambda rule: -rule.priority))

    # -- the rest --------------------------------------------------------------------------
    def add_commands(self, app: typer.Typer) -> None:
        """Call every plugin to add its commands to the command line."""
        self._host.notify("reflow_cli", app=app)

    @cached_property
    def observed(self) -> bool:
        """Whether any plugin observes runs, so that events need to be made."""
        observers = ("reflow_run_started", "reflow_run_finished", "reflow_instances_changed")
        return any(
            self._host.implements(hook, plugin)
            for hook in observers
            for plugin in self._host.plugins
        )

    def emit(self, event: RunEvent | InstanceEvent) -> None:
        """Send an event to the observers. Their exceptions are logged and have no other effect."""
        if isinstance(event, InstanceEvent):
            hook = "reflow_instances_changed"
        elif RunState(event.state).final:
            hook = "reflow_run_finished"
        else:
            hook = "reflow_run_started"
        self._host.notify(hook, event=event)

    def health_checks(self) -> tuple[HealthCheck, ...]:
        """Return the checks of `reflow doctor`; a check that raises becomes a failed finding."""
        found = self._host.records(
            "reflow_health_checks", "HealthCheck", lambda each: isinstance(each, HealthCheck)
        )
        return tuple(_guarded(plugin, check) for plugin, check in found)

    def report(self) -> list[PluginReport]:
        """Describe each installed plugin: what it provides, and what is wrong with it."""
        provides = {id(plugin): list(self._provided(plugin)) for plugin in self._host.plugins}
        return [
            PluginReport(
                name=plugin.source.name,
                distribution=plugin.source.distribution,
                version=plugin.source.version,
                provides=tuple(provides[id(plugin)]),
                problems=(*plugin.problems, *self._conflicts_of(plugin)),
                usable=plugin.usable,
            )
            for plugin in self._host.plugins
        ]

    # -- how it is done --------------------------------------------------------------------
    @cached_property
    def _host(self) -> PluginHost:
        return PluginHost(discover() if self._sources is None else self._sources)

    @cached_property
    def _executors(self) -> dict[str, list[_Claim[ExecutorPlugin]]]:
        found = self._host.records(
            "reflow_executors", "ExecutorPlugin", lambda each: isinstance(each, ExecutorPlugin)
        )
        return _claims((record.name, plugin, record) for plugin, record in found)

    @cached_property
    def _stores(self) -> dict[str, list[_Claim[StorePlugin]]]:
        found = self._host.records(
            "reflow_stores", "StorePlugin", lambda each: isinstance(each, StorePlugin)
        )
        return _claims((record.scheme, plugin, record) for plugin, record in found)

    @cached_property
    def _codecs(self) -> list[tuple[Plugin, Codec]]:
        return self._host.records("reflow_codecs", "a codec", _like("encode", "decode", "handles"))

    @cached_property
    def _type_rules(self) -> list[tuple[Plugin, TypeRule]]:
        return self._host.records("reflow_type_rules", "a type rule", _like("decide"))

    def _resolve(self, what: str, name: str, claims: list[_Claim[_Record]]) -> Any:
        if len(claims) > 1:
            raise PluginError(_conflict(what, name, [claim.plugin for claim in claims]))
        plugin, record = claims[0].plugin, claims[0].record
        if record.api_version != API_VERSION:
            raise PluginError(
                f"the {what} {name!r} of {plugin} {wrong_api_version(record.api_version)}"
            )
        try:
            return _import_target(record.target)
        except Exception as error:
            raise PluginError(
                f"the {what} {name!r} of {plugin} cannot be imported from {record.target!r}: "
                f"{describe_error(error)}"
            ) from error

    def _missing_executor(self, name: str) -> str:
        to_install = {entry.executor: entry.distribution for entry in EXECUTOR_DISTRIBUTIONS}
        for plugin in self._failed():
            if plugin.source.distribution == to_install.get(name) or plugin.source.name == name:
                return f"there is no executor {name!r}, because {_failure(plugin)}"
        if name in to_install:
            return f"the executor {name!r} is not installed: pip install {to_install[name]}"
        found = nearest(name, [*self._executors, *to_install])
        if found is None:
            text = f"there is no executor {name!r}; installed are {', '.join(self._executors)}"
        else:
            text = f"there is no executor {name!r}; did you mean {found!r}?"
            if found not in self._executors:
                text += f" It needs `pip install {to_install[found]}`."
        return text + self._footnote()

    def _failed(self) -> list[Plugin]:
        return [plugin for plugin in self._host.plugins if not plugin.usable]

    def _footnote(self) -> str:
        """Make the hint, for errors about unknown names, that broken plugins might provide them."""
        return "".join(f" ({_failure(plugin)})" for plugin in self._failed())

    def _provided(self, plugin: Plugin) -> Iterable[str]:
        for word, claimed in (("executor", self._executors), ("store", self._stores)):
            for name, claims in claimed.items():
                if any(claim.plugin is plugin for claim in claims):
                    yield f"{word} {name}"
        yield from (f"type rule {rule.name}" for owner, rule in self._type_rules if owner is plugin)
        yield from (f"codec {codec.name}" for owner, codec in self._codecs if owner is plugin)
        for hook, words in _OTHER_HOOKS.items():
            if self._host.implements(hook, plugin):
                yield words

    def _conflicts_of(self, plugin: Plugin) -> Iterable[str]:
        for word, claimed in (("executor", self._executors), ("store", self._stores)):
            for name, claims in claimed.items():
                owners = [claim.plugin for claim in claims]
                if len(owners) > 1 and plugin in owners:
                    yield _conflict(word, name, owners)
                yield from (
                    f"its {word} {name!r} {wrong_api_version(claim.record.api_version)}"
                    for claim in claims
                    if claim.plugin is plugin and claim.record.api_version != API_VERSION
                )


_OTHER_HOOKS = {
    "reflow_cli": "commands",
    "reflow_run_started": "observer of runs that start",
    "reflow_run_finished": "observer of runs that end",
    "reflow_instances_changed": "observer of instances",
    "reflow_health_checks": "health checks",
}


def _claims(
    offers: Iterable[tuple[str, Plugin, _Record]],
) -> dict[str, list[_Claim[_Record]]]:
    by_name: dict[str, list[_Claim[_Record]]] = {}
    for name, plugin, record in offers:
        by_name.setdefault(name, []).append(_Claim(plugin, record))
    return by_name


def _like(*methods: str) -> Callable[[object], bool]:
    return lambda each: all(callable(getattr(each, method, None)) for method in methods)


def _conflict(what: str, name: str, plugins: Iterable[Plugin]) -> str:
    owners = " and ".join(dict.fromkeys(str(plugin) for plugin in plugins))
    return f"the {what} {name!r} is provided more than once, by {owners}; uninstall one of them"


def _failure(plugin: Plugin) -> str:
    return f"the plugin {plugin.source.name!r} of {plugin} {'; '.join(plugin.problems)}"


def _class_name(record: ExecutorPlugin) -> str:
    return record.target.rpartition(":")[2]


def _import_target(target: str) -> Any:
    module, _, name = target.partition(":")
    if not (module and name):
        raise ValueError("it is not written as package.module:Class")
    return import_object(target)


def _guarded(plugin: Plugin, check: HealthCheck) -> HealthCheck:
    def run() -> Finding:
        try:
            return check.run()
        except Exception as error:
            return Finding(ok=False, text=f"the check of {plugin} raised {describe_error(error)}")

    return HealthCheck(name=check.name, run=run)


_registry: Registry | None = None


def registry() -> Registry:
    """Return the registry of this process, built from the installed plugins at the first call."""
    global _registry
    if _registry is None:
        _registry = Registry()
    return _registry


def opened_store(store: Store | str | Path) -> Store:
    """Open the store at a URL or a path; return one that is open already as it is."""
    return registry().store_for(store) if isinstance(store, str | Path) else store


def set_registry(replacement: Registry | None) -> Registry | None:
    """Replace the registry of this process and return the former one; for tests."""
    global _registry
    previous, _registry = _registry, replacement
    return previous
