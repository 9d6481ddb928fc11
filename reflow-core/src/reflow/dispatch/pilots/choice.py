"""Which pilots a run is to have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reflow.config.schema import PilotSettings
from reflow.dispatch.modes import mode_of
from reflow.errors import ParameterError, UsageError
from reflow.executors.contract import Executor
from reflow.model.pilots import LEAST_TIME, Pilots

Given = Pilots | Mapping[str, Any] | None
"""What a user says of the pilots of one run: all of it, single keys, or nothing."""


def chosen_pilots(given: Given, configured: PilotSettings, executor: Executor) -> Pilots | None:
    """Return the pilots of a run; None where it is to have none.

    What is configured is for runs on clusters, and says nothing of those on one machine. Raises
    `UsageError` for what cannot be had, and `ParameterError` for values that cannot be used.
    """
    pilots = given if isinstance(given, Pilots) else configured.pilots(given)
    if pilots is None:
        _refuse_loose_keys(given)
        return None
    if why := mode_of(executor).why_no_pilots:
        if given:
            raise UsageError(f"{why}. Leave out the pilots, or name a scheduler's executor")
        return None
    if pilots.whole_nodes and not executor.capabilities.whole_nodes:
        raise UsageError(
            f"the executor {executor.name!r} cannot ask for whole nodes: leave out nodes='whole' "
            "(--pilot-nodes), and say how many cpus and how much mem each pilot is to have"
        )
    if pilots.time is not None and pilots.time < LEAST_TIME:
        # Runs that have such pilots are still read, so this is no matter of the record.
        raise ParameterError(
            f"the time of pilots (--pilot-time) is {pilots.time}, which is too short: they begin "
            f"nothing in their last half minute. Give each at least {LEAST_TIME}"
        )
    return pilots


def _refuse_loose_keys(given: Given) -> None:
    """Refuse what is said of pilots where nobody says how many there are to be."""
    if isinstance(given, Mapping) and given and "jobs" not in given:
        raise UsageError(
            f"--pilot-{next(iter(given))} is for pilots, and there are none: add --pilots N, or "
            "set jobs below [pilots] in the configuration"
        )
