"""Which pilots a run is to have, by what is typed, written and configured."""

from __future__ import annotations

from datetime import timedelta
from typing import ClassVar

import pytest
from reflow.config.schema import Config, PilotSettings
from reflow.dispatch.pilots.choice import Given, chosen_pilots
from reflow.errors import ConfigError, ParameterError, UsageError
from reflow.executors.local import LocalExecutor
from reflow.model.jobs import Capabilities
from reflow.model.pilots import Pilots

from tests.unit.executors.batch.pond import PondExecutor

NONE = PilotSettings()
TWO = PilotSettings(jobs=2, cpus=8, mem="16G", time=60, idle="5m", queue="long")
POND = PondExecutor()


class WholePond(PondExecutor):
    capabilities: ClassVar[Capabilities] = Capabilities(whole_nodes=True)


def chosen(given: Given, configured: PilotSettings = NONE) -> Pilots | None:
    return chosen_pilots(given, configured, POND)


@pytest.mark.parametrize("given", [None, {}, {"jobs": 0}])
def test_a_run_has_no_pilots_unless_asked_for(given: Given) -> None:
    assert chosen(given) is None


def test_configured_pilots_are_those_of_every_run_on_a_cluster() -> None:
    pilots = Pilots(jobs=2, cpus=8, mem="16G", time="01:00:00", idle="5m", queue="long")
    assert chosen(None, TWO) == pilots


def test_what_is_given_overrides_single_keys_of_the_configuration() -> None:
    pilots = chosen({"jobs": 5, "mem": "1G"}, TWO)
    assert pilots is not None
    assert (pilots.jobs, pilots.cpus, pilots.mem, pilots.queue) == (5, 8, 2**30, "long")
    assert chosen({"cpus": 3}, TWO) == Pilots(
        jobs=2, cpus=3, mem="16G", time=60, idle=timedelta(minutes=5), queue="long"
    )


def test_a_size_may_be_configured_for_runs_that_say_how_many() -> None:
    assert chosen(None, PilotSettings(cpus=8)) is None
    assert chosen({"jobs": 1}, PilotSettings(cpus=8)) == Pilots(jobs=1, cpus=8)


def test_no_pilots_for_one_run_switches_the_configured_ones_off() -> None:
    assert chosen({"jobs": 0}, TWO) is None


def test_pilots_from_python_are_all_that_is_said_of_them() -> None:
    assert chosen(Pilots(jobs=1), TWO) == Pilots(jobs=1)


def test_a_size_of_no_pilots_is_a_mistake() -> None:
    with pytest.raises(UsageError, match=r"--pilot-cpus is for pilots.*add --pilots N"):
        chosen({"cpus": 3})


@pytest.mark.parametrize("given", [{"jobs": 1, "time": 2}, Pilots(jobs=1, time="00:02:59")])
def test_pilots_that_would_end_as_soon_as_they_begin_are_refused(given: Given) -> None:
    with pytest.raises(ParameterError, match=r"--pilot-time.*too short.*at least 0:03:00"):
        chosen(given, TWO)
    assert chosen(Pilots(jobs=1, time="00:03:00")) is not None


def test_a_number_that_is_none_is_refused() -> None:
    with pytest.raises(ParameterError, match="jobs=-1: write a whole number of at least 1"):
        chosen({"jobs": -1})


@pytest.mark.parametrize("given", [{"jobs": 2}, Pilots(jobs=2)])
def test_pilots_asked_for_on_one_machine_are_refused_with_the_reason(given: Given) -> None:
    with pytest.raises(UsageError, match="elements of all tasks share processes anyway"):
        chosen_pilots(given, NONE, LocalExecutor(slots=1))


def test_configured_pilots_are_ignored_on_one_machine() -> None:
    assert chosen_pilots(None, TWO, LocalExecutor(slots=1)) is None
    assert chosen_pilots({"jobs": 0}, TWO, LocalExecutor(slots=1)) is None


def test_whole_nodes_are_refused_by_the_name_of_an_executor_that_cannot_ask_for_them() -> None:
    whole = Pilots(jobs=2, nodes="whole")
    with pytest.raises(UsageError, match="executor 'pond' cannot ask for whole nodes"):
        chosen(whole)
    assert chosen_pilots(whole, NONE, WholePond()) == whole


@pytest.mark.parametrize(
    ("key", "value"),
    [("jobs", -1), ("cpus", 0), ("mem", "much"), ("idle", "soon"), ("nodes", "half")],
)
def test_a_configured_value_that_cannot_be_used_names_its_key(key: str, value: object) -> None:
    with pytest.raises(ConfigError, match=f"pilots.{key}"):
        Config().with_values({f"pilots.{key}": value})
