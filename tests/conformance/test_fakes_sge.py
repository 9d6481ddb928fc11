"""The fake Grid Engine prints what the real one printed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.scenes import Player, load, playing

VARYING = (
    (re.compile(r"\d\d/\d\d/\d{4} \d\d:\d\d:\d\d"), "MOMENT"),
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d"), "MOMENT"),
    (re.compile(r"\w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \d{4}"), "MOMENT"),
    (re.compile(r"\b0\.\d{5}\b"), "PRIORITY"),
    # A job is in transfer for a moment only.
    (re.compile(r" t     MOMENT"), " r     MOMENT"),
    (re.compile(r"<state>t</state>"), "<state>r</state>"),
    (re.compile(r"^(ru_\w+|cpu|mem|io|iow|maxvmem)( +).*", re.MULTILINE), r"\1\2N"),
    (re.compile(r"\[0:\d+\]"), "[0:PID]"),
    (re.compile(r"/scratch/reflow-lab/\S+|/tmp/fake-\w+/\S+"), "PATH"),
    (re.compile(r"^(sge_o_home:).*", re.MULTILINE), r"\1 HOME"),
    (re.compile(r"^scheduling info:.*|^ {28}\S.*", re.MULTILINE), ""),
)


def normalise(text: str) -> str:
    """Replace what differs from one time to the next; the order of lines is left out too."""
    for pattern, instead in VARYING:
        text = pattern.sub(instead, text)
    return "\n".join(sorted(text.splitlines()))


@pytest.fixture
def scene(tmp_path: Path) -> Any:
    """Set a recorded scene."""

    @contextmanager
    def set_scene(name: str, **keywords: Any) -> Iterator[Player]:
        settings = {"reschedule_delay": 0.0, **keywords}
        steps = load("sge", name)
        with playing("sge", steps, tmp_path, normalise, place="sge", **settings) as player:
            yield player

    return set_scene


def test_a_plain_job_from_submission_to_the_end(scene: Any) -> None:
    with scene("submit-plain") as player:
        player.play()
        player.fake.wait_for("1", "running")
        player.through(5)
        player.skip()
        player.play(tidy=lambda text: re.sub(r"^\S+/accounting", "ACCOUNTING", text))
        player.open(3)
        player.fake.wait_for("1")
        player.play(4)
        player.skip()
        player.through(14)
        player.fake.wait_until_idle()
        player.through(16)


def test_an_array_while_it_is_partly_started(scene: Any) -> None:
    with scene("array-limit-pending-running", first_number=31) as player:
        player.play()
        player.fake.wait_for("31.2", "running")
        player.through(6)
        player.skip()
        player.open(3)
        player.fake.wait_for("31")
        player.through(10)
        player.play(tidy=lambda text: "\n".join(text.splitlines()[:90]))
        player.play()


def test_arrays_of_one_and_odd_ranges(scene: Any) -> None:
    with scene("array-one-element", first_number=32) as player:
        player.play()
        player.fake.wait_for("32", "running")
        player.play()
        player.open(2)
        player.fake.wait_for("32")
        player.through(15)


def test_parts_of_an_array_are_deleted(scene: Any) -> None:
    with scene("array-cancel-parts", first_number=41) as player:
        player.play()
        player.fake.wait_for("41.2", "running")
        player.through(5)
        # After a deletion the limit does not hold: five run, whichever.
        player.skip()
        assert sum(" r " in line for line in player.run("qstat")[1].splitlines()) == 5
        player.play()
        player.skip()
        player.run("qdel 41")


def test_deleting_in_every_state(scene: Any) -> None:
    with scene("cancel", first_number=41) as player:
        player.run("echo true | qsub")
        player.fake.wait_for("41")
        player.play()
        player.fake.wait_for("42", "running")
        player.through(15)
        player.fake.wait_for("42")
        player.play()
        player.fake.wait_for("46", "running")
        player.play()
        player.skip()
        player.fake.wait_for("46")
        player.through(21)
        player.fake.wait_for("47")
        player.through(23)
        player.wait_asleep(0.2)
        player.play()
        player.fake.wait_for("48")
        player.play()


def test_unknown_and_malformed_ids(scene: Any) -> None:
    with scene("query-unknown-ids", first_number=49) as player:
        player.play(2)
        player.fake.wait_for("49", "running")
        player.fake.wait_for("50")
        player.through(14)


def test_dependencies_of_every_kind(scene: Any) -> None:
    with scene("dependencies", first_number=54) as player:
        player.play(15)
        for job in ("54", "55", "56", "57", "58"):
            player.fake.wait_for(job, "running")
        player.play()
        player.skip()
        player.play()
        player.open(3, 4)
        for job in ("59", "60", "61", "62", "64", "65", "68"):
            player.fake.wait_for(job)
        player.play(2)
        for job in ("63", "67"):
            player.fake.wait_for(job)
        player.through(22)
        player.play()
        player.run("true | qsub -h")
        player.skip()


def test_jobs_that_are_held_or_wait_for_their_time(scene: Any) -> None:
    with scene("held", first_number=51) as player:
        player.play(3)
        player.fake.wait_for("51")
        player.play(7)
        player.fake.wait_for("53", "running")
        player.through(17)


def test_limits_on_time_and_memory(scene: Any) -> None:
    with scene("limits-time-and-memory", first_number=71) as player:
        player.steps = [  # three seconds of work are too many here
            replace(
                step,
                command=step.command.replace("h_cpu=0:0:3", "h_cpu=0:0:1"),
                stdout=step.stdout.replace("h_cpu=3", "h_cpu=1"),
            )
            for step in player.steps
        ]
        player.play(4)
        player.wait_asleep(60)
        player.wait_asleep(0.2)
        player.fake.advance(3.9)
        player.fake.wait_for("72")
        player.fake.advance(1)
        player.fake.wait_until_idle()
        player.through(11)


def test_how_jobs_end(scene: Any) -> None:
    with scene("outcomes-exit-codes-and-signals", first_number=19, reschedule_delay=60) as player:
        player.play(8)
        player.fake.wait_until_idle()
        player.play(8)
        player.play()
        player.fake.wait_for("27", "running")
        player.play()
        player.open(1)
        player.fake.wait_for("27", "pending")
        player.play()
        player.run("qdel 27")
        player.play()
        player.fake.wait_for("28", "pending")
        player.through(23)
        player.fake.advance(61)
        player.fake.wait_for("28", "pending")
        player.through(27)
        player.fake.wait_for("29", "pending")
        player.through(33)
        player.fake.wait_for("30", "pending")
        player.through(36)


def test_exit_99_puts_any_job_back(scene: Any) -> None:
    with scene("exit-99-without-r", first_number=2) as player:
        player.play()
        player.fake.wait_for("2", "over")
        player.skip()
        player.play()
        player.play(2)
        player.fake.wait_until_idle()
        player.play()


def test_names_that_are_refused(scene: Any) -> None:
    with scene("submit-odd", first_number=4) as player:
        player.play(4)
        player.open(1)
        player.fake.wait_until_idle()
        player.through(19)


def test_what_is_refused_and_what_waits_for_ever(scene: Any) -> None:
    with scene("rejected-submissions", first_number=75) as player:
        player.through(9)
        player.fake.wait_for("84")
        player.play(7)
        player.through(19)
        player.skip()
        player.through(22)
        player.skip()
        player.through(30)
        for job in ("92", "93", "94"):
            player.fake.wait_for(job, "running")
        player.play(2)


def test_a_job_is_rescheduled(scene: Any) -> None:
    with scene("reschedule", first_number=112, reschedule_delay=60) as player:
        player.play(2)
        player.wait_asleep(8, jobs=2)
        player.play()
        player.fake.wait_for("112", "pending")
        player.play(2)
        player.play()
        player.fake.advance(61)
        player.fake.wait_for("112", "running")
        player.open(8)
        player.fake.wait_for("112")
        player.play(2)


def test_the_limit_on_concurrency_is_lost_with_a_deletion(scene: Any) -> None:
    with scene("task-concurrency-limit-after-qdel", first_number=131) as player:
        player.play()
        player.fake.wait_for("131.2", "running")
        player.fake.pause()
        player.play(3)
        player.fake.unpause()
        player.play()
        player.skip()
        player.fake.wait_for("131.1")
        assert sum(" r " in line for line in player.run("qstat")[1].splitlines()) == 4


def test_an_array_counts_once_for_the_limit_of_jobs(scene: Any) -> None:
    with scene("user-job-limit-and-arrays", first_number=127) as player:
        player.play(7)


def test_the_master_is_down(scene: Any) -> None:
    with scene("qmaster-down", first_number=235) as player:
        player.play()
        player.fake.wait_for("235", "running")
        player.run("echo true | qsub")
        player.fake.wait_for("236")
        player.fake.go_down()
        player.play(6)
        player.open(15)
        player.fake.come_up()
        player.fake.wait_for("235")
        player.play(2)


def test_accounting_is_late(scene: Any) -> None:
    with scene("accounting-lag", first_number=236, flush_time=15) as player:
        player.play()
        player.open(2)
        player.fake.wait_for("236")
        assert player.run("qstat -j 236")[0] == 1
        assert player.run("qacct -j 236")[0] == 1
        assert " z " in player.run("qstat -s z")[1]
        player.fake.advance(16)
        assert "exit_status  3" in player.run("qacct -j 236")[1]


def test_variables_in_a_job(scene: Any) -> None:
    with scene("environment-in-a-job", first_number=114) as player:
        player.play(3)
        player.fake.wait_until_idle()
        wanted = variables(player.steps[player.at].stdout)
        found = variables(player.do())
        assert wanted.keys() == found.keys() - {"TMPDIR"}
        player.skip()
        player.play(tidy=lambda text: re.sub(r"(?m)^TMP.*\n", "", text))
        player.play()
        player.play(4)
        for job in ("117", "118", "120"):
            player.fake.wait_for(job)
        player.fake.wait_for("119", "pending")
        player.through(12)
        player.play()
        player.fake.wait_until_idle()
        player.play()


def variables(text: str) -> dict[str, str]:
    """The variables that a job printed."""
    return dict(line.split("=", 1) for line in text.splitlines() if re.match(r"[A-Z_]+=", line))


def test_versions(scene: Any) -> None:
    with scene("versions") as player:
        player.play()
