"""The user's configuration: its keys, their defaults, and loading it.

Arguments take precedence over environment variables, these over the configuration file, and that
over defaults. Every key is a field of one of the classes below and declared nowhere else: the
loader, the commented file, the command line and the documentation read type, default, help and
environment variable from there.
"""

from __future__ import annotations

import json
import os
import re
import typing
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import MISSING, dataclass, field, fields, is_dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

from reflow.config.task_tables import flat_tasks, overrides_of, unused_tables, with_option
from reflow.config.values import accepts, expected, from_text
from reflow.errors import ConfigError, ParameterError, ReflowWarning
from reflow.model.json import Json
from reflow.model.pilots import Pilots, parse_idle, parse_pilot_memory
from reflow.model.resources import Resources, parse_memory, parse_time
from reflow.model.tasks import FilesMode, PerJob, TaskSpec
from reflow.suggest import did_you_mean

if TYPE_CHECKING:
    from reflow.executors.contract import Executor

PATH_VARIABLE = "REFLOW_CONFIG"
"""The environment variable that names another configuration file than the default one."""

_T = TypeVar("_T")


def default_store_url() -> str:
    """Return the URL of the manifest in the user's state folder."""
    from platformdirs import user_state_path

    return f"sqlite://{user_state_path('reflow') / 'manifest.db'}"


def _key(
    default: Any = MISSING,
    help: str = "",
    *,
    default_factory: Any = MISSING,
    env: str | None = None,
    example: Json = None,
    shown: str = "",
    check: Callable[[Any], object] | None = None,
) -> Any:
    """Declare a key; `example` is for the commented file, `shown` describes the default."""
    metadata = {"help": help, "env": env, "example": example, "shown": shown, "check": check}
    if default_factory is not MISSING:
        return field(default_factory=default_factory, metadata=metadata)
    return field(default=default, metadata=metadata)


def _not_negative(value: float) -> None:
    if value < 0:
        raise ParameterError(f"{value!r} is negative; give 0 or more")


def _one_of(*words: str) -> Callable[[str], None]:
    def check(value: str) -> None:
        if value not in words:
            raise ParameterError(f"{value!r} is none of {', '.join(words)}")

    return check


def _positive(value: float) -> None:
    if value <= 0:
        raise ParameterError(f"{value!r} is not greater than zero")


def _auto_or_positive(value: PerJob) -> None:
    if value != "auto":
        _positive(value)


def _memory_or_none(value: str | int) -> int | None:
    return None if value in (0, "0") else parse_memory(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutorSettings:
    """The executor to use, and the settings of each."""

    name: str | None = _key(
        None,
        "The executor to use if none is named. Without it: the one whose commands are found, else"
        " `local`.",
        env="REFLOW_EXECUTOR",
        example="local",
    )
    settings: Mapping[str, Mapping[str, Json]] = field(default_factory=dict)
    """By executor name, the keyword arguments of its constructor: the tables `[executor.NAME]`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreSettings:
    """Where the manifest is."""

    url: str = _key(
        default_factory=default_store_url,
        help="The manifest database: `sqlite:///FILE`, a path, `postgresql://...`, or a scheme of "
        "a plugin.",
        env="REFLOW_STORE",
        example="postgresql://reflow@db.example.org/reflow",
        shown="`manifest.db` in the user's state folder",
    )
    requests: str = _key(
        "own",
        "Where several users share a database: who may cancel and retry your runs, `own` (you "
        "alone) or `all`.",
        check=_one_of("own", "all"),
    )
    share: str = _key(
        "own",
        "Where several users share a database: whose results your runs use again, `own` (yours "
        "alone) or `all`.",
        check=_one_of("own", "all"),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceDefaults:
    """The resources of tasks that set none of their own."""

    queue: str | None = _key(None, "Queue or partition.", example="compute")
    account: str | None = _key(None, "Account or project that is charged.", example="ab1234")
    time: str | int | None = _key(
        None,
        "Time limit: `HH:MM:SS`, `D-HH:MM:SS` or whole minutes.",
        example="01:00:00",
        check=parse_time,
    )
    mem: str | int | None = _key(
        None,
        "Memory per node: `4G`, `512M` or bytes.",
        example="4G",
        check=parse_memory,
    )

    per_job: PerJob | None = _key(  # noqa: RUF009
        None,
        "How many elements of an array share a job: a number, or `auto` for what their durations "
        "suggest. Without it, each has a job of its own.",
        example="auto",
        check=_auto_or_positive,
    )
    at_once: int = _key(
        1, "How many elements that share a job run in it at the same time.", check=_positive
    )

    def fill(self, resources: Resources) -> Resources:
        """Return the request with these limits where it has none.

        Queue and account are left to the executor, whose own take precedence over these.
        """
        return replace(
            resources,
            time=resources.time or (None if self.time is None else parse_time(self.time)),
            mem=resources.mem or (None if self.mem is None else parse_memory(self.mem)),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DispatchSettings:
    """How a submitted run is dispatched."""

    follow_up: bool = _key(
        True, "Submit with every wave a dispatch job that starts when the wave is over."
    )
    last_worker: bool = _key(
        True,
        "Let the last worker of a wave dispatch. Needs compute nodes that may submit jobs, and "
        "tasks that ask for 256 MiB of memory or leave that to the site.",
    )
    watchdog: bool = _key(
        True, "Keep a dispatch job in the queue that starts later, in case all else is lost."
    )
    watchdog_minutes: float = _key(
        10,
        "Minutes until the first watchdog starts; doubles up to a sixth of outage_hours.",
        check=_positive,
    )
    outage_hours: float = _key(
        6,
        "Hours of outage that a run survives: further watchdogs start later than that.",
        check=_positive,
    )
    queue: str | None = _key(
        None, "Queue of dispatch jobs; without it, that of tasks.", example="short"
    )
    account: str | None = _key(
        None, "Account of dispatch jobs; without it, that of tasks.", example="ab1234"
    )
    time: str | int = _key("01:00:00", "Time limit of a dispatch job.", check=parse_time)
    mem: str | int = _key(
        "1G",
        "Memory of a dispatch job; 0 asks for none, where jobs may not.",
        check=_memory_or_none,
    )
    lease_seconds: float = _key(
        60, "Seconds without a heartbeat after which a dispatcher is replaced.", check=_positive
    )
    grace_seconds: float = _key(
        90,
        "Seconds for which reflow waits for the result of a job that the scheduler no longer "
        "knows, before the job is lost.",
        check=_not_negative,
    )
    impossible_minutes: float = _key(
        1440,
        "Minutes after which a job fails that can never start, as the scheduler says.",
        check=_not_negative,
    )

    @property
    def resources(self) -> Resources:
        """The resources of a dispatch job."""
        return Resources(
            queue=self.queue,
            account=self.account,
            time=parse_time(self.time),
            mem=_memory_or_none(self.mem),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PilotSettings:
    """The jobs that run a whole run."""

    jobs: int | None = _key(
        None,
        "How many jobs run a whole run: `--pilots`. Without it, or with 0, tasks have jobs of "
        "their own.",
        example=4,
        check=_not_negative,
    )
    cpus: int | None = _key(
        None,
        "CPUs of each pilot; without it, 1, or those of the node with `nodes`.",
        example=32,
        check=_positive,
    )
    mem: str | int | None = _key(
        None,
        "Memory of each pilot: `120G`; without it, the site's, or the node's with `nodes`.",
        example="120G",
        check=parse_pilot_memory,
    )
    gpus: int = _key(0, "GPUs of each pilot.", check=_not_negative)
    time: str | int | None = _key(
        None,
        "Time limit of each pilot: `HH:MM:SS`, `D-HH:MM:SS` or whole minutes.",
        example="08:00:00",
        check=parse_time,
    )
    idle: str | int = _key(
        "10m", "How long a pilot without work waits for more: `90s`, `10m`, `1h`.", check=parse_idle
    )
    nodes: Literal["whole"] | None = _key(
        None, "`whole`: each pilot has its node for itself.", example="whole"
    )
    queue: str | None = _key(None, "Queue of pilots; without it, that of tasks.", example="compute")
    account: str | None = _key(
        None, "Account of pilots; without it, that of tasks.", example="ab1234"
    )

    def pilots(self, other: Mapping[str, Any] | None = None) -> Pilots | None:
        """Return the pilots with other values of some keys; None where there are to be none.

        Raises `ParameterError` for a value that cannot be used.
        """
        own = {each.name: getattr(self, each.name) for each in fields(self)}
        values = {**own, **(other or {})}
        if not values["jobs"]:
            return None
        return Pilots(**{key: value for key, value in values.items() if value is not None})


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheSettings:
    """Reuse of results."""

    reuse: bool = _key(True, "Reuse results; false is `--force` always.")
    verify: bool = _key(False, "Ask the tasks' own checks before results are reused: `--verify`.")
    files: FilesMode = _key(  # noqa: RUF009
        "stat",
        "How files and folders count: `stat` by size and modification time, `content` by content,"
        " `exists` by existence: `--files`.",
    )
    ignore: tuple[str, ...] = _key(
        (),
        "What does not count inside folders: patterns of names or, with a slash, of paths.",
        example=["*.lock", "tmp/*"],
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class FilesSettings:
    """How workers wait for files."""

    latency: float = _key(
        5,
        "Seconds that a worker waits for a file that its host does not see yet, or sees in an "
        "older state.",
        check=_not_negative,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceSettings:
    """Which modules count as the user's own code."""

    own: tuple[str, ...] = _key(
        (),
        "Folders whose modules count as your own code, wherever they are.",
        example=["/shared/group/lib"],
    )
    foreign: tuple[str, ...] = _key(
        (),
        "Folders whose modules do not count as your own code, such as the site's software in a "
        "folder that you may write to. Of nested folders the innermost decides.",
        example=["~/opt"],
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The effective settings. `load_config()` reads them; `Config()` is all defaults."""

    run_root: str = _key("runs", "Folder for runs that are started without a run directory.")
    setup: tuple[str, ...] = _key(
        (),
        "Shell lines that jobs run before the work, such as `module load` or the activation of an"
        " environment.",
        example=["module load python"],
    )
    max_submit_jobs: int | None = _key(
        None,
        "Most jobs of yours in the queue at once; each array element counts. Without it: the "
        "scheduler's limit.",
        example=300,
        check=_positive,
    )
    executor: ExecutorSettings = ExecutorSettings()
    store: StoreSettings = field(default_factory=StoreSettings)
    defaults: ResourceDefaults = ResourceDefaults()
    dispatch: DispatchSettings = DispatchSettings()
    pilots: PilotSettings = PilotSettings()
    cache: CacheSettings = CacheSettings()
    source: SourceSettings = SourceSettings()
    files: FilesSettings = FilesSettings()
    tasks: Mapping[str, Mapping[str, Json]] = field(default_factory=dict)
    """By the name of a task, or `WORKFLOW.TASK`, options in place of its own: `[tasks.NAME]`."""
    origins: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)
    """The origin of each key's value; keys that are absent have their default."""

    def as_dict(self) -> dict[str, Json]:
        """Return every effective setting as JSON, nested as in the file."""
        document: dict[str, Any] = {}
        for key in keys():
            _put(document, key.name, plain(key.of(self)))
        for name, table in self.executor.settings.items():
            document["executor"][name] = dict(table)
        if self.tasks:
            document["tasks"] = {name: dict(table) for name, table in self.tasks.items()}
        return document

    @classmethod
    def from_dict(cls, data: Mapping[str, Json], origin: str = "given from Python") -> Config:
        """Build the configuration from the output of `as_dict` or the tables of a file.

        Raises `ConfigError` for a value of the wrong type; an unknown key is a `ReflowWarning`.
        """
        return cls().with_values(_flat(data, origin), origin)

    def with_values(self, values: Mapping[str, Any], origin: str = "given from Python") -> Config:
        """Return a copy with other values, by key: `{"store.url": ..., "executor.local.slots": 4}`.

        Raises `ConfigError` for an unknown key or a value of the wrong type.
        """
        changed = self
        for name, value in values.items():
            changed = changed._with_value(name, value, origin)
        origins = {**self.origins, **dict.fromkeys(values, origin)}
        return replace(changed, origins=origins)

    def _with_value(self, name: str, value: Any, origin: str) -> Config:
        section, _, rest = name.partition(".")
        if section == "executor" and "." in rest:
            executor, _, setting = rest.partition(".")
            tables = {each: dict(table) for each, table in self.executor.settings.items()}
            tables.setdefault(executor, {})[setting] = value
            return replace(self, executor=replace(self.executor, settings=tables))
        if section == "tasks" and "." in rest:
            return replace(self, tasks=with_option(self.tasks, name, value, origin))
        known = {key.name: key for key in keys()}
        if name not in known:
            raise ConfigError(f"{origin}: there is no key {name!r}{did_you_mean(name, known)}")
        value = known[name].checked(value, origin)
        if not rest:
            return replace(self, **{name: value})
        return replace(self, **{section: replace(getattr(self, section), **{rest: value})})

    def origin(self, name: str) -> str:
        """Return where the value of a key came from."""
        return self.origins.get(name, "default")

    def overridden(self, workflow: str, specs: Iterable[TaskSpec]) -> list[TaskSpec]:
        """Return tasks of a workflow as their tables `[tasks.NAME]` say.

        A table for a task of one workflow, `[tasks."WORKFLOW.NAME"]`, takes precedence over that
        for tasks of a name; where that workflow has no such task, this is a warning. Raises
        `DefinitionError` where table and decorator do not go together.
        """
        if not self.tasks:
            return list(specs)
        from reflow.wiring.overrides import overridden

        specs = list(specs)
        for message in unused_tables(self.tasks, workflow, [spec.name for spec in specs]):
            warnings.warn(message, ReflowWarning, stacklevel=3)
        return [
            overridden(spec, overrides_of(self.tasks, workflow, spec.name, self.origin))
            for spec in specs
        ]

    def make_executor(self, name: str | None = None) -> Executor:
        """Make the executor of that name, or the one to use when none is named.

        `setup`, `max_submit_jobs`, the default queue and account, and the folder of templates are
        given to executors that have such settings, unless their own table sets them. Raises what
        `Registry.choose_executor` and `Registry.make_executor` raise.
        """
        from reflow.plugins.registry import registry

        chosen = name or registry().choose_executor(self.executor.name)
        shared = {
            "setup": list(self.setup),
            "max_submit_jobs": self.max_submit_jobs,
            "queue": self.defaults.queue,
            "account": self.defaults.account,
            "templates": site_templates(),
        }
        return registry().make_executor(
            chosen,
            self.executor.settings.get(chosen, {}),
            {key: value for key, value in shared.items() if value},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A key of the configuration, as its field declares it."""

    name: str
    """The name with its section: `dispatch.grace_seconds`."""
    annotation: Any
    env: str
    help: str
    example: Json
    """What the commented file shows; the default where there is one."""
    shown: str
    """The default as shown to users."""
    check: Callable[[Any], object] | None

    def of(self, config: Config) -> Any:
        """Return the key's value in a configuration."""
        value: Any = config
        for part in self.name.split("."):
            value = getattr(value, part)
        return value

    def checked(self, value: Any, origin: str) -> Any:
        """Check and convert a value. Raises `ConfigError` where it does not fit."""
        if not accepts(self.annotation, value):
            raise ConfigError(
                f"{origin}: {self.name} must be {expected(self.annotation)}, not {value!r}"
            )
        if self.check is not None and value is not None:
            try:
                self.check(value)
            except ParameterError as error:
                raise ConfigError(f"{origin}: {self.name}: {error}") from None
        return tuple(value) if isinstance(value, list) else value


@cache
def keys() -> tuple[Key, ...]:
    """Return every key of the core, in the order of the file."""
    return tuple(_keys_of(Config, ""))


def _keys_of(section: type, prefix: str) -> Iterator[Key]:
    hints = typing.get_type_hints(section)
    for item in fields(cast(Any, section)):
        name, annotation = f"{prefix}{item.name}", hints[item.name]
        if is_dataclass(annotation):
            yield from _keys_of(cast(type, annotation), f"{name}.")
        elif item.metadata:
            default = None if item.default is MISSING else plain(item.default)
            example = item.metadata["example"]
            yield Key(
                name=name,
                annotation=annotation,
                env=item.metadata["env"] or "REFLOW_" + name.replace(".", "_").upper(),
                help=item.metadata["help"],
                example=default if example is None else example,
                shown=item.metadata["shown"] or ("" if default is None else f"`{toml(default)}`"),
                check=item.metadata["check"],
            )


def site_templates() -> str | None:
    """Return the folder of the site's or user's job templates beside the file; None without one."""
    folder = config_path().absolute().parent / "templates"
    return str(folder) if folder.is_dir() else None


def config_path() -> Path:
    """Return where the configuration file is looked for."""
    if chosen := os.environ.get(PATH_VARIABLE):
        return Path(chosen).expanduser()
    from platformdirs import user_config_path

    return user_config_path("reflow") / "config.toml"


def load_config(path: str | Path | None = None) -> Config:
    """Load the effective configuration: defaults, then the file, then the environment.

    `path` names a file to use instead of the user's own (which need not exist). Raises
    `ConfigError` for a file that cannot be read and for values that do not fit; unknown keys are a
    `ReflowWarning`.
    """
    named = path is not None or bool(os.environ.get(PATH_VARIABLE))
    file = Path(path).expanduser() if path is not None else config_path()
    config = Config()
    if named or file.exists():
        config = config.with_values(_flat(_read(file), str(file)), str(file))
    for key in keys():
        if text := os.environ.get(key.env):
            value = from_text(key.annotation, text)
            config = config.with_values({key.name: value}, f"the variable {key.env}")
    for variable, (executor, setting) in _executor_variables(config).items():
        name = f"executor.{executor}.{setting}"
        config = config.with_values({name: os.environ[variable]}, f"the variable {variable}")
    return config


def _executor_variables(config: Config) -> dict[str, tuple[str, str]]:
    """Return variables such as `REFLOW_EXECUTOR_LOCAL_SLOTS` with their executor and setting."""
    prefix = "REFLOW_EXECUTOR_"
    found = {}
    for variable, text in os.environ.items():
        if variable.startswith(prefix) and text:
            executor, _, setting = variable.removeprefix(prefix).lower().partition("_")
            if setting:
                found[variable] = (executor, setting)
    return found


def _read(file: Path) -> dict[str, Any]:
    import tomllib

    try:
        text = file.read_bytes().decode("utf-8")
    except OSError as error:
        raise ConfigError(f"cannot read the configuration {file}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise ConfigError(
            f"{file}, line {line}: the file is not UTF-8 text; save it as UTF-8"
        ) from None
    try:
        # TOML has types that JSON lacks, such as the time 01:00:00 without quotes.
        document: dict[str, Any] = json.loads(json.dumps(tomllib.loads(text), default=str))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(_toml_problem(file, text, str(error))) from None
    return document


def _toml_problem(file: Path, text: str, message: str) -> str:
    place = re.search(r" \(at (?:line (\d+), column \d+|end of document)\)", message)
    line = (place and place[1]) or text.count("\n") + 1
    reason = message[: place.start()] if place else message
    if re.search(r"^\s*executor\s*=", text, re.M) and re.search(r"^\s*\[executor\b", text, re.M):
        reason += "; beside [executor.NAME] tables, write `name = ...` under [executor]"
    return f"{file}, line {line}: {reason[:1].lower()}{reason[1:]}"


_SHORT = {"executor": "name", "store": "url"}
"""Sections that may be written as one value: `executor = "local"`."""


def _flat(data: Mapping[str, Any], origin: str) -> dict[str, Any]:
    """Return the keys and values in the tables of a file; warn about unknown ones."""
    known = [key.name for key in keys()]
    sections = {name.partition(".")[0] for name in known if "." in name} | {"tasks"}
    flat: dict[str, Any] = {}
    for section, content in data.items():
        if section == "tasks" and isinstance(content, Mapping):
            flat.update(flat_tasks(content, origin))
        elif section in _SHORT and isinstance(content, str):
            flat[f"{section}.{_SHORT[section]}"] = content
        elif section in sections and not isinstance(content, Mapping):
            raise ConfigError(
                f"{origin}: {section} must be a table: write its keys below [{section}]"
            )
        elif section in sections:
            for name, value in content.items():
                if section == "executor" and isinstance(value, Mapping):
                    flat.update({f"executor.{name}.{key}": each for key, each in value.items()})
                else:
                    flat[f"{section}.{name}"] = value
        else:
            flat[section] = content
    for name in [name for name in flat if name not in known and name.count(".") < 2]:
        warnings.warn(
            f"{origin}: the key {name!r} is ignored: there is no such key"
            f"{did_you_mean(name, [*known, *sections])}",
            ReflowWarning,
            stacklevel=4,
        )
        del flat[name]
    return flat


def _put(document: dict[str, Any], name: str, value: Json) -> None:
    section, _, rest = name.partition(".")
    if rest:
        document.setdefault(section, {})[rest] = value
    else:
        document[section] = value


def plain(value: Any) -> Any:
    """Convert a value to the types of JSON and TOML."""
    return list(value) if isinstance(value, tuple) else value


def toml(value: Json) -> str:
    """Write a plain value as TOML."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key} = {toml(each)}" for key, each in value.items()) + "}"
    # For text, numbers, booleans and lists of them, JSON is TOML.
    return json.dumps(value, ensure_ascii=False)
