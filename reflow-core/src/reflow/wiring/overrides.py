"""What the configuration says of tasks in place of their decorators: the tables `[tasks.NAME]`.

Only what a task asks for can be said there: nothing of it counts for its cached results.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from reflow.errors import DefinitionError, OptionError, ReflowWarning
from reflow.model.json import Json
from reflow.model.resources import Resources, memory_text, time_text
from reflow.model.tasks import TaskSpec
from reflow.suggest import did_you_mean
from reflow.wiring.options import check_sharing, meant_option, read_options

_OF_RESOURCES = ("cpus", "time", "mem", "gpus", "nodes", "queue", "account", "options")
_OF_ARRAYS = ("per_job", "at_once", "array_parallelism")
_OF_RETRIES = ("retries", "retry_mem", "retry_time")
OVERRIDABLE = (*_OF_RESOURCES, "partition", *_OF_ARRAYS, *_OF_RETRIES)
"""Options of a task that the configuration may set; `partition` is another word for `queue`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Override:
    """What one table says of a task."""

    table: str
    """The table as it is written in the file: `[tasks.align]`."""
    values: Mapping[str, Json]
    """By option, as users write them."""
    origins: Mapping[str, str]
    """By option, the file that says so."""


def table_name(task: str) -> str:
    """Write the head of a task's table; a name with other letters than TOML's own is quoted."""
    bare = task.isascii() and all(letter.isalnum() or letter in "_-" for letter in task)
    quoted = task if bare else '"' + task.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return f"[tasks.{quoted}]"


def unknown_option(name: str) -> str:
    """Say that a table has an option which it cannot have, and what was probably meant."""
    if meant := meant_option(name):
        return f"; did you mean {meant!r}?"
    return did_you_mean(name, OVERRIDABLE) or f"; there are {', '.join(OVERRIDABLE)}"


def read_override(option: str, value: Json) -> Any:
    """Check one value of a table and return it as a task has it.

    Raises `ParameterError` or `OptionError` for a value that cannot be used.
    """
    if option not in OVERRIDABLE:
        raise OptionError(f"there is no option {option!r} of tasks here{unknown_option(option)}")
    read = read_options({"array": True, option: value})
    field = "queue" if option == "partition" else option
    return getattr(read.resources if field in _OF_RESOURCES else read, field)


def overridden(spec: TaskSpec, overrides: Iterable[Override]) -> TaskSpec:
    """Return a task as the tables say, of which the last takes precedence.

    Raises `DefinitionError` where a table and the decorator do not go together. What is for array
    tasks only is left out of others, with a warning: a table may be for tasks of several flows.
    """
    for override in overrides:
        spec = _overridden(spec, override)
    return spec


def _overridden(spec: TaskSpec, override: Override) -> TaskSpec:
    resources: dict[str, Any] = {}
    options: dict[str, Any] = {}
    origins = dict(spec.overridden)
    for name, value in override.values.items():
        if name in _OF_ARRAYS and not spec.array:
            warnings.warn(
                f"{override.table}: {name} is ignored: {spec.name!r} is no array task",
                ReflowWarning,
                stacklevel=2,
            )
            continue
        field = "queue" if name == "partition" else name
        read = read_override(name, value)
        (resources if field in _OF_RESOURCES else options)[field] = read
        origins[field] = f"{override.table} in {override.origins[name]}"
    if "options" in resources:
        resources["options"] = _merged(spec.resources, resources["options"])
    changed = replace(
        spec, resources=replace(spec.resources, **resources), **options, overridden=origins
    )
    try:
        check_sharing(changed.per_job, changed.at_once, changed.resources.nodes)
    except DefinitionError as error:
        raise DefinitionError(
            f"task {spec.name!r} with what {override.table} says: {error}"
        ) from None
    return changed


def _merged(resources: Resources, other: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return the executors' options with others added or in their place."""
    merged = {executor: dict(extra) for executor, extra in resources.options.items()}
    for executor, extra in other.items():
        merged[executor] = {**merged.get(executor, {}), **extra}
    return merged


def configured(spec: TaskSpec) -> str:
    """Write what the configuration decides of a task: `mem=4G, time=00:10:00`."""
    return ", ".join(f"{option}={written(spec, option)}" for option in spec.overridden)


def configured_by_table(spec: TaskSpec) -> tuple[str, ...]:
    """Write what each table decides: `mem=4G, from [tasks.align] in /home/me/config.toml`."""
    told: dict[str, list[str]] = {}
    for option, origin in spec.overridden.items():
        told.setdefault(origin, []).append(f"{option}={written(spec, option)}")
    return tuple(f"{', '.join(values)}, from {origin}" for origin, values in told.items())


def written(spec: TaskSpec, option: str) -> str:
    """Write the value of an option as in a decorator."""
    resources = spec.resources
    if option == "mem" and resources.mem is not None:
        return memory_text(resources.mem)
    if option == "time" and resources.time is not None:
        return time_text(resources.time)
    return str(getattr(resources if hasattr(resources, option) else spec, option))
