"""Pipelines of plain Python functions, on a laptop or an HPC cluster.

Every name is imported when it is first used, so that `import reflow` costs next to nothing in the
thousands of workers that do it.
"""

from __future__ import annotations

from reflow.excepthook import install

TYPE_CHECKING = False
if TYPE_CHECKING:
    from reflow.config.commented import ensure_config_exists as ensure_config_exists
    from reflow.config.schema import Config as Config
    from reflow.config.schema import load_config as load_config
    from reflow.errors import ConfigError as ConfigError
    from reflow.errors import DamagedRunError as DamagedRunError
    from reflow.errors import DefinitionError as DefinitionError
    from reflow.errors import ExecutorError as ExecutorError
    from reflow.errors import FlowImportError as FlowImportError
    from reflow.errors import ForeignRunError as ForeignRunError
    from reflow.errors import LeaseLostError as LeaseLostError
    from reflow.errors import MissingExecutorError as MissingExecutorError
    from reflow.errors import MissingFileError as MissingFileError
    from reflow.errors import NotFoundError as NotFoundError
    from reflow.errors import NotReadyError as NotReadyError
    from reflow.errors import OptionError as OptionError
    from reflow.errors import OtherSeriesError as OtherSeriesError
    from reflow.errors import ParameterError as ParameterError
    from reflow.errors import PluginError as PluginError
    from reflow.errors import ReflowError as ReflowError
    from reflow.errors import ReflowWarning as ReflowWarning
    from reflow.errors import RunFailedError as RunFailedError
    from reflow.errors import SchedulerUnavailableError as SchedulerUnavailableError
    from reflow.errors import StoredValueError as StoredValueError
    from reflow.errors import StoreError as StoreError
    from reflow.errors import StoreVersionError as StoreVersionError
    from reflow.errors import SubmissionDeferredError as SubmissionDeferredError
    from reflow.errors import SubmissionRefusedError as SubmissionRefusedError
    from reflow.errors import SubmissionUncertainError as SubmissionUncertainError
    from reflow.errors import TaskFailedError as TaskFailedError
    from reflow.errors import TaskInterrupted as TaskInterrupted
    from reflow.errors import UnstorableValueError as UnstorableValueError
    from reflow.errors import UsageError as UsageError
    from reflow.errors import WaitTimeoutError as WaitTimeoutError
    from reflow.executors.local import LocalExecutor as LocalExecutor
    from reflow.flow import Flow as Flow
    from reflow.model.pilots import Pilots as Pilots
    from reflow.plugins.distributions import *  # noqa: F403
    from reflow.report.describe import WorkflowDescription as WorkflowDescription
    from reflow.run import Run as Run
    from reflow.scratch import scratch_dir as scratch_dir
    from reflow.wiring.markers import Param as Param
    from reflow.wiring.markers import Pickled as Pickled
    from reflow.wiring.markers import Result as Result
    from reflow.wiring.markers import RunDir as RunDir
    from reflow.workflow import Workflow as Workflow

__version__ = "0.1.0"

_HOMES = {
    "reflow.config.schema": "Config load_config",
    "reflow.config.commented": "ensure_config_exists",
    "reflow.report.describe": "WorkflowDescription",
    "reflow.errors": (
        "ConfigError DamagedRunError DefinitionError ExecutorError FlowImportError "
        "ForeignRunError LeaseLostError MissingExecutorError MissingFileError NotFoundError "
        "NotReadyError OtherSeriesError "
        "OptionError ParameterError PluginError ReflowError ReflowWarning RunFailedError "
        "SchedulerUnavailableError StoreError StoreVersionError StoredValueError "
        "SubmissionDeferredError SubmissionRefusedError SubmissionUncertainError "
        "TaskFailedError TaskInterrupted UnstorableValueError UsageError WaitTimeoutError"
    ),
    "reflow.executors.local": "LocalExecutor",
    "reflow.flow": "Flow",
    "reflow.model.pilots": "Pilots",
    "reflow.run": "Run",
    "reflow.scratch": "scratch_dir",
    "reflow.wiring.markers": "Param Pickled Result RunDir",
    "reflow.workflow": "Workflow",
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names.split()}

# Executors of other distributions are left out: `from reflow import *` must not fail where they
# are not installed.
__all__ = ["__version__", *sorted(_HOME_OF)]

install()

if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        if name in _HOME_OF:
            from importlib import import_module

            value = globals()[name] = getattr(import_module(_HOME_OF[name]), name)
            return value
        if name.endswith("Executor"):
            from reflow.plugins.registry import registry

            found = registry().executor_class_called(name)
            if found is not None:
                return found
        from reflow.plugins.distributions import EXECUTOR_DISTRIBUTIONS
        from reflow.suggest import did_you_mean

        known = [*__all__, *(entry.class_name for entry in EXECUTOR_DISTRIBUTIONS)]
        raise AttributeError(
            f"module 'reflow' has no attribute {name!r}{did_you_mean(name, known)}"
        )

    def __dir__() -> list[str]:
        from reflow.plugins.registry import registry

        return sorted({*globals(), *__all__, *registry().executor_class_names()})
