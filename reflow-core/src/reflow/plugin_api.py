"""Everything that a plugin may import from reflow; nothing else is guaranteed.

What is here changes only with `API_VERSION`. A distribution of plugins names a module in its entry
points, under the group `reflow`::

    [project.entry-points.reflow]
    pond = "reflow_pond.plugin"

That module holds functions marked with `hookimpl`; `reflow.plugins.hookspecs` lists all there
are, each with an example. It is imported whenever plugins are looked up, so keep it light.

Every name here is imported when it is first used, so that such a module costs what it uses.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from reflow.codecs.contract import Codec as Codec
    from reflow.codecs.contract import CodecContext as CodecContext
    from reflow.errors import ConfigError as ConfigError
    from reflow.errors import DefinitionError as DefinitionError
    from reflow.errors import ExecutorError as ExecutorError
    from reflow.errors import LeaseLostError as LeaseLostError
    from reflow.errors import NotFoundError as NotFoundError
    from reflow.errors import ParameterError as ParameterError
    from reflow.errors import PluginError as PluginError
    from reflow.errors import ReflowError as ReflowError
    from reflow.errors import ReflowWarning as ReflowWarning
    from reflow.errors import SchedulerUnavailableError as SchedulerUnavailableError
    from reflow.errors import StoredValueError as StoredValueError
    from reflow.errors import StoreError as StoreError
    from reflow.errors import StoreVersionError as StoreVersionError
    from reflow.errors import SubmissionDeferredError as SubmissionDeferredError
    from reflow.errors import SubmissionRefusedError as SubmissionRefusedError
    from reflow.errors import SubmissionUncertainError as SubmissionUncertainError
    from reflow.errors import TaskInterrupted as TaskInterrupted
    from reflow.errors import UnstorableValueError as UnstorableValueError
    from reflow.executors.batch.again import shell_time as shell_time
    from reflow.executors.batch.arrays import ArrayStyle as ArrayStyle
    from reflow.executors.batch.arrays import contiguous as contiguous
    from reflow.executors.batch.arrays import index_list as index_list
    from reflow.executors.batch.arrays import parse_indices as parse_indices
    from reflow.executors.batch.base import SCRIPT_NAME as SCRIPT_NAME
    from reflow.executors.batch.base import BatchExecutor as BatchExecutor
    from reflow.executors.batch.base import clock as clock
    from reflow.executors.batch.base import in_units as in_units
    from reflow.executors.batch.base import one_line as one_line
    from reflow.executors.batch.base import whole_seconds as whole_seconds
    from reflow.executors.batch.command import Command as Command
    from reflow.executors.batch.command import CommandResult as CommandResult
    from reflow.executors.batch.command import Variables as Variables
    from reflow.executors.batch.errors import ErrorTable as ErrorTable
    from reflow.executors.batch.options import long_options as long_options
    from reflow.executors.batch.options import option_values as option_values
    from reflow.executors.batch.options import resource_names as resource_names
    from reflow.executors.batch.states import NativeState as NativeState
    from reflow.executors.batch.states import StateTable as StateTable
    from reflow.executors.contract import API_VERSION as API_VERSION
    from reflow.executors.contract import Executor as Executor
    from reflow.model.durations import Durations as Durations
    from reflow.model.graph import WireMode as WireMode
    from reflow.model.jobs import AGAIN_NAME as AGAIN_NAME
    from reflow.model.jobs import LOG_NAME as LOG_NAME
    from reflow.model.jobs import Capabilities as Capabilities
    from reflow.model.jobs import Feasibility as Feasibility
    from reflow.model.jobs import JobHandle as JobHandle
    from reflow.model.jobs import JobRequest as JobRequest
    from reflow.model.jobs import JobStatus as JobStatus
    from reflow.model.jobs import Limits as Limits
    from reflow.model.jobs import Submission as Submission
    from reflow.model.json import Json as Json
    from reflow.model.lineage import Kin as Kin
    from reflow.model.notes import Note as Note
    from reflow.model.outcomes import Outcome as Outcome
    from reflow.model.outcomes import Reuse as Reuse
    from reflow.model.records import FailedInstance as FailedInstance
    from reflow.model.records import Instance as Instance
    from reflow.model.records import Lease as Lease
    from reflow.model.records import LeaseRecord as LeaseRecord
    from reflow.model.records import Look as Look
    from reflow.model.records import RequestKind as RequestKind
    from reflow.model.records import RequestRecord as RequestRecord
    from reflow.model.records import RunRecord as RunRecord
    from reflow.model.records import StoredOutput as StoredOutput
    from reflow.model.records import SubmissionKind as SubmissionKind
    from reflow.model.records import SubmissionRecord as SubmissionRecord
    from reflow.model.records import SubmissionState as SubmissionState
    from reflow.model.records import Taker as Taker
    from reflow.model.records import TaskRecord as TaskRecord
    from reflow.model.resources import Resources as Resources
    from reflow.model.resources import parse_memory as parse_memory
    from reflow.model.resources import parse_time as parse_time
    from reflow.model.states import FailureCause as FailureCause
    from reflow.model.states import JobState as JobState
    from reflow.model.states import RunState as RunState
    from reflow.model.states import TaskState as TaskState
    from reflow.plugins.hookspecs import ExecutorPlugin as ExecutorPlugin
    from reflow.plugins.hookspecs import Finding as Finding
    from reflow.plugins.hookspecs import HealthCheck as HealthCheck
    from reflow.plugins.hookspecs import InstanceEvent as InstanceEvent
    from reflow.plugins.hookspecs import RunEvent as RunEvent
    from reflow.plugins.hookspecs import StorePlugin as StorePlugin
    from reflow.plugins.hookspecs import hookimpl as hookimpl
    from reflow.stores.contract import FencedWriter as FencedWriter
    from reflow.stores.contract import Store as Store
    from reflow.stores.filters import run_limit as run_limit
    from reflow.stores.filters import run_state as run_state
    from reflow.stores.filters import run_time as run_time
    from reflow.suggest import did_you_mean as did_you_mean
    from reflow.wiring.contract import TypeRule as TypeRule
    from reflow.wiring.contract import WireQuestion as WireQuestion
    from reflow.wiring.types import element_of as element_of
    from reflow.wiring.types import fits as fits

_HOMES = {
    "reflow.executors.batch.again": "shell_time",
    "reflow.executors.batch.arrays": "ArrayStyle contiguous index_list parse_indices",
    "reflow.executors.batch.base": (
        "BatchExecutor SCRIPT_NAME clock in_units one_line whole_seconds"
    ),
    "reflow.executors.batch.command": "Command CommandResult Variables",
    "reflow.executors.batch.errors": "ErrorTable",
    "reflow.executors.batch.options": "long_options option_values resource_names",
    "reflow.executors.batch.states": "NativeState StateTable",
    "reflow.errors": (
        "ConfigError DefinitionError ExecutorError LeaseLostError NotFoundError "
        "ParameterError PluginError ReflowError ReflowWarning SchedulerUnavailableError "
        "StoreError StoreVersionError StoredValueError SubmissionDeferredError "
        "SubmissionRefusedError SubmissionUncertainError TaskInterrupted UnstorableValueError"
    ),
    "reflow.executors.contract": "API_VERSION Executor",
    "reflow.plugins.hookspecs": (
        "ExecutorPlugin Finding HealthCheck InstanceEvent RunEvent StorePlugin hookimpl"
    ),
    "reflow.model.durations": "Durations",
    "reflow.model.graph": "WireMode",
    "reflow.model.jobs": (
        "AGAIN_NAME LOG_NAME Capabilities Feasibility JobHandle JobRequest JobStatus Limits "
        "Submission"
    ),
    "reflow.model.json": "Json",
    "reflow.model.lineage": "Kin",
    "reflow.model.notes": "Note",
    "reflow.model.outcomes": "Outcome Reuse",
    "reflow.model.records": (
        "FailedInstance Instance Lease LeaseRecord Look RequestKind RequestRecord "
        "RunRecord StoredOutput SubmissionKind SubmissionRecord SubmissionState Taker "
        "TaskRecord"
    ),
    "reflow.model.resources": "Resources parse_memory parse_time",
    "reflow.model.states": "FailureCause JobState RunState TaskState",
    "reflow.stores.contract": "FencedWriter Store",
    "reflow.stores.filters": "run_limit run_state run_time",
    "reflow.suggest": "did_you_mean",
    "reflow.codecs.contract": "Codec CodecContext",
    "reflow.wiring.contract": "TypeRule WireQuestion",
    "reflow.wiring.types": "element_of fits",
}
"""Where each name comes from; type checkers read the imports above, and a test compares."""

_HOME_OF = {name: home for home, names in _HOMES.items() for name in names.split()}

__all__ = sorted(_HOME_OF)

if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        if name not in _HOME_OF:
            from reflow.suggest import did_you_mean

            raise AttributeError(
                f"module {__name__!r} has no attribute {name!r}{did_you_mean(name, _HOME_OF)}"
            )
        from importlib import import_module

        value = globals()[name] = getattr(import_module(_HOME_OF[name]), name)
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *_HOME_OF})
