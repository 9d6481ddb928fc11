"""The fake Slurm prints what the real one printed."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.scenes import Player, load, playing

MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d")
VARYING = (
    (MOMENT, "MOMENT"),
    (re.compile(r"AllocNode:Sid=\S+"), "AllocNode:Sid=SID"),
    (re.compile(r"\bPriority=[1-9]\d*"), "Priority=N"),
    (re.compile(r"Scheduler=\w+"), "Scheduler=S"),
    (re.compile(r"RunTime=[\d:]+"), "RunTime=SPAN"),
    (re.compile(r"AccrueTime=\w+"), "AccrueTime=MOMENT"),
    (re.compile(r"\|\d:\d\d\|"), "|SPAN|"),
    (re.compile(r"\|0\d:\d\d:\d\d\|"), "|SPAN|"),
    (re.compile(r"\|42949\d+$", re.MULTILINE), "|PRIORITY"),
    (re.compile(r"node0[12]"), "NODE"),
)


def normalise(text: str) -> str:
    """Replace what differs from one time to the next; the order of lines is left out too."""
    for pattern, instead in VARYING:
        text = pattern.sub(instead, text)
    return "\n".join(sorted(text.splitlines()))


needs_jq = pytest.mark.skipif(shutil.which("jq") is None, reason="the recording needs jq")


@pytest.fixture
def scene(tmp_path: Path) -> Any:
    """Set a recorded scene."""

    @contextmanager
    def set_scene(name: str, **keywords: Any) -> Iterator[Player]:
        settings = {"default_mem_per_cpu": 100, "requeue_delay": 0.0, **keywords}
        with playing("slurm", load("slurm", name), tmp_path, normalise, **settings) as player:
            yield player

    return set_scene


def real_names(text: str) -> str:
    """Leave out the name, which accounting gets wrong at first."""
    return re.sub(r"^(\d+\|\d+)\|[^|]+", r"\1|NAME", text, flags=re.MULTILINE)


def test_a_plain_job_from_submission_to_the_end(scene: Any) -> None:
    with scene("submit-plain", first_number=4, accounting_lag=100) as player:
        player.fake.pause()
        player.play(3)
        player.fake.unpause()
        player.fake.wait_for("4", "running")
        player.play(2)
        player.fake.advance(101)
        player.play()
        player.open(2)
        player.fake.wait_for("4")
        player.play(5)
        player.skip(1)
        player.run("sbatch --test-only --wrap true")
        player.play(1)
        player.play(1)


def test_an_array_while_it_is_partly_started(scene: Any) -> None:
    with scene("array-limit-pending-running", first_number=24, accounting_lag=100) as player:
        player.play()
        player.fake.wait_for("24_1", "running")
        player.through(5, tidy=lambda text: text.replace("eTime=Unknown", "eTime=MOMENT"))
        player.fake.advance(100)
        player.through(9)
        player.open(2)
        player.fake.wait_for("24")
        player.fake.advance(100)
        player.play(4)


def test_parts_of_an_array_are_cancelled(scene: Any) -> None:
    with scene("array-cancel-parts", first_number=41, min_job_age=300) as player:
        player.play()
        player.fake.wait_for("41_1", "running")
        player.play()
        player.fake.wait_for("41_0")
        player.fake.wait_for("41_2", "running")
        player.play(5)
        player.fake.wait_for("41_3", "running")
        player.play(3)
        player.fake.wait_for("41")
        player.play(3, tidy=lambda text: text.replace("|None|None|", "|JobArrayTaskLimit|None|"))


def test_an_element_cancelled_while_it_waits_leaves_no_trace(scene: Any) -> None:
    with scene("array-element-cancelled-pending", first_number=2) as player:
        player.play()
        player.fake.wait_for("2_0", "running")
        player.play(5)
        player.open(3)
        player.fake.wait_for("2")
        player.play(3)


def test_irregular_lists_of_indices_are_cut(scene: Any) -> None:
    with scene("array-long-sparse-list-truncated", first_number=1250) as player:
        player.fake.pause()
        player.play(4)
        player.play(4)
        player.skip(1)
        player.play(6)


def test_an_array_of_one_is_still_an_array(scene: Any) -> None:
    with scene("array-one-element", first_number=34) as player:
        player.fake.pause()
        player.play(2)
        player.fake.unpause()
        player.fake.wait_for("34", "running")
        player.play()
        player.open(1)
        player.fake.wait_for("34")
        player.play()
        player.skip(1)
        player.play()
        player.play(11)


def test_cancelling_in_every_state(scene: Any) -> None:
    with scene("cancel", first_number=47) as player:
        player.run("scontrol update nodename=node01 state=drain")
        player.run("scontrol update nodename=node02 state=drain")
        # The real one guessed a start time.
        player.through(1, tidy=lambda text: re.sub(MOMENT, "N/A", text))
        player.through(13)
        player.run("scontrol update nodename=node01 state=resume")
        player.play()
        player.fake.wait_for("50", "running")
        player.play()
        player.skip(1)  # COMPLETING, which is over too soon here
        player.fake.wait_for("50")
        player.through(21)
        player.fake.wait_for("51")
        player.through(25)
        player.fake.wait_for("52", "running")
        player.play()
        player.fake.wait_for("52")
        player.play()


def test_unknown_and_malformed_ids(scene: Any) -> None:
    with scene("query-unknown-ids", first_number=53, accounting_lag=100) as player:
        player.through(1)
        player.fake.wait_for("53", "running")
        player.fake.wait_for("54")
        player.fake.advance(100)
        player.through(18)
        player.play(tidy=lambda text: text.split('"accoun')[0])


@needs_jq
def test_json_of_a_running_job(scene: Any) -> None:
    with scene("query-unknown-ids", first_number=53) as player:
        player.play()
        player.fake.wait_for("53", "running")
        player.skip(21)
        found = json.loads(player.do())
        recorded = json.loads(player.steps[-1].stdout)
        assert set(found) <= set(recorded)
        same = [name for name, value in found.items() if value == recorded[name]]
        assert sorted(set(found) - set(same)) == [
            "accrue_time",
            "eligible_time",
            "end_time",
            "priority",
            "start_time",
            "submit_time",
        ]


@needs_jq
def test_json_of_an_array(scene: Any) -> None:
    def without_moments(text: str) -> str:
        return re.sub(r'(_time":)[1-9]\d*', r"\1N", text)

    with scene("array-json", first_number=1242, sleeps=(0, 1, 2, 4, 5)) as player:
        # Two run at a time: 0 and 1 until they are let go, then 2 and 3.
        player.steps[0] = replace(
            player.steps[0], command=player.steps[0].command.replace("3;", "$SLURM_ARRAY_TASK_ID;")
        )
        for number in ("0", "1"):
            os.close(player.gates.pop(number))
        player.play()
        player.fake.wait_for("1242_3", "running")
        player.play(tidy=without_moments)
        player.open(2, 3, 4, 5)
        player.fake.wait_until_idle()
        player.play(tidy=without_moments)


def test_what_is_refused_and_what_waits_for_ever(scene: Any) -> None:
    with scene("rejected-submissions", first_number=85) as player:
        player.through(17)
        player.run("sbatch --test-only --wrap true; sbatch --test-only --wrap true")
        player.through(24)
        player.run("scancel $(seq 85 93)")
        player.through(26)


def without_what_depends_on_the_moment(text: str) -> str:
    """Leave out which of two jobs of one length ended first, and the ids of array elements."""
    text = text.replace("afterok:58(unfulfilled),", "").replace("NeverSatisfied", "")
    return re.sub(r"(73_\d\|)\d+", r"\1ID", text)


def test_dependencies_of_every_kind(scene: Any) -> None:
    with scene("dependencies", first_number=58) as player:
        player.fake.pause()
        player.through(17)
        player.fake.unpause()
        player.open(2)
        player.fake.wait_for("60")
        player.fake.wait_for("68")
        player.fake.wait_for("73_0")
        player.fake.wait_for("73_2")
        player.open(3)
        for job in ("61", "63", "64", "67", "71", "72"):
            player.fake.wait_for(job)
        player.through(19, tidy=without_what_depends_on_the_moment)
        player.through(20)
        player.through(25)
        player.fake.wait_for("79")
        player.fake.wait_for("80")
        player.play(tidy=without_what_depends_on_the_moment)
        player.run("scancel 62")
        player.play(tidy=without_what_depends_on_the_moment)


def test_forgotten_ids(scene: Any) -> None:
    with scene("aged-out-ids", first_number=132) as player:
        player.play(4)
        for job in ("132", "133", "134"):
            player.fake.wait_for(job)
        player.fake.age_out()
        player.play(9)
        player.play()
        player.fake.wait_for("137", "running", "over")
        player.skip(1)
        player.play()
        player.open(1)
        player.fake.wait_for("138")
        player.fake.wait_for("137")
        player.play()


def test_the_controller_is_down(scene: Any) -> None:
    with scene("controller-down", first_number=130) as player:
        player.play()
        player.fake.wait_for("130", "running")
        player.fake.go_down()
        player.play(7)
        player.open(15)
        player.fake.come_up()
        player.fake.wait_for("130")
        player.play(2)
        player.fake.configure(accounting_down=True)
        player.play(2)


def test_jobs_that_are_held_or_wait_for_their_time(scene: Any) -> None:
    with scene("held-and-later", first_number=55) as player:
        player.play(4)
        player.fake.wait_for("55")
        player.play(7)
        player.fake.wait_for("57", "running")
        player.play(6)


def test_a_cluster_without_accounting(scene: Any) -> None:
    with scene("no-accounting", first_number=1, accounting=False) as player:
        player.play()
        player.fake.wait_for("1", "running")
        player.play(4)
        player.open(1)
        player.fake.wait_for("1")
        player.play(2)
        player.fake.advance(301)
        player.play(4)
        player.fake.wait_for("2")
        player.play()


def test_how_jobs_end(scene: Any) -> None:
    with scene("outcomes-exit-codes-and-signals", first_number=13) as player:
        player.play(11)
        player.fake.wait_until_idle()
        player.play(tidy=real_names)
        player.play(6)


def test_names_of_output_files(scene: Any) -> None:
    with scene("output-file-patterns", first_number=105) as player:
        player.fake.pause()
        player.play()
        player.fake.unpause()
        player.fake.wait_until_idle()
        player.play(2)
        player.fake.wait_until_idle()
        player.play(2)


def test_limits_on_submitted_jobs(scene: Any) -> None:
    with scene("qos-submit-limit", first_number=95) as player:
        player.play(7)


def test_scripts_from_standard_input_and_files(scene: Any) -> None:
    with scene("submit-from-stdin-and-directives", first_number=8) as player:
        player.play(6)


def test_waiting_for_a_job(scene: Any) -> None:
    with scene("submit-with-wait", first_number=9) as player:
        player.play(2)


def test_memory_over_the_limit_with_control_groups(scene: Any) -> None:
    with scene("out-of-memory-cgroup", first_number=1) as player:
        player.through(2)
        player.fake.wait_until_idle()
        player.through(4)


def test_memory_over_the_limit_polled(scene: Any) -> None:
    with scene("out-of-memory-polled", first_number=118, memory_killer="polling") as player:
        player.play()
        player.fake.wait_until_idle()
        player.through(2)


def test_time_over_the_limit(scene: Any) -> None:
    with scene("timeout", first_number=2, sleeps=(1, 301)) as player:
        player.play(2)
        player.fake.wait_for("2", "running")
        player.open(1)
        player.fake.wait_for("3_0")
        player.fake.advance(61)
        player.fake.wait_for("2")
        player.fake.wait_for("3")
        player.play(tidy=lambda text: text.replace("5.batch", "4.batch").replace("|5|", "|4|"))
        player.fake.age_out()
        player.play(2)


def test_a_node_fails_under_its_jobs(scene: Any) -> None:
    with scene("requeue-and-node-failure", first_number=112, requeue_delay=120) as player:
        player.play(3)
        for job in ("112", "113", "114"):
            player.fake.wait_for(job, "running")
        player.play(3)
        player.skip(2)
        player.run("scontrol update nodename=node02 state=resume")
        player.play()
        player.fake.advance(121)
        player.fake.wait_for("114", "running")
        player.play()
        player.open(8)
        player.fake.wait_for("112")
        player.fake.wait_for("114")
        player.through(13)
        player.fake.wait_for("116", "running")
        player.play()
        player.fake.wait_for("116", "pending")
        player.play(2)
        player.fake.advance(121)
        player.open(5)
        player.fake.wait_for("116")
        player.play(2)
        player.open(1)
        player.fake.wait_for("117")
        player.play(2)


def test_processes_may_outlive_their_node(scene: Any) -> None:
    with scene("node-dies", first_number=1248) as player:
        player.play(2)
        for job in ("1248", "1249"):
            player.fake.wait_for(job, "running")
        before = player.fake.job("1248").pid
        player.fake.pause()
        for job in ("1248", "1249"):
            player.fake.lose_node(job, processes_survive=True)
        assert player.run("squeue -h -t all -o '%i %T %r' -j 1248,1249")[1].splitlines() == [
            "1249 NODE_FAIL NodeDown",
            "1248 PENDING BeginTime",
        ]
        assert before is not None
        os.kill(before, 0)
        player.run("scancel 1248")
        player.skip()
        player.play()


def test_variables_in_a_job(scene: Any) -> None:
    with scene("environment-in-a-job", first_number=98) as player:
        player.environment = {"SHELL": "/bin/bash", "HOME": "/root", "USER": "root"}
        player.play()
        player.fake.wait_for("98")
        wanted = variables(player.steps[player.at].stdout)
        found = variables(player.do())
        assert wanted.keys() - found.keys() == {"SLURM_TASK_PID"}
        assert found.keys() <= wanted.keys()
        assert {name for name in found if found[name] != wanted[name]} == {"SLURM_CONF"}
        player.play()
        player.fake.wait_for("99")
        array = variables(player.steps[player.at].stdout)
        assert array.keys() - variables(player.do()).keys() == {"SLURM_TASK_PID"}
        player.play(tidy=lambda text: "\n".join(one for one in text.splitlines() if "_ID=" in one))
        player.run("sbatch --test-only --wrap true; sbatch --test-only --wrap true")
        player.play(2)


def variables(text: str) -> dict[str, str]:
    """The variables that a job printed."""
    return dict(line.split("=", 1) for line in text.splitlines() if re.match(r"[A-Z_]+=", line))


def test_export_chooses_what_a_job_sees(scene: Any) -> None:
    with scene("environment-export-none", first_number=119) as player:
        player.play(3)
        player.fake.wait_until_idle()
        player.play(tidy=lambda text: " ".join(sorted(set(text.split()) - {"SLURM_TASK_PID"})))
        player.play(2)


@pytest.mark.parametrize("name", ["accounting-lag", "accounting-lag-default-scheduler"])
def test_accounting_is_late_and_wrong_at_first(scene: Any, name: str) -> None:
    first = 122 if name == "accounting-lag" else 126
    query = f"sacct -X -n -P -o JobID,JobName,State -j {first},{first + 1},{first + 2}"
    with scene(name, first_number=first, accounting_lag=1000) as player:
        player.play(3)
        assert player.run(query)[1] == ""
        player.fake.wait_for(str(first + 2), "running")
        player.fake.advance(1000)
        assert player.run(query)[1].splitlines() == [
            f"{number}|allocation|PENDING" for number in range(first, first + 3)
        ]
        player.open(3)
        player.fake.wait_until_idle()
        assert player.run(query)[1].splitlines() == [
            f"{number}|allocation|COMPLETED" for number in range(first, first + 3)
        ]
        player.fake.advance(1000)
        assert player.run(query)[1].splitlines() == [
            f"{first}|lagp|COMPLETED",
            f"{first + 1}_5|lago|COMPLETED",
            f"{first + 2}_0|laga|COMPLETED",
            f"{first + 2}_1|laga|COMPLETED",
        ]


def test_versions(scene: Any) -> None:
    with scene("versions") as player:
        player.play()
