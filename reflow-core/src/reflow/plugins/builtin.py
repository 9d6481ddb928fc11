"""What the core itself provides, through the same hooks as every plugin."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from reflow.executors.contract import API_VERSION
from reflow.plugins.hookspecs import ExecutorPlugin, HealthCheck, StorePlugin, hookimpl

if TYPE_CHECKING:
    from reflow.codecs.contract import Codec
    from reflow.wiring.contract import TypeRule


@hookimpl
def reflow_executors() -> Iterable[ExecutorPlugin]:
    """Provide the executor of one machine."""
    return [
        ExecutorPlugin(
            name="local",
            target="reflow.executors.local:LocalExecutor",
            api_version=API_VERSION,
        )
    ]


@hookimpl
def reflow_stores() -> Iterable[StorePlugin]:
    """Provide the stores for SQLite and PostgreSQL."""
    return [
        StorePlugin(scheme=scheme, target="reflow.stores.sql:SqlStore", api_version=API_VERSION)
        for scheme in ("sqlite", "postgresql", "postgres")
    ]


@hookimpl
def reflow_type_rules() -> Iterable[TypeRule]:
    """Provide the rules of the wiring table."""
    from reflow.wiring.rules import builtin_type_rules

    return builtin_type_rules()


@hookimpl
def reflow_codecs() -> Iterable[Codec]:
    """Provide the codecs of types that are stored without any plugin."""
    from reflow.codecs.builtin import builtin_codecs
    from reflow.codecs.extras import extra_codecs

    return [*builtin_codecs(), *extra_codecs()]


@hookimpl
def reflow_health_checks() -> Iterable[HealthCheck]:
    """Provide the checks that `reflow doctor` runs on every machine."""
    from reflow.plugins.health import builtin_health_checks

    return builtin_health_checks()
