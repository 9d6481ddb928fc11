"""Everything that a plugin may import from reflow, and nothing else is promised to it.

What is here changes only with `API_VERSION`. A distribution of plugins names a module in its entry
points, under the group `reflow`::

    [project.entry-points.reflow]
    pond = "reflow_pond.plugin"

That module holds functions marked with `hookimpl`; `reflow.hookspecs` lists all there are, each
with an example. It is imported whenever plugins are looked up, so keep it light.
"""

from __future__ import annotations

from reflow.batch.arrays import ArrayStyle, contiguous, index_list, parse_indices
from reflow.batch.base import (
    LOG_NAME,
    SCRIPT_NAME,
    BatchExecutor,
    clock,
    in_units,
    one_line,
    whole_seconds,
)
from reflow.batch.command import Command, CommandResult, Variables
from reflow.batch.options import long_options
from reflow.batch.states import NativeState, StateTable
from reflow.errors import (
    ConfigError,
    DefinitionError,
    ExecutorError,
    LeaseLostError,
    NotFoundError,
    ParameterError,
    PluginError,
    ReflowError,
    ReflowWarning,
    SchedulerUnavailableError,
    StoredValueError,
    StoreError,
    StoreVersionError,
    SubmissionDeferredError,
    SubmissionRefusedError,
    SubmissionUncertainError,
    TaskInterrupted,
    UnstorableValueError,
)
from reflow.executors.contract import API_VERSION, Executor
from reflow.hookspecs import (
    ExecutorPlugin,
    Finding,
    HealthCheck,
    InstanceEvent,
    RunEvent,
    StorePlugin,
    hookimpl,
)
from reflow.model.graph import WireMode
from reflow.model.jobs import (
    Capabilities,
    JobHandle,
    JobRequest,
    JobStatus,
    Limits,
    Submission,
)
from reflow.model.json import Json
from reflow.model.records import (
    FailedInstance,
    Instance,
    Lease,
    LeaseRecord,
    Outcome,
    RequestKind,
    RequestRecord,
    RunRecord,
    StoredOutput,
    SubmissionKind,
    SubmissionRecord,
    SubmissionState,
    TaskRecord,
)
from reflow.model.resources import Resources, parse_memory, parse_time
from reflow.model.states import FailureCause, JobState, RunState, TaskState
from reflow.stores.contract import FencedWriter, Store
from reflow.values.contract import Codec, CodecContext
from reflow.wiring.contract import TypeRule, WireQuestion

__all__ = [
    "API_VERSION",
    "LOG_NAME",
    "SCRIPT_NAME",
    "ArrayStyle",
    "BatchExecutor",
    "Capabilities",
    "Codec",
    "CodecContext",
    "Command",
    "CommandResult",
    "ConfigError",
    "DefinitionError",
    "Executor",
    "ExecutorError",
    "ExecutorPlugin",
    "FailedInstance",
    "FailureCause",
    "FencedWriter",
    "Finding",
    "HealthCheck",
    "Instance",
    "InstanceEvent",
    "JobHandle",
    "JobRequest",
    "JobState",
    "JobStatus",
    "Json",
    "Lease",
    "LeaseLostError",
    "LeaseRecord",
    "Limits",
    "NativeState",
    "NotFoundError",
    "Outcome",
    "ParameterError",
    "PluginError",
    "ReflowError",
    "ReflowWarning",
    "RequestKind",
    "RequestRecord",
    "Resources",
    "RunEvent",
    "RunRecord",
    "RunState",
    "SchedulerUnavailableError",
    "StateTable",
    "Store",
    "StoreError",
    "StorePlugin",
    "StoreVersionError",
    "StoredOutput",
    "StoredValueError",
    "Submission",
    "SubmissionDeferredError",
    "SubmissionKind",
    "SubmissionRecord",
    "SubmissionRefusedError",
    "SubmissionState",
    "SubmissionUncertainError",
    "TaskInterrupted",
    "TaskRecord",
    "TaskState",
    "TypeRule",
    "UnstorableValueError",
    "Variables",
    "WireMode",
    "WireQuestion",
    "clock",
    "contiguous",
    "hookimpl",
    "in_units",
    "index_list",
    "long_options",
    "one_line",
    "parse_indices",
    "parse_memory",
    "parse_time",
    "whole_seconds",
]
