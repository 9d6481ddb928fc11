"""Loading a workflow into a process that did not define it."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import decode_source
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Protocol

from reflow.errors import FlowImportError, ReflowError
from reflow.execution.frozen import script_loader
from reflow.fingerprint.code.unsaved import keep
from reflow.model.scripts import FLOW_MODULE, SCRIPT_MODULE
from reflow.rundir.flow_reference import FlowRef

if TYPE_CHECKING:
    from reflow.config.schema import Config
    from reflow.model.graph import Graph
    from reflow.model.tasks import TaskSpec
    from reflow.stores.contract import Store

_loading: list[str] = []
_replaced: list[ModuleType] = []
"""Former main modules, kept as what runs in them still needs them."""


class Workflow(Protocol):
    """The part of a workflow's interface that the engine uses."""

    @property
    def name(self) -> str:
        """Its name."""
        ...

    @property
    def config(self) -> Config:
        """The settings in force."""
        ...

    @property
    def store(self) -> Store:
        """The manifest database."""
        ...

    def specs(self) -> tuple[TaskSpec, ...]:
        """Return its tasks."""
        ...

    def graph(self) -> Graph:
        """Return its checked graph."""
        ...


def resolve(reference: FlowRef) -> Workflow:
    """Import the workflow that a reference names. Raises `FlowImportError`."""
    sys.path.extend(entry for entry in reference.sys_path if entry not in sys.path)
    if reference.path is not None:
        # Values that a task reads back from another run must be of the task's own classes.
        module = _main_of_worker(reference.path) or load_file(Path(reference.path), FLOW_MODULE)
        where = reference.path
    else:
        assert reference.module is not None
        where = f"module {reference.module}"
        with while_importing(where):
            module = importlib.import_module(reference.module)
    return pick_workflow(module, reference.workflow, where)


def resolve_in_worker(reference: FlowRef) -> Workflow:
    """Import the workflow into a process that runs its tasks. Raises `FlowImportError`.

    What was run as a script becomes the main module: processes that a task starts load that of
    their parent, be it by multiprocessing or by what builds on it.
    """
    if reference.path is None:
        return resolve(reference)
    sys.path.extend(entry for entry in reference.sys_path if entry not in sys.path)
    _replaced.append(sys.modules["__main__"])
    module = load_file(Path(reference.path), SCRIPT_MODULE, "__main__")
    return pick_workflow(module, reference.workflow, reference.path)


def _main_of_worker(path: str) -> ModuleType | None:
    """Return the flow's module in a worker, and in processes that its tasks start."""
    main = sys.modules["__main__"]
    loaded = main.__name__ == SCRIPT_MODULE and getattr(main, "__file__", None) == path
    return main if loaded else None


def is_loading() -> str | None:
    """Return the flow that is being imported for workers or the command line, if any."""
    return _loading[-1] if _loading else None


@contextmanager
def while_importing(where: str) -> Iterator[None]:
    """Turn any exception raised by an import into an error that names the flow."""
    _loading.append(where)
    try:
        yield
    except ReflowError:
        raise
    except (Exception, SystemExit) as error:
        raise FlowImportError(
            f"{where} could not be imported on this machine: {type(error).__name__}: {error}"
        ) from error
    finally:
        _loading.pop()


def load_file(path: Path, name: str, *more_names: str) -> ModuleType:
    """Load a flow file, whatever its name, as a module of these names.

    Raises `FlowImportError` where that is impossible.
    """
    loaded = sys.modules.get(name)
    if loaded is not None and getattr(loaded, "__file__", None) == str(path):
        return loaded
    loader = script_loader(name, path)
    if loader is None:
        raise FlowImportError(f"the flow file {path} is not there on this machine")
    if not path.is_file():
        # Runs that its tasks start are given it in turn.
        keep(str(path), decode_source(loader.get_data(str(path))))
    folder = str(path.parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    spec = importlib.util.spec_from_file_location(name, path, loader=loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    # Scripts have none; multiprocessing would import a module by the name in it.
    module.__spec__ = None
    before = {name: sys.modules.get(name) for name in (name, *more_names)}
    sys.modules.update(dict.fromkeys(before, module))
    try:
        with while_importing(str(path)):
            loader.exec_module(module)
    except BaseException:
        for name, former in before.items():
            del sys.modules[name]
            if former is not None:
                sys.modules[name] = former
        raise
    return module


def pick_workflow(module: ModuleType, name: str | None, where: str) -> Workflow:
    """Return the workflow of a module, the one called `name` where there are several.

    `where` is what messages call the module. Raises `FlowImportError` where there is none.
    """
    found: dict[str, Workflow] = {
        key: value for key, value in vars(module).items() if _is_workflow(value)
    }
    names = _unique(found)
    if name is None:
        if len(names) == 1:
            return names[0]
        if not names:
            raise FlowImportError(f"{where} defines no Workflow at its top level")
        listed = ", ".join(workflow.name for workflow in names)
        raise FlowImportError(f"{where} defines several workflows ({listed}): add ':NAME'")
    # A workflow's own name comes before a variable's: it is what a run is recorded under.
    matching = [workflow for workflow in names if workflow.name == name]
    if len(matching) == 1:
        return matching[0]
    if name in found:
        return found[name]
    listed = ", ".join(workflow.name for workflow in names) or "none"
    raise FlowImportError(f"{where} has no workflow {name!r}; it has: {listed}")


def _is_workflow(value: object) -> bool:
    # By its methods, as the class itself is in a layer above.
    kind = type(value)
    return all(hasattr(kind, name) for name in ("specs", "graph", "submit", "run_local"))


def _unique(found: Mapping[str, Workflow]) -> Sequence[Workflow]:
    return list({id(workflow): workflow for workflow in found.values()}.values())
