"""Every hook that reflow calls, in one place.

A plugin is a module or object with functions of these names, marked with `hookimpl`, and named in
its distribution's entry points under the group `reflow`. Hooks that provide something return an
iterable of small records; hooks that observe return nothing. Keep the module light: it is
imported at the first registry look-up, while import targets are imported only when used.

The records of executors and stores tell which version of the interface they were written for. A
module that provides other things can declare a global `api_version = 1`; where that differs from
`reflow.plugin_api.API_VERSION`, the whole plugin is left out, and `reflow plugins` tells why. Hook
wrappers of pluggy are not allowed: no plugin may change what another one provides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    import typer

    from reflow.codecs.contract import Codec
    from reflow.wiring.contract import TypeRule

PROJECT = "reflow"
ENTRY_POINT_GROUP = "reflow"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutorPlugin:
    """An executor that a plugin provides."""

    name: str
    """What users write: `executor="pond"`."""
    target: str
    """Where the class is: `package.module:Class`. Imported only when used."""
    commands: tuple[str, ...] = ()
    """The scheduler is present where all of these commands are on PATH."""
    api_version: int
    """The `reflow.plugin_api.API_VERSION` that it was written for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StorePlugin:
    """A store that a plugin provides, by the scheme of its URL."""

    scheme: str
    target: str
    """Where the class is; it is called with the URL as its only argument."""
    api_version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthCheck:
    """A check that `reflow doctor` runs."""

    name: str
    run: Callable[[], Finding]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What a health check found."""

    ok: bool
    text: str
    """What was found; when not ok, also what to do about it."""
    checked: bool = True
    """Whether anything was looked at; what was not checked is not called in order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEvent:
    """A run started or finished."""

    run_id: str
    workflow: str
    run_dir: str
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceEvent:
    """Instances of one task changed state together."""

    run_id: str
    task: str
    state: str
    indices: range | tuple[int, ...]
    details: Mapping[str, Any] = field(default_factory=dict)


@hookspec
def reflow_executors() -> Iterable[ExecutorPlugin]:  # type: ignore[empty-body]
    """Offer executors.

    Example::

        @hookimpl
        def reflow_executors():
            return [ExecutorPlugin(name="pond", target="reflow_pond.executor:PondExecutor",
                                   commands=("pondsub", "pondstat"), api_version=1)]
    """


@hookspec
def reflow_stores() -> Iterable[StorePlugin]:  # type: ignore[empty-body]
    """Offer stores by URL scheme.

    Example::

        @hookimpl
        def reflow_stores():
            return [StorePlugin(scheme="pond", target="reflow_pond.store:PondStore",
                                api_version=1)]
    """


@hookspec
def reflow_type_rules() -> Iterable[TypeRule]:  # type: ignore[empty-body]
    """Offer rules that infer how the type of a result reaches the type of an argument.

    Example::

        @hookimpl
        def reflow_type_rules():
            return [FramesFanOutToRows()]
    """


@hookspec
def reflow_codecs() -> Iterable[Codec]:  # type: ignore[empty-body]
    """Offer codecs: how values of a type are stored, fingerprinted and verified.

    Example::

        @hookimpl
        def reflow_codecs():
            return [NumpyCodec()]
    """


@hookspec
def reflow_cli(app: typer.Typer) -> None:
    """Add commands to the `reflow` command line.

    Example::

        @hookimpl
        def reflow_cli(app):
            app.command("pond")(show_pond)
    """


@hookspec
def reflow_run_started(event: RunEvent) -> None:
    """Observe that a run began, or goes on after `retry`. Called in the dispatching process.

    Example::

        @hookimpl
        def reflow_run_started(event):
            notify(f"{event.run_id} started")
    """


@hookspec
def reflow_run_finished(event: RunEvent) -> None:
    """Observe that a run ended. An exception raised here is logged and has no other effect.

    Example::

        @hookimpl
        def reflow_run_finished(event):
            notify(f"{event.run_id}: {event.state}")
    """


@hookspec
def reflow_instances_changed(event: InstanceEvent) -> None:
    """Observe that instances of a task changed state; one call for many.

    Example::

        @hookimpl
        def reflow_instances_changed(event):
            if event.state == "FAILED":
                count(event.task, len(event.indices))
    """


@hookspec
def reflow_health_checks() -> Iterable[HealthCheck]:  # type: ignore[empty-body]
    """Offer checks for `reflow doctor`.

    Example::

        @hookimpl
        def reflow_health_checks():
            return [HealthCheck(name="pond server", run=check_pond_server)]
    """
