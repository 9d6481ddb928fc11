"""Scenarios of jobs that are queued, running, found again and cancelled."""

# ruff: noqa: D102, S106 - the names of tests are sentences, and a token is no password.

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from reflow.executors.batch.base import SCRIPT_NAME, BatchExecutor
from reflow.model.jobs import AGAIN_NAME, JobHandle, JobRequest, JobStatus
from reflow.model.states import FailureCause, JobState
from reflow.testing.executors.bench import Bench
from reflow.testing.executors.on_site import OnSite

LATER = timedelta(hours=1)
"""The begin time of a job that is to wait, from now."""
SLEEP = "echo begun >>begun; sleep 300"
"""The work of a job that runs until it is cancelled."""


def never_ran(status: JobStatus) -> bool:
    """Tell whether the status fits a job that was cancelled before it began."""
    if status.state is JobState.FAILED:
        return status.cause is FailureCause.SUBMIT
    return status.state in (JobState.CANCELLED, JobState.UNKNOWN)


class LifeScenarios(OnSite):
    """The scenarios of jobs and arrays without faults, and of their cancellation."""

    # -- running ---------------------------------------------------------------------------
    def test_a_plain_job_runs_where_and_with_what_it_is_to(self, bench: Bench) -> None:
        handle = bench.submit(
            'pwd >seen; printf "%s" "$GIVEN" >>seen; echo printed', environment={"GIVEN": "it's\n2"}
        )

        bench.until_over(handle)

        status = bench.status(handle)
        assert (status.state, status.cause) == (JobState.COMPLETED, None)
        assert bench.file("seen").read_text() == f"{bench.folder}\nit's\n2"
        assert "printed" in bench.log(handle)

    def test_of_two_elements_each_is_told_its_position_once(self, bench: Bench) -> None:
        handle = bench.submit('echo "$1" >>seen', size=2)

        bench.until_over(handle)

        assert bench.states(handle) == [JobState.COMPLETED, JobState.COMPLETED]
        assert sorted(bench.file("seen").read_text().split()) == ["0", "1"]

    def test_of_a_thousand_elements_each_runs_once(self, bench: Bench) -> None:
        size = self.many_elements
        handle = bench.submit('echo "$1" >>seen', size=size)

        bench.until_over(handle)

        statuses = bench.by_position(handle).values()
        assert [status for status in statuses if status.state is not JobState.COMPLETED] == []
        ran = sorted(map(int, bench.file("seen").read_text().split()))
        assert ran == list(range(size))

    def test_no_more_elements_run_at_once_than_wanted(self, bench: Bench) -> None:
        if not bench.executor.capabilities.throttle:
            pytest.skip(
                f"{bench.executor.name} cannot limit elements at once (capabilities.throttle)"
            )
        bench.file("now").mkdir()
        handle = bench.submit(
            'mkdir now/$1; ls now | wc -l >>most; sleep 0.3; rmdir "now/$1"', size=7, throttle=2
        )

        bench.until_over(handle)

        most = [int(number) for number in bench.file("most").read_text().split()]
        assert len(most) == 7
        assert max(most) == 2

    def test_a_job_that_is_to_begin_later_waits(self, bench: Bench) -> None:
        handle = bench.submit("touch begun", begin_in=timedelta(minutes=1))
        status = bench.status(handle)
        assert (status.state, status.impossible) == (JobState.QUEUED, False)

        bench.site.let_time_pass(20)
        assert bench.status(handle).state is JobState.QUEUED
        assert not bench.file("begun").exists()
        bench.site.let_time_pass(130)

        bench.until_over(handle)
        assert bench.file("begun").exists()

    def test_a_watchdog_that_fails_is_submitted_again_under_its_token(self, bench: Bench) -> None:
        request = self.watchdog(bench, "echo >>tried; [ -e back ]")
        bench.hand_in(request)
        bench.site.let_time_pass(130)

        def known() -> list[JobHandle]:
            return list(bench.executor.find(request.token))

        bench.until("another under its token", lambda: len(known()) > 1)
        assert (request.directory / AGAIN_NAME).exists()
        bench.file("back").touch()
        bench.executor.cancel(known())
        bench.until_at_rest(*known())

    def test_a_watchdog_that_fails_is_not_submitted_again_once_the_run_has_ended(
        self, bench: Bench
    ) -> None:
        request = self.watchdog(bench, "false")
        bench.file("ended").touch()
        handle = bench.hand_in(request).job

        bench.site.let_time_pass(130)

        bench.until_over(handle)
        assert [job.native_id for job in bench.executor.find(request.token)] == [handle.native_id]
        assert not (request.directory / AGAIN_NAME).exists()

    def watchdog(self, bench: Bench, line: str) -> JobRequest:
        """Make a request that may be submitted again until there is a file `ended`."""
        executor = bench.executor
        request = bench.request(
            line, begin_in=timedelta(minutes=1), again_unless=bench.file("ended")
        )
        if not isinstance(executor, BatchExecutor) or not executor.again_command(
            request.directory / SCRIPT_NAME, executor.filled(request)
        ):
            pytest.skip(f"{executor.name} leaves it to later watchdogs (again_command)")
        return request

    def test_a_running_job_is_said_to_run(self, bench: Bench) -> None:
        handle = bench.submit(SLEEP)
        bench.until_there("begun")
        bench.until_running(handle)
        assert bench.status(handle).exit_code is None

    # -- asking ----------------------------------------------------------------------------
    def test_many_jobs_are_asked_about_at_once_and_each_gets_its_own_answer(
        self, bench: Bench
    ) -> None:
        codes = (0, 3, 4)
        plain = [bench.submit(f"exit {code}") for code in codes]
        array = bench.submit("exit $1", size=3)
        stays = bench.submit(SLEEP)
        bench.until_over(array, *plain)
        bench.until_running(stays)

        statuses = bench.executor.poll([*plain, array, stays])

        assert {status.native_id for status in statuses} == {
            handle.native_id for handle in (*plain, array, stays)
        }
        by_id = {status.native_id: status for status in statuses}
        assert [by_id[handle.native_id].exit_code or 0 for handle in plain] == [0, 3, 4]
        assert by_id[stays.native_id].state is JobState.RUNNING

    def test_an_id_that_nobody_knows_is_unknown_and_spoils_nothing(self, bench: Bench) -> None:
        stays = bench.submit(SLEEP)
        bench.until_running(stays)
        by_hand = JobHandle(native_id="host:0d3a:4711:99", token="tide-each-0-ffffff")

        statuses = {one.native_id: one.state for one in bench.executor.poll([by_hand, stays])}

        assert statuses == {by_hand.native_id: JobState.UNKNOWN, stays.native_id: JobState.RUNNING}

    def test_asking_about_nothing_says_nothing(self, bench: Bench) -> None:
        assert list(bench.executor.poll([])) == []

    def test_a_thousand_elements_take_as_many_commands_as_ten(
        self, bench: Bench, tmp_path: Path
    ) -> None:
        if not isinstance(bench.executor, BatchExecutor):
            pytest.skip(f"{bench.executor.name} is no BatchExecutor: it runs no commands")
        counts = []
        for size in (10, 1000):
            record = tmp_path / f"{size}.jsonl"
            executor = self.make_executor(command_record=str(record))
            executor.limits()
            executor.poll([executor.submit(bench.request()).job])  # it may find out things
            record.unlink()
            submission = executor.submit(
                bench.request(size=size, begin_in=LATER), bench.request("true")
            )
            bench.remember(submission.job)
            handles = [submission.job]
            if submission.follow_up is not None:
                bench.remember(submission.follow_up)
                handles.append(submission.follow_up)
            executor.poll(handles)
            executor.cancel(handles)
            lines = record.read_text().splitlines()
            counts.append([json.loads(line)["argv"][0] for line in lines])

        assert len(counts[1]) <= len(counts[0]) + self.more_commands
        assert len(counts[0]) <= 8

    def test_limits_are_numbers_that_let_something_through(self, bench: Bench) -> None:
        limits = bench.executor.limits()
        assert limits.max_array_size is None or limits.max_array_size >= 2
        assert limits.max_submit_jobs is None or limits.max_submit_jobs >= 1
        assert limits.queued_jobs >= 0

    def test_what_waits_takes_places_in_the_queue(self, bench: Bench) -> None:
        if not isinstance(bench.executor, BatchExecutor):
            pytest.skip(
                f"{bench.executor.name} is no BatchExecutor: it has no queue that others share"
            )
        executor = self.make_executor(max_submit_jobs=5000, max_array_size=77)
        before = executor.limits()
        assert (before.max_submit_jobs, before.max_array_size) == (5000, 77)

        bench.submit("true", size=5, begin_in=LATER)

        assert executor.limits().queued_jobs - before.queued_jobs == 5

    # -- finding ---------------------------------------------------------------------------
    @pytest.mark.parametrize("size", [None, 2])
    def test_a_job_is_found_by_its_token_before_and_after_its_end(
        self, bench: Bench, size: int | None
    ) -> None:
        request = bench.request("while ! [ -e go ]; do sleep 0.05; done", size=size)
        handle = bench.hand_in(request).job

        assert [found.native_id for found in bench.executor.find(request.token)] == [
            handle.native_id
        ]
        bench.file("go").touch()
        bench.until_over(handle)
        assert [found.native_id for found in bench.executor.find(request.token)] == [
            handle.native_id
        ]

    def test_a_token_that_nobody_has_finds_nothing(self, bench: Bench) -> None:
        request = bench.request(SLEEP)
        bench.hand_in(request)
        for token in ("no-such-token-at-all", request.token[:-1], f"{request.token}0"):
            assert list(bench.executor.find(token)) == []

    # -- cancelling ------------------------------------------------------------------------
    @pytest.mark.parametrize("size", [None, 3])
    def test_what_is_cancelled_while_it_waits_never_begins(
        self, bench: Bench, size: int | None
    ) -> None:
        handle = bench.submit("touch begun", begin_in=LATER, size=size)

        bench.executor.cancel([handle])

        bench.until_at_rest(handle)
        assert [one for one in bench.by_position(handle).values() if not never_ran(one)] == []
        assert not bench.file("begun").exists()

    @pytest.mark.parametrize("size", [None, 3])
    def test_what_is_cancelled_while_it_runs_ends_and_is_not_said_to_be_done(
        self, bench: Bench, size: int | None
    ) -> None:
        handle = bench.submit(f"{SLEEP} && touch survived", size=size)
        bench.until("all to run", lambda: set(bench.states(handle)) == {JobState.RUNNING})
        bench.until_there("begun")

        bench.executor.cancel([handle])

        bench.until_at_rest(handle)
        assert JobState.COMPLETED not in bench.states(handle)
        assert not bench.file("survived").exists()

    def test_the_work_is_told_to_end_before_it_is_killed(self, bench: Bench) -> None:
        handle = bench.submit(
            "trap 'touch told; exit 1' INT TERM; touch begun; while :; do sleep 0.05; done"
        )
        bench.until_there("begun")
        bench.until_running(handle)

        bench.executor.cancel([handle])

        bench.until_at_rest(handle)
        if self.warns_before_kill:
            assert bench.file("told").exists()

    def test_some_elements_are_cancelled_and_the_others_go_on(self, bench: Bench) -> None:
        handle = bench.submit("while ! [ -e go ]; do sleep 0.05; done; echo $1 >>done", size=4)
        bench.until("all to run", lambda: set(bench.states(handle)) == {JobState.RUNNING})

        bench.executor.cancel_positions(handle, [0, 2])

        bench.until(
            "two to end",
            lambda: (
                [bench.states(handle)[position] for position in (0, 2)].count(JobState.RUNNING) == 0
            ),
        )
        bench.file("go").touch()
        bench.until_elements_over(handle, 1, 3)
        states = bench.states(handle)
        assert [states[position] for position in (1, 3)] == [JobState.COMPLETED] * 2
        assert JobState.COMPLETED not in [states[position] for position in (0, 2)]
        assert sorted(bench.file("done").read_text().split()) == ["1", "3"]

    def test_elements_that_wait_are_cancelled_and_the_others_run(self, bench: Bench) -> None:
        if not bench.executor.capabilities.throttle:
            pytest.skip(f"{bench.executor.name} cannot make elements wait (capabilities.throttle)")
        line = "while ! [ -e go ]; do sleep 0.05; done; echo $1 >>done"
        handle = bench.submit(line, size=5, throttle=1)
        bench.until("the first to run", lambda: bench.states(handle)[0] is JobState.RUNNING)

        bench.executor.cancel_positions(handle, [1, 3])

        bench.file("go").touch()
        bench.until_elements_over(handle, 0, 2, 4)
        statuses = bench.by_position(handle)
        assert [statuses[position].state for position in (0, 2, 4)] == [JobState.COMPLETED] * 3
        assert [
            statuses[position] for position in (1, 3) if not never_ran(statuses[position])
        ] == []
        assert sorted(bench.file("done").read_text().split()) == ["0", "2", "4"]

    def test_cancelling_no_elements_does_nothing(self, bench: Bench) -> None:
        handle = bench.submit("exit $1", size=2)
        bench.executor.cancel_positions(handle, [])
        bench.until_over(handle)
        assert bench.states(handle) == [JobState.COMPLETED, JobState.FAILED]

    def test_cancelling_what_is_over_or_unknown_is_silent(self, bench: Bench) -> None:
        handle = bench.submit()
        bench.until_over(handle)
        unknown = JobHandle(native_id="host:0d3a:4711:99", token="tide-each-0-ffffff")

        bench.executor.cancel([handle, unknown])
        bench.executor.cancel([handle])
        bench.executor.cancel_positions(handle, [0])
        bench.executor.cancel([])

        assert bench.status(handle).state is JobState.COMPLETED
