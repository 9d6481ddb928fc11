"""What `import reflow` offers, and what it costs."""

from __future__ import annotations

import ast
import importlib.metadata
import sys
from pathlib import Path
from types import ModuleType

import pytest
import reflow
from reflow import plugin_api
from reflow.executors.contract import API_VERSION
from reflow.plugins.hookspecs import ExecutorPlugin
from reflow.testing.plugins import plugin, using_plugins


class PondExecutor:
    """Stands for the class of another distribution."""


@pytest.mark.parametrize("name", reflow.__all__)
def test_every_name_on_offer_can_be_imported(name: str) -> None:
    assert getattr(reflow, name) is not None


def test_a_star_import_takes_every_name() -> None:
    space: dict[str, object] = {}
    exec("from reflow import *", space)
    assert set(reflow.__all__) <= set(space)


@pytest.mark.parametrize("module", [reflow, plugin_api], ids=["reflow", "plugin_api"])
def test_type_checkers_see_the_same_names_from_the_same_modules(module: ModuleType) -> None:
    tree = ast.parse(Path(str(module.__file__)).read_text())
    seen = {
        alias.asname: node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.asname
    }
    assert seen == module._HOME_OF


@pytest.mark.parametrize("name", plugin_api.__all__)
def test_every_name_of_the_plugin_interface_can_be_imported(name: str) -> None:
    assert getattr(plugin_api, name) is not None


def test_an_unknown_name_of_the_plugin_interface_is_an_error_with_the_nearest() -> None:
    with pytest.raises(AttributeError, match="'hookimp'; did you mean 'hookimpl'"):
        plugin_api.hookimp  # type: ignore[attr-defined]  # noqa: B018


def test_type_checkers_know_the_executors_of_other_distributions() -> None:
    from reflow.plugins import distributions

    tree = ast.parse(Path(distributions.__file__).read_text())
    declared = {
        node.target.id
        for node in ast.walk(tree)
        if isinstance(node, ast.AnnAssign)
        and isinstance(node.target, ast.Name)
        and node.target.id.endswith("Executor")
    }
    assert declared == {entry.class_name for entry in distributions.EXECUTOR_DISTRIBUTIONS}


def test_every_public_error_is_on_offer() -> None:
    from reflow import errors

    defined = {name for name, value in vars(errors).items() if isinstance(value, type)}
    assert defined <= set(reflow.__all__)


def test_the_version_is_that_of_the_distribution() -> None:
    assert reflow.__version__ == importlib.metadata.version("reflow-core")


def test_an_unknown_name_is_an_attribute_error_with_the_nearest() -> None:
    with pytest.raises(AttributeError, match="'Workfow'; did you mean 'Workflow'"):
        reflow.Workfow  # type: ignore[attr-defined]  # noqa: B018
    assert not hasattr(reflow, "no_such_thing_at_all")


def test_an_unknown_executor_class_is_an_attribute_error_too() -> None:
    with pytest.raises(AttributeError, match="'SlurmExecutor'"):
        reflow.SlurmExcutor  # type: ignore[attr-defined]  # noqa: B018
    with pytest.raises(AttributeError, match="'SlrumExecutor'; did you mean 'SlurmExecutor'"):
        reflow.SlrumExecutor  # type: ignore[attr-defined]  # noqa: B018


def test_an_executor_of_a_missing_distribution_is_an_import_error_that_says_what_to_install() -> (
    None
):
    with using_plugins(), pytest.raises(ImportError, match="pip install reflow-pbs"):
        from reflow import PBSExecutor  # noqa: F401


def test_the_executor_class_of_any_plugin_can_be_imported_from_reflow(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, __name__, sys.modules[__name__])
    record = ExecutorPlugin(name="pond", target=f"{__name__}:PondExecutor", api_version=API_VERSION)
    with using_plugins(plugin("pond", executors=[record])):
        assert reflow.PondExecutor is PondExecutor  # type: ignore[attr-defined]
        assert "PondExecutor" in dir(reflow)
    assert "PondExecutor" not in dir(reflow)


def test_dir_lists_what_can_be_had_and_nothing_else() -> None:
    with using_plugins():
        listed = dir(reflow)
        assert set(reflow.__all__) <= set(listed)
        assert all(hasattr(reflow, name) for name in listed)
