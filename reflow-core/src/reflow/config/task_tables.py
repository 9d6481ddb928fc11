"""The tables `[tasks.NAME]` of the configuration: what tasks ask for, in place of what they say."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from reflow.errors import ConfigError, ReflowError, ReflowWarning
from reflow.model.json import Json
from reflow.suggest import did_you_mean

if TYPE_CHECKING:
    from reflow.wiring.overrides import Override


def overrides_of(
    tasks: Mapping[str, Mapping[str, Json]],
    workflow: str,
    task: str,
    origin: Callable[[str], str],
) -> Iterator[Override]:
    """Yield the tables for a task, that for the task of this workflow last.

    `origin` returns the file that a key comes from.
    """
    from reflow.wiring.overrides import Override, table_name

    for name in (task, f"{workflow}.{task}"):
        if name in tasks:
            origins = {option: origin(f"tasks.{name}.{option}") for option in tasks[name]}
            yield Override(table=table_name(name), values=tasks[name], origins=origins)


def unused_tables(
    tasks: Mapping[str, Mapping[str, Json]], workflow: str, names: Sequence[str]
) -> Iterator[str]:
    """Say which tables name a task of this workflow that it does not have."""
    from reflow.wiring.overrides import table_name

    for name in tasks:
        task = name.removeprefix(f"{workflow}.")
        if task != name and task not in names and name not in names:
            yield (
                f"{table_name(name)} in the configuration is ignored: workflow {workflow!r} has "
                f"no task {task!r}{did_you_mean(task, names)}"
            )


def with_option(
    tasks: Mapping[str, Mapping[str, Json]], name: str, value: Json, origin: str
) -> dict[str, Mapping[str, Json]]:
    """Return the tables of tasks with another value of an option: `tasks.NAME.mem`.

    Raises `ConfigError` for an option that there is not, and for a value that cannot be used.
    """
    from reflow.wiring.overrides import read_override

    task, _, option = name.partition(".")[2].rpartition(".")
    try:
        read_override(option, value)
    except ReflowError as error:
        raise ConfigError(f"{origin}: {name}: {error}") from None
    return {**tasks, task: {**tasks.get(task, {}), option: value}}


def flat_tasks(tables: Mapping[str, Any], origin: str) -> Iterator[tuple[str, Any]]:
    """Yield the keys in the tables of tasks, as `tasks.NAME.mem`; warn about unknown options.

    The table of a task in one workflow may be written with quotes or without them.
    """
    from reflow.wiring.overrides import OVERRIDABLE, unknown_option

    for task, table in tables.items():
        if not isinstance(table, Mapping):
            raise ConfigError(
                f"{origin}: tasks.{task} must be a table: write [tasks.NAME], with the name of a "
                f"task, and {task} = ... below it"
            )
        for option, value in table.items():
            name = f"{task}.{option}"
            if option in OVERRIDABLE:
                yield f"tasks.{name}", value
            elif isinstance(value, Mapping):
                yield from flat_tasks({name: value}, origin)
            else:
                warnings.warn(
                    f"{origin}: the key 'tasks.{name}' is ignored: there is no such option of a "
                    f"task here{unknown_option(option)}",
                    ReflowWarning,
                    stacklevel=5,
                )
