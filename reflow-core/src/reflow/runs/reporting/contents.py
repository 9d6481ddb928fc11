"""What a report of a run holds.

`as_json` of a report is what `report --json` prints: fields are added to it, and never renamed.
Times are ISO 8601 in UTC, durations are seconds, sizes bytes, and shares 1 for all of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from reflow.model.fields import as_json
from reflow.model.graph import Graph
from reflow.model.json import Json
from reflow.runs.reporting.provenance import Provenance

VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Histogram:
    """How often values lie between neighbouring edges."""

    edges: tuple[float, ...]
    """One more than there are counts; equal steps, or equal factors where `scale` is `log`."""
    counts: tuple[int, ...]
    scale: str = "linear"


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """The distribution of a measurement."""

    count: int
    min: float
    q1: float
    median: float
    q3: float
    p95: float
    max: float
    mean: float
    sum: float
    histogram: Histogram | None = None
    """None where it is of no use: for a single value, and for shares."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The run as a whole."""

    run_id: str
    workflow: str
    state: str
    message: str
    tags: tuple[str, ...]
    user: str
    uid: int | None
    host: str
    """Where it was submitted; empty where that was not recorded."""
    run_dir: str
    executor: str
    created_at: str
    finished_at: str | None
    seconds: float
    """From its submission to its end, or until now."""
    busy_seconds: float
    """How long at least one element was running, of tries that have ended."""
    waiting_seconds: float
    """How long none was running, and at least one had been submitted and had not begun."""
    element_seconds: float
    """The durations of all tries, added up."""
    cpu_seconds: float
    """The processor time of all tries, added up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a task asks for, for one element; None leaves it to the site."""

    cpus: int
    mem: int | None
    time: float | None
    gpus: int
    nodes: int
    queue: str | None
    account: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskReport:
    """One task. All but waiting is measured on tries that succeeded."""

    name: str
    array: bool
    state: str
    size: int | None
    """The number of elements; None while it is not known."""
    counts: Mapping[str, int]
    """Elements by state."""
    cached: int
    """Elements whose result came from earlier runs."""
    cached_from: Mapping[str, int]
    """By the id of those runs, the one of most elements first."""
    retries: int
    asked: Asked | None
    """None where the run directory is gone."""
    duration: Distribution | None
    waiting: Distribution | None
    """From submission to beginning, of all tries that began."""
    peak_memory: Distribution | None
    cpu: Distribution | None
    """Processor time by duration: how many processors were busy on average."""
    duration_share: Distribution | None
    """The duration as a share of the time limit, with what retries asked for."""
    memory_share: Distribution | None
    """The peak memory as a share of what was asked for, with what retries asked for."""
    cpu_share: Distribution | None
    """The busy processors as a share of those asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A try on the time axis, which begins with the run."""

    task: str
    index: int
    attempt: int
    state: str
    host: str
    submitted: float | None
    start: float
    end: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """What ran when. Times are seconds since the run was created."""

    seconds: float
    """How long the time axis is."""
    bars: tuple[Bar, ...] | None
    """Every try, in order of its start; None where there are too many to be told apart."""
    bin_seconds: float
    tasks: Mapping[str, tuple[float, ...]]
    """By task, the mean number of running elements in each bin."""
    hosts: Mapping[str, tuple[float, ...]]
    """The same by host, those of most work first."""
    hosts_in_all: int
    waiting: tuple[float, ...]
    """The mean number of elements that waited, in each bin."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureGroup:
    """Tries of a task that failed alike: with one cause, and messages alike but for numbers."""

    task: str
    array: bool
    cause: str
    message: str
    """That of the first."""
    attempts: int
    """How many tries failed so."""
    elements: int
    """How many elements have not succeeded since."""
    indices: tuple[tuple[int, int], ...]
    """Those of the tries: the first and the last of each range, of some ranges at most."""
    index: int
    """The index of the first, and its try."""
    attempt: int
    host: str
    native_id: str
    log: str
    """The log of the first, relative to the run directory; empty where there is none."""
    tail: str
    """The last lines of that log; empty where it cannot be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptRow:
    """One try in the table of tries."""

    task: str
    array: bool
    index: int
    attempt: int
    state: str
    cause: str
    error: str
    host: str
    native_id: str
    started_at: str | None
    waiting: float | None
    seconds: float | None
    peak_memory: int | None
    cpu_seconds: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterReport:
    """A parameter of the run."""

    name: str
    value: Json
    """None where it is hidden."""
    hidden: bool = False
    """Whether it is left out, as its name says that it is a secret."""
    changed: bool = False
    """Whether the last run had another value."""
    previous: Json = None
    """The value that the last run had, if it is another one and not hidden."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceChange:
    """A piece of the source that differs from that of the last run."""

    file: str
    name: str
    kind: str
    """`function`, `class`, `value` and so on, as the source record has it."""
    change: str
    """`changed`, `added` or `removed`."""
    before: str
    """What its value was; empty for code."""
    now: str
    tasks: tuple[str, ...]
    """The tasks that it counts for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceReport:
    """The source of the run, beside that of the last run of its workflow."""

    digests: Mapping[str, str]
    """By task, the digest of its source, or the version that its author gave."""
    compared_with: str | None
    """The id of the last run whose source could be read; None where there is none."""
    changed_tasks: tuple[str, ...]
    """Tasks whose source is another, or that the last run did not have."""
    changes: tuple[SourceChange, ...]
    changes_in_all: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """A line of the graph: what a task gets from another, or waits for."""

    source: str
    target: str
    argument: str | None
    """None for a task that is only waited for."""
    mode: str
    """How values travel: `direct`, `fan-out`, `after` and so on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunReport:
    """All that a report tells of a run."""

    version: int = VERSION
    made_at: str
    reflow: str
    """The version of reflow that made the report."""
    run: Head
    edges: tuple[Edge, ...]
    tasks: tuple[TaskReport, ...]
    timeline: Timeline | None
    """None where nothing has run."""
    failures: tuple[FailureGroup, ...]
    failed_attempts: int
    """Tries that failed, those of groups that are left out among them."""
    attempts: tuple[AttemptRow, ...]
    """All tries; where there are too many, those that failed and took longest."""
    attempts_in_all: int
    parameters: tuple[ParameterReport, ...]
    source: SourceReport | None
    """None where the run directory has none that can be read."""
    provenance: Provenance | None
    """What the run was submitted with; None where that was not recorded."""
    notes: tuple[str, ...]
    graph: Graph = field(repr=False)
    """For drawings; JSON has the edges instead."""

    def as_json(self) -> dict[str, Json]:
        """Return the report as JSON, by its fields."""
        names = [name for name in self.__dataclass_fields__ if name != "graph"]
        return {name: as_json(getattr(self, name)) for name in names}
