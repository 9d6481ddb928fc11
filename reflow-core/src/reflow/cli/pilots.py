"""The options of `submit` that speak of pilots."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import Annotated, Any

from reflow.cli.words import option
from reflow.errors import ParameterError, UsageError
from reflow.model.pilots import Pilots

PILOTS_PANEL = "Pilots: jobs that run the whole run"

_option = partial(option, rich_help_panel=PILOTS_PANEL)

_OPTIONS: dict[str, tuple[type, dict[str, Any]]] = {
    "jobs": (int, {"metavar": "N", "min": 0, "help": "How many jobs; 0 for none."}),
    "cpus": (int, {"metavar": "N", "min": 1, "help": "CPUs of each."}),
    "mem": (str, {"metavar": "SIZE", "help": "Memory of each: 120G."}),
    "time": (str, {"metavar": "TIME", "help": "Time limit of each: 08:00:00."}),
    "idle": (str, {"metavar": "TIME", "help": "How long each waits for work: 90s, 10m, 1h."}),
    "gpus": (int, {"metavar": "N", "min": 0, "help": "GPUs of each."}),
    "nodes": (
        str,
        {
            "metavar": "whole",
            "help": "Give each a node for itself.",
            "autocompletion": lambda: ["whole"],
        },
    ),
    "queue": (str, {"metavar": "NAME", "help": "Queue or partition of each."}),
}


def with_pilots(command: Callable[..., None], *, hidden: bool = False) -> Callable[..., None]:
    """Add the options of pilots to a command, which gets those given as the keyword `pilots`."""

    def call(*positional: Any, **given: Any) -> None:
        words = {key: given.pop(_keyword(key)) for key in _OPTIONS}
        command(*positional, pilots=_checked(words), **given)

    own = inspect.signature(command, eval_str=True).parameters
    shown = {name: parameter for name, parameter in own.items() if name != "pilots"}
    options = [_parameter(key, hidden) for key in _OPTIONS]
    call.__signature__ = inspect.Signature([*shown.values(), *options])  # type: ignore[attr-defined]
    call.__doc__ = command.__doc__
    return call


def _parameter(key: str, hidden: bool) -> inspect.Parameter:
    kind, words = _OPTIONS[key]
    return inspect.Parameter(
        _keyword(key),
        inspect.Parameter.KEYWORD_ONLY,
        default=None,
        annotation=Annotated[kind | None, _option(flag_of(key), hidden=hidden, **words)],
    )


def _keyword(key: str) -> str:
    return flag_of(key).strip("-").replace("-", "_")


def flag_of(key: str) -> str:
    """Return the option that sets a key of `[pilots]`."""
    return "--pilots" if key == "jobs" else f"--pilot-{key}"


def _checked(words: dict[str, Any]) -> dict[str, Any]:
    """Return what was given of pilots, by key. Raises `UsageError` for what cannot be used."""
    given = {key: value for key, value in words.items() if value is not None}
    for key in given.keys() - {"jobs"}:
        if given.get("jobs") == 0:
            raise UsageError(f"--pilots 0 is a run without pilots: leave out {flag_of(key)}")
        try:
            Pilots(**{"jobs": 1, key: given[key]})
        except ParameterError as error:
            raise UsageError(f"{flag_of(key)}: {error}") from error
    return given
