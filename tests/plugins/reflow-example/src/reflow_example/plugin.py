"""What reflow-example provides."""

from __future__ import annotations

from collections.abc import Iterable

# [start:executor]
from reflow.plugin_api import (
    API_VERSION,
    Codec,
    ExecutorPlugin,
    StorePlugin,
    TypeRule,
    hookimpl,
)

api_version = API_VERSION


@hookimpl
def reflow_executors() -> Iterable[ExecutorPlugin]:
    """The executor for Harbour."""
    return [
        ExecutorPlugin(
            name="harbour",
            target="reflow_example.executor:HarbourExecutor",
            commands=("hsub", "hjobs", "hkill"),
            api_version=API_VERSION,
        )
    ]


# [end:executor]
# [start:store]
@hookimpl
def reflow_stores() -> Iterable[StorePlugin]:
    """Stores at `ledger:///path/to/file`."""
    return [
        StorePlugin(
            scheme="ledger",
            target="reflow_example.store:LedgerStore",
            api_version=API_VERSION,
        )
    ]


# [end:store]
# [start:rule]
@hookimpl
def reflow_type_rules() -> Iterable[TypeRule]:
    """How NumPy arrays reach array tasks."""
    from reflow_example.rules import ArrayBroadcast

    return [ArrayBroadcast()]


# [end:rule]
# [start:codec]
@hookimpl
def reflow_codecs() -> Iterable[Codec]:
    """Instances of attrs classes."""
    from reflow_example.classes import AttrsCodec

    return [AttrsCodec()]


# [end:codec]
