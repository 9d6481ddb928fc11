"""The tables, bound to no database: every store runs its queries on its own connection.

Times are whole microseconds since the epoch; states and kinds are stored as their names.
"""

from __future__ import annotations

from reflow.stores.orm import (
    BigInt,
    Index,
    Int,
    Key,
    Real,
    Table,
    Text,
    default,
    expression,
    literal,
)

SCHEMA_TABLE = "reflow_schema"
"""The name of the table by which a database is known to be a manifest."""


class Schema(Table):
    """The version of the tables; one row."""

    version = Int()

    class Meta:  # noqa: D106
        table_name = SCHEMA_TABLE
        primary_key = False


class Run(Table):
    """A run and its lease."""

    id = Key()
    run_id = Text(unique=True)
    workflow = Text()
    state = Text()
    run_dir = Text()
    created_at = BigInt(index=True)
    finished_at = BigInt(null=True)
    executor = Text()
    parameters = Text()
    message = Text()
    epoch = Int()
    heartbeat = BigInt()
    wakeup = Int()
    owner = Text(null=True)
    uid = BigInt(null=True)
    lineage = Text(constraints=[default("")])
    place = Text(constraints=[default("")])
    tags = Text(constraints=[default("[]")])
    cleaned_at = BigInt(null=True)
    extent = Text(null=True)
    cleaning = Int(constraints=[default(0)])

    class Meta:  # noqa: D106
        table_name = "reflow_run"


class Task(Table):
    """A task of a run."""

    id = Key()
    run = BigInt()
    ordinal = Int()
    name = Text()
    array = Int()
    size = BigInt(null=True)
    state = Text(null=True)

    class Meta:  # noqa: D106
        table_name = "reflow_task"
        indexes = ((("run", "ordinal"), True), (("run", "name"), True))


class Instance(Table):
    """An instance, and what its last attempt ended with.

    Columns that may be long stand last, so that SQLite need not read them to reach the others.
    """

    id = Key()
    """Also the key of its output."""
    task = BigInt()
    idx = BigInt()
    state = Text()
    attempt = Int()
    retries_used = Int()
    node_losses = Int()
    wave = Int(null=True)
    position = BigInt(null=True)
    identity = Text(null=True)
    source = BigInt(null=True)
    cause = Text(null=True)
    native_id = Text()
    mem_scale = Real()
    time_scale = Real()
    missing_since = Real(null=True)
    not_before = Real(null=True)
    reusable = Int(constraints=[default(0)])
    bound_dir = Text(null=True)
    host = Text(constraints=[default("")])
    log = Text(constraints=[default("")])
    started_at = Real(null=True)
    ended_at = Real(null=True)
    peak_memory = BigInt(null=True)
    cpu_time = Real(null=True)
    recorded_at = BigInt(null=True)
    """When the outcome was recorded."""
    error = Text()
    paths = Text(null=True)
    traceback = Text(constraints=[default("")])
    output = Text(null=True)

    class Meta:  # noqa: D106
        table_name = "reflow_instance"
        indexes = ((("task", "idx"), True), (("task", "state", "idx"), False))


class Attempt(Table):
    """A try of an instance that did not succeed, or whose result was given up since.

    The last success of an instance stands in its own row.
    """

    id = Key()
    task = BigInt()
    idx = BigInt()
    attempt = Int()
    state = Text()
    wave = Int(null=True)
    cause = Text(null=True)
    native_id = Text()
    mem_scale = Real()
    time_scale = Real()
    host = Text()
    log = Text()
    started_at = Real(null=True)
    ended_at = Real(null=True)
    peak_memory = BigInt(null=True)
    cpu_time = Real(null=True)
    error = Text()

    class Meta:  # noqa: D106
        table_name = "reflow_attempt"
        indexes = ((("task", "idx", "attempt"), False),)


class Submission(Table):
    """A job or array handed to the scheduler."""

    id = Key()
    run = BigInt()
    number = Int()
    kind = Text()
    token = Text(unique=True)
    state = Text()
    task = Text(null=True)
    size = BigInt(null=True)
    follows = Int(null=True)
    submitted_at = BigInt(null=True)
    begins_at = BigInt(null=True)

    class Meta:  # noqa: D106
        table_name = "reflow_submission"
        indexes = ((("run", "number"), True),)


class NativeId(Table):
    """One of the scheduler's ids of a submission."""

    id = Key()
    submission = BigInt()
    native_id = Text()

    class Meta:  # noqa: D106
        table_name = "reflow_native_id"
        indexes = ((("submission", "native_id"), True),)


class Request(Table):
    """What a user asks of a run."""

    id = Key()
    run = BigInt(index=True)
    kind = Text()
    task = Text(null=True)
    uid = BigInt(null=True)
    options = Text(constraints=[default("{}")])

    class Meta:  # noqa: D106
        table_name = "reflow_request"


class Note(Table):
    """Something about a task of a run that its user should know."""

    id = Key()
    run = BigInt()
    task = Text()
    key = Text()
    text = Text()

    class Meta:  # noqa: D106
        table_name = "reflow_note"
        indexes = ((("run", "task", "key"), True),)


SHORT = 'substr("identity", 1, 16)'
"""The part of an identity that is indexed, for indexes of a third of the size.

Queries compare the whole identity as well."""

REUSABLE = Index(
    Instance,
    [expression(SHORT), Instance.task.desc(), Instance.idx],
    name="reflow_instance_reusable",
    where=Instance.reusable == literal(1),
)
"""Results of an identity in the order in which they are offered."""
HAD = Index(
    Instance,
    [expression(SHORT), Instance.idx, Instance.task.desc()],
    name="reflow_instance_had",
    where=(Instance.reusable == literal(1)) | Instance.source.is_null(False),
)
"""The results of an index and identity, computed or taken over, the newest first."""
TAKEN = Index(
    Instance,
    [Instance.source],
    name="reflow_instance_taken",
    where=Instance.source.is_null(False),
)
"""Which instances have taken a result over."""
for _index in (REUSABLE, HAD, TAKEN):
    Instance.add_index(_index)

TABLES = (Schema, Run, Task, Instance, Attempt, Submission, NativeId, Request, Note)
