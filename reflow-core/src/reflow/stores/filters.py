"""Filters of a list of runs, checked."""

from __future__ import annotations

from datetime import datetime

from reflow.errors import ParameterError
from reflow.model.states import RunState
from reflow.suggest import did_you_mean


def run_time(name: str, value: str | datetime) -> datetime:
    """Parse a time; one without a zone is local, a date means its first moment.

    Raises `ParameterError` that names the parameter.
    """
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            raise ParameterError(
                f"{name}={value!r} is not a time; write ISO 8601, such as 2025-03-01 or "
                f"2025-03-01T12:00"
            ) from None
    if not isinstance(value, datetime):
        raise ParameterError(f"{name}={value!r} is not a time; give a datetime or ISO 8601 text")
    try:
        return value.astimezone()
    except (ValueError, OverflowError):
        raise ParameterError(
            f"{name}={value.isoformat()} is too far away to be a time of a run; give another"
        ) from None


def run_state(value: str | RunState) -> RunState:
    """Parse a run state in any case. Raises `ParameterError` that suggests the nearest one."""
    known = [state.value for state in RunState]
    if str(value).upper() in known:
        return RunState(str(value).upper())
    raise ParameterError(
        f"status={value!r} is not a state of a run{did_you_mean(str(value), known) or ';'} "
        f"the states are {', '.join(known)}"
    )


def run_limit(value: int) -> int:
    """Check a number of runs. Raises `ParameterError` where it is none."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ParameterError(f"limit={value!r} is not a number of runs; give a whole number from 0")
    return value
