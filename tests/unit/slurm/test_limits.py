from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from reflow.model.resources import Resources
from reflow_slurm import limits
from reflow_slurm.executor import SlurmExecutor
from reflow_slurm.limits import Places

from tests.unit.executors.batch.pond import ScriptedRunner
from tests.unit.slurm.recordings import steps

ASSOCIATIONS = (Path(__file__).parent / "associations.txt").read_text()
"""What `scontrol --oneliner show assoc_mgr` prints, less the fields that do not matter here."""


def test_the_configuration_of_a_real_cluster_is_read() -> None:
    (text,) = [step["stdout"] for step in steps("versions") if "show config" in step["command"]]
    settings = limits.configuration(text)
    assert limits.largest_array(settings) == 10001
    assert limits.enforces_limits(settings)


@pytest.mark.parametrize(
    ("settings", "largest"),
    [
        ({"MaxArraySize": "1001"}, 1001),
        ({"MaxArraySize": "1001", "SchedulerParameters": "a=1,max_array_tasks=50"}, 50),
        ({"MaxArraySize": "0"}, 1),
        ({}, None),
    ],
)
def test_the_largest_array_is_the_smaller_of_two_settings(
    settings: dict[str, str], largest: int | None
) -> None:
    assert limits.largest_array(settings) == largest


@pytest.mark.parametrize(
    ("enforced", "does"),
    [("associations,limits,qos", True), ("safe", True), ("associations", False), ("none", False)],
)
def test_limits_count_only_where_they_are_enforced(enforced: str, does: bool) -> None:
    assert limits.enforces_limits({"AccountingStorageEnforce": enforced}) is does


def test_the_users_association_and_the_accounts_above_it_limit() -> None:
    assert set(limits.association_places(ASSOCIATIONS, "ann", "lab")) == {
        Places(300, 20),
        Places(500, 450),
        Places(9000, 25),
    }
    assert list(limits.association_places(ASSOCIATIONS, "ann", "art")) == []


def test_the_default_account_is_the_users_own() -> None:
    assert limits.default_account(ASSOCIATIONS, "ann") == "lab"
    assert limits.default_account(ASSOCIATIONS, "eve") is None


def test_a_qos_limits_by_user_by_account_and_as_a_whole() -> None:
    assert set(limits.quality_places(ASSOCIATIONS, 1000, "lab", "normal")) == {
        Places(400, 25),
        Places(100, 20),
    }
    assert set(limits.quality_places(ASSOCIATIONS, 1001, None, "normal")) == set()
    assert list(limits.quality_places(ASSOCIATIONS, 1000, "lab", "few")) == [Places(77, 0)]


def test_the_qos_in_use_is_known_by_the_jobs_in_it() -> None:
    assert limits.qualities_in_use(ASSOCIATIONS, 1000) == ["normal"]
    assert limits.qualities_in_use(ASSOCIATIONS, 7) == []


def test_memberships_of_one_partition_only_are_left_out() -> None:
    text = "lab|normal|\nlab|express|gpu\nart||\n"
    assert limits.memberships(text) == [
        limits.Membership("lab", "normal"),
        limits.Membership("art", ""),
    ]


def slurm(*answers: tuple[int, str, str], **settings: Any) -> tuple[SlurmExecutor, ScriptedRunner]:
    executor, runner = SlurmExecutor(**settings), ScriptedRunner(list(answers))
    executor.runner = runner  # type: ignore[assignment]
    return executor, runner


def test_a_cluster_without_limits_is_asked_for_its_configuration_once() -> None:
    config = (0, "MaxArraySize = 101\nAccountingStorageEnforce = none\n", "")
    executor, runner = slurm(config)

    for _ in range(2):
        assert executor.limits().max_array_size == 101

    assert runner.argvs == [("scontrol", "show", "config")]


def test_a_site_that_hides_its_limits_stops_nobody() -> None:
    config = (0, "MaxArraySize = 101\nAccountingStorageEnforce = limits\n", "")
    executor, _ = slurm(config, (1, "", "Access/permission denied"))

    found = executor.limits()

    assert (found.max_array_size, found.max_submit_jobs) == (101, None)


# -- time ----------------------------------------------------------------------------------
PARTITIONS = "".join(
    f"PartitionName={name} AllowGroups=ALL Default={default} QoS=N/A DefaultTime=01:00:00 "
    f"MaxNodes=UNLIMITED MaxTime={time} MinNodes=0 OverTimeLimit=NONE State=UP\n"
    for name, default, time in (
        ("main", "YES", "7-00:00:00"),
        ("short", "NO", "00:01:00"),
        ("long", "NO", "UNLIMITED"),
    )
)
"""What `scontrol --oneliner show partition` prints, less the fields that do not matter here."""
MINUTE, WEEK = timedelta(minutes=1), timedelta(days=7)


@pytest.mark.parametrize(
    ("settings", "asked", "expected"),
    [
        ({}, Resources(), WEEK),
        ({}, Resources(queue="short"), MINUTE),
        ({"queue": "short"}, Resources(), MINUTE),
        ({"queue": "short"}, Resources(queue="main"), WEEK),
        ({}, Resources(options={"slurm": {"partition": "short"}}), MINUTE),
        # A job with several waits for whichever takes it.
        ({}, Resources(queue="short,main"), WEEK),
        ({}, Resources(queue="short,long"), None),
        ({}, Resources(queue="nowhere"), None),
    ],
)
def test_a_job_may_be_as_long_as_its_partitions_allow(
    settings: dict[str, Any], asked: Resources, expected: timedelta | None
) -> None:
    executor, runner = slurm((0, PARTITIONS, ""), **settings)
    assert [executor.longest_time(asked), executor.longest_time(asked)] == [expected] * 2
    assert runner.argvs == [("scontrol", "--oneliner", "show", "partition")]


def test_a_site_that_shows_no_partitions_does_not_limit_jobs() -> None:
    executor, _ = slurm((1, "", "Access/permission denied"))
    assert executor.longest_time(Resources()) is None
