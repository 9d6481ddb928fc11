"""Finding plugins, loading each in isolation, and calling their hooks one by one.

One broken plugin must not harm another, nor reflow itself. So every plugin is loaded and called
separately, and what goes wrong is recorded with it as a problem to be shown.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pluggy

from reflow.executors.contract import API_VERSION
from reflow.plugins import hookspecs
from reflow.plugins.entry_points import EntryPoint, find_entry_points
from reflow.suggest import did_you_mean

DISABLE_VARIABLE = "REFLOW_DISABLE_PLUGINS"
TRACE_VARIABLE = "REFLOW_TRACE_HOOKS"
BUILTIN_MODULE = "reflow.plugins.builtin"

logger = logging.getLogger("reflow")


@dataclass(frozen=True, slots=True)
class PluginSource:
    """A plugin that can be loaded."""

    name: str
    """The name of the entry point."""
    distribution: str
    version: str
    load: Callable[[], object]
    """Imports and returns the module or object with the hooks."""
    disabled: bool = False
    """Whether the user has disabled it."""


@dataclass(slots=True, eq=False)
class Plugin:
    """A plugin of this process, and what went wrong with it."""

    source: PluginSource
    problems: list[str] = field(default_factory=list)
    usable: bool = True
    """Whether its hooks are called."""

    def __str__(self) -> str:
        return f"{self.source.distribution} {self.source.version}".rstrip()

    def note(self, problem: str) -> None:
        """Record a problem, once, and keep using the plugin."""
        if problem not in self.problems:
            self.problems.append(problem)

    def fail(self, problem: str) -> None:
        """Record a problem and stop using the plugin."""
        self.usable = False
        self.note(problem)


def discover() -> list[PluginSource]:
    """Find the installed plugins: reflow's own first, then by distribution and name.

    `REFLOW_DISABLE_PLUGINS` disables some: `all` means all but reflow's own, otherwise it is a
    list of distributions or entry points with commas between.
    """
    points = find_entry_points(hookspecs.ENTRY_POINT_GROUP)
    if not any(point.value == BUILTIN_MODULE for point in points):
        # Run from a source tree that is not installed.
        points.append(EntryPoint("builtin", BUILTIN_MODULE, "reflow-core", ""))
    disabled = {word.strip() for word in os.environ.get(DISABLE_VARIABLE, "").split(",")}
    points.sort(key=lambda point: (point.value != BUILTIN_MODULE, point.distribution, point.name))
    return [_source(point, disabled) for point in points]


def _source(point: EntryPoint, disabled: set[str]) -> PluginSource:
    return PluginSource(
        name=point.name,
        distribution=point.distribution,
        version=point.version,
        load=point.load,
        disabled=point.value != BUILTIN_MODULE
        and not disabled.isdisjoint({"all", point.name, point.distribution}),
    )


class PluginHost:
    """The plugins of one process, loaded and checked against the hook specs."""

    def __init__(self, sources: Iterable[PluginSource]) -> None:
        self._manager = pluggy.PluginManager(hookspecs.PROJECT)
        self._manager.add_hookspecs(hookspecs)
        self._trace = bool(os.environ.get(TRACE_VARIABLE))
        self.plugins = [Plugin(source) for source in sources]
        self._by_key = {f"{number}": plugin for number, plugin in enumerate(self.plugins)}
        # pluggy calls what was registered last first; reflow's own plugin is to come first.
        for key, plugin in reversed(self._by_key.items()):
            self._load(key, plugin)

    def records(
        self, hook: str, what: str, fits: Callable[[object], bool]
    ) -> list[tuple[Plugin, Any]]:
        """Return the records that each plugin provides for a hook.

        `what` names the expected kind in messages. Records that `fits` does not accept are left
        out; a single record stands for an iterable of one.
        """
        found: list[tuple[Plugin, Any]] = []
        for plugin, call in self._calls(hook):
            try:
                answer = call()
                if not isinstance(answer, Iterable):
                    answer = [answer]
                answer = list(answer)
            except Exception as error:
                plugin.note(f"{hook}() raised {describe_error(error)}")
                continue
            for record in answer:
                if fits(record):
                    found.append((plugin, record))
                else:
                    plugin.note(f"{hook}() returned {record!r} where {what} was expected")
        return found

    def notify(self, hook: str, **arguments: object) -> None:
        """Call a hook that returns nothing; log what it raises."""
        for plugin, call in self._calls(hook):
            try:
                call(**arguments)
            except Exception as error:
                problem = f"{hook}() raised {describe_error(error)}"
                plugin.note(problem)
                logger.warning("plugin %s: %s", plugin, problem)
                logger.debug("its traceback", exc_info=True)

    def implements(self, hook: str, plugin: Plugin) -> bool:
        """Tell whether the plugin has that hook."""
        return any(owner is plugin for owner, _ in self._calls(hook))

    def _calls(self, hook: str) -> Iterator[tuple[Plugin, Callable[..., Any]]]:
        for implementation in reversed(getattr(self._manager.hook, hook).get_hookimpls()):
            plugin = self._by_key[implementation.plugin_name]
            yield plugin, self._call_of(hook, plugin, implementation)

    def _call_of(
        self, hook: str, plugin: Plugin, implementation: pluggy.HookImpl
    ) -> Callable[..., Any]:
        def call(**arguments: object) -> Any:
            given = {name: arguments[name] for name in implementation.argnames}
            started = time.perf_counter()
            try:
                return implementation.function(**given)
            finally:
                if self._trace:
                    took = (time.perf_counter() - started) * 1000
                    print(f"reflow: {hook} of {plugin}, {took:.1f} ms", file=sys.stderr)

        return call

    def _load(self, key: str, plugin: Plugin) -> None:
        if plugin.source.disabled:
            plugin.fail(f"is disabled by {DISABLE_VARIABLE}")
            return
        try:
            module = plugin.source.load()
        except (Exception, SystemExit) as error:
            plugin.fail(f"cannot be loaded: {describe_error(error)}")
            return
        version = getattr(module, "api_version", API_VERSION)
        if version != API_VERSION:
            plugin.fail(wrong_api_version(version))
            return
        try:
            self._manager.register(module, name=key)
        except Exception as error:
            if self._manager.has_plugin(key):
                self._manager.unregister(name=key)
            plugin.fail(f"does not fit the hooks: {one_line(error)}")
            return
        self._check(module, plugin, key)

    def _check(self, module: object, plugin: Plugin, key: str) -> None:
        callers = self._manager.get_hookcallers(module) or []
        own = [each for caller in callers for each in caller.get_hookimpls()]
        own = [each for each in own if each.plugin_name == key]
        if not own:
            plugin.note("has no hooks; mark its functions with `reflow.plugin_api.hookimpl`")
        if any(each.wrapper or each.hookwrapper for each in own):
            self._manager.unregister(name=key)
            plugin.fail("wraps hooks of others, which reflow does not allow")
        known = [name for name in vars(hookspecs) if name.startswith(f"{hookspecs.PROJECT}_")]
        for caller in callers:
            if not caller.has_spec():
                plugin.note(
                    f"has a hook {caller.name!r} that reflow does not know"
                    f"{did_you_mean(caller.name, known)}"
                )


def wrong_api_version(version: object) -> str:
    """Write the message for a plugin built for another version of the interface."""
    return (
        f"was written for version {version} of the plugin interface, and this reflow has "
        f"{API_VERSION}; install versions of both that fit each other"
    )


def describe_error(error: BaseException) -> str:
    """Describe an exception in one line: class and text."""
    text = one_line(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def one_line(error: BaseException) -> str:
    """Return the text of an exception without its line breaks."""
    return " ".join(str(error).split())
