"""The options of `@flow.job(...)`, and the values that they take."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from math import isfinite
from typing import TYPE_CHECKING, Any, TypedDict

from reflow.errors import DefinitionError, OptionError, ParameterError
from reflow.model.resources import Resources, parse_count, parse_memory, parse_name, parse_time
from reflow.model.tasks import FILES_MODES, Combination, FilesMode, PerJob, TaskOptions
from reflow.plugins.distributions import EXECUTOR_DISTRIBUTIONS, ExecutorDistribution
from reflow.suggest import did_you_mean

if TYPE_CHECKING:
    from reflow.wiring.markers import Step


class ArrayJobOptions(TypedDict, total=False):
    """Keywords of `array_job`."""

    name: str
    array_parallelism: int | None
    per_job: PerJob | None
    at_once: int | None
    cpus: int
    time: str | int | timedelta | None
    mem: str | int | None
    gpus: int
    nodes: int
    after: Step | Sequence[Step]
    version: str | int | None
    cache: bool
    verify: Callable[[Any], bool] | None
    files: FilesMode | None
    ignore: str | Sequence[str]
    retries: int
    retry_mem: float | None
    retry_time: float | None
    queue: str | None
    partition: str | None
    account: str | None
    options: Mapping[str, Mapping[str, Any]]


class JobOptions(ArrayJobOptions, total=False):
    """Keywords of `job`."""

    array: bool | Combination


def read_options(given: Mapping[str, Any]) -> TaskOptions:
    """Check the keywords of a decorator, except `name`.

    Raises `OptionError` for an unknown keyword, `ParameterError` for a value that cannot be
    used, `DefinitionError` for keywords that do not go together.
    """
    known = JobOptions.__annotations__
    for keyword in given:
        if keyword not in known:
            raise OptionError(f"unknown task option {keyword!r}{_meant(keyword, known)}")
    options = dict(given)
    array, combination = _array(options.get("array", False))
    parallelism = _optional(
        parse_count, "array_parallelism", options.get("array_parallelism"), least=1
    )
    per_job = _optional(_per_job, "per_job", options.get("per_job"))
    at_once = _optional(parse_count, "at_once", options.get("at_once"), least=1)
    shared = {"array_parallelism": parallelism, "per_job": per_job, "at_once": at_once}
    for keyword, value in shared.items():
        if value is not None and not array:
            raise DefinitionError(f"{keyword} is for array tasks: add array=True")
    check_sharing(per_job, at_once, options.get("nodes", 1))
    return TaskOptions(
        array=array,
        combination=combination,
        array_parallelism=parallelism,
        per_job=per_job,
        at_once=at_once,
        resources=_resources(options),
        after=_task_names(options.get("after", ())),
        version=_version(options.get("version")),
        cache=_truth("cache", options.get("cache", True)),
        verify=_check(options.get("verify")),
        files=_optional(_files_mode, "files", options.get("files")),
        ignore=_ignored(options.get("ignore", ())),
        retries=parse_count("retries", options.get("retries", 0), least=0),
        retry_mem=_optional(_factor, "retry_mem", options.get("retry_mem")),
        retry_time=_optional(_factor, "retry_time", options.get("retry_time")),
    )


def check_sharing(per_job: PerJob | None, at_once: int | None, nodes: object) -> None:
    """Raise `DefinitionError` where elements cannot share jobs in the way that a task says."""
    if isinstance(per_job, int) and (at_once or 1) > per_job:
        raise DefinitionError(
            f"at_once={at_once} elements cannot run in a job of per_job={per_job}: "
            f"write per_job={at_once} or more"
        )
    if (per_job or at_once) and nodes != 1:
        raise DefinitionError("elements of several nodes cannot share a job: leave out per_job")


_OTHER_WORDS = {
    "retry": "retries",
    "max_retries": "retries",
    "memory": "mem",
    "walltime": "time",
    "timeout": "time",
    "time_limit": "time",
    "gpu": "gpus",
    "chunksize": "per_job",
    "batch_size": "per_job",
    "group_size": "per_job",
    "cores": "cpus",
    "ncpus": "cpus",
    "threads": "cpus",
    "depends_on": "after",
    "dependency": "after",
}
"""Names of our options in other programs."""


def meant_option(word: str) -> str | None:
    """Return our name of an option that has another name in other programs."""
    return _OTHER_WORDS.get(word)


def _meant(keyword: str, known: Iterable[str]) -> str:
    """Return what to write in place of an unknown keyword, which may be a scheduler's option."""
    ours = meant_option(keyword)
    near = f"; did you mean {ours!r}?" if ours else did_you_mean(keyword, known)
    schedulers = [item.executor for item in EXECUTOR_DISTRIBUTIONS if _is_installed(item)]
    name = schedulers[0] if schedulers else EXECUTOR_DISTRIBUTIONS[0].executor
    written = f"options={{{name!r}: {{{keyword!r}: ...}}}}"
    return (
        f"{near or ''}{' If' if near else '; if'} it is a scheduler's own option, write {written}"
    )


def _is_installed(item: ExecutorDistribution) -> bool:
    return importlib.util.find_spec(item.distribution.replace("-", "_")) is not None


def _resources(options: Mapping[str, Any]) -> Resources:
    if options.get("queue") is not None and options.get("partition") is not None:
        raise OptionError("queue and partition are two words for one thing: give one of them")
    time, mem = options.get("time"), options.get("mem")
    word = "partition" if options.get("queue") is None else "queue"
    return Resources(
        cpus=parse_count("cpus", options.get("cpus", 1), least=1),
        time=None if time is None else parse_time(time),
        mem=None if mem is None else parse_memory(mem),
        gpus=parse_count("gpus", options.get("gpus", 0), least=0),
        nodes=parse_count("nodes", options.get("nodes", 1), least=1),
        queue=_optional(parse_name, word, options.get(word)),
        account=_optional(parse_name, "account", options.get("account")),
        options=_executor_options(options.get("options", {})),
    )


def _optional(check: Callable[..., Any], keyword: str, value: object, **limits: Any) -> Any:
    return None if value is None else check(keyword, value, **limits)


def _per_job(keyword: str, value: object) -> PerJob:
    if value == "auto":
        return "auto"
    if isinstance(value, str):
        raise ParameterError(f"{keyword}={value!r}: write 'auto' or a whole number of at least 1")
    return parse_count(keyword, value, least=1)


def _factor(keyword: str, value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not 1 <= value < 1000:
        raise ParameterError(f"{keyword}={value!r}: write a factor of at least 1, such as 2.0")
    return float(value)


def _truth(keyword: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise ParameterError(f"{keyword}={value!r}: write True or False")
    return value


def _array(value: object) -> tuple[bool, Combination]:
    """Return whether a task is an array task, and how it goes through several lists."""
    if value == "zip" or value == "product":
        return True, value
    if not isinstance(value, bool):
        raise ParameterError(
            f"array={value!r}: write True or False, or for several lists 'zip' or 'product'"
        )
    return value, "zip"


def _files_mode(keyword: str, value: object) -> FilesMode:
    if value not in FILES_MODES:
        raise ParameterError(f"{keyword}={value!r}: write {' or '.join(map(repr, FILES_MODES))}")
    return value


def _version(value: object) -> str | None:
    if value is None or (isinstance(value, str) and value):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise ParameterError(f"version={value!r}: write a text or a whole number, such as '2'")


def _check(value: object) -> Callable[[Any], bool] | None:
    if value is not None and not callable(value):
        raise ParameterError(
            f"verify={value!r}: give a function that takes the cached result and returns "
            "True or False"
        )
    return value


def _task_names(value: object) -> tuple[str, ...]:
    """Return names, or in place of a name the task's function, until the flow is known."""
    names = value if isinstance(value, list | tuple) else (value,)
    if all(isinstance(name, str) or callable(name) for name in names):
        return tuple(dict.fromkeys(names))
    raise ParameterError(
        f"after={value!r}: write the name of a task, or a list of names, such as after='prepare'"
    )


def _ignored(value: object) -> tuple[str, ...]:
    names = (value,) if isinstance(value, str) else value
    if isinstance(names, list | tuple) and all(map(_is_dotted_name, names)):
        return tuple(dict.fromkeys(names))
    raise ParameterError(
        f"ignore={value!r}: write names of your modules' variables, such as ignore=['SCRATCH']"
    )


def _is_dotted_name(name: object) -> bool:
    return isinstance(name, str) and all(part.isidentifier() for part in name.split("."))


def _executor_options(value: object) -> Mapping[str, Mapping[str, Any]]:
    if not isinstance(value, Mapping) or not all(
        isinstance(name, str) and isinstance(extra, Mapping) for name, extra in value.items()
    ):
        raise ParameterError(
            f"options={value!r}: write them by executor, such as {{'NAME': {{'option': 'value'}}}}"
        )
    for executor, extra in value.items():
        for key, item in extra.items():
            if not isinstance(key, str) or not _plain(item):
                raise ParameterError(
                    f"options={{{executor!r}: ...}}: {key!r}: {item!r} must be a text, a number, "
                    "True, False, None, or a list of those"
                )
    return {
        executor: {
            key: list(item) if isinstance(item, tuple) else item for key, item in extra.items()
        }
        for executor, extra in value.items()
    }


def _plain(item: object) -> bool:
    parts = item if isinstance(item, list | tuple) else [item]
    return all(
        part is None or isinstance(part, str | int) or (isinstance(part, float) and isfinite(part))
        for part in parts
    )
