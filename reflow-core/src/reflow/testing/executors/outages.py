"""Scenarios of schedulers that do not answer, or have forgotten jobs."""

# ruff: noqa: D102 - the names of tests are sentences.

from __future__ import annotations

import time

import pytest

from reflow.errors import SchedulerUnavailableError, SubmissionUncertainError
from reflow.model.states import FailureCause, JobState
from reflow.testing.executors.bench import Bench
from reflow.testing.executors.ends import failed_for
from reflow.testing.executors.life import SLEEP
from reflow.testing.executors.on_site import OnSite


class OutageScenarios(OnSite):
    """The scenarios of outages: an absent job has not succeeded, a silent one has not failed."""

    def hurried(self, bench: Bench) -> Bench:
        """Make the same bench, with an executor that soon gives up."""
        bench.executor = self.make_executor(**self.hurry)
        return bench

    def test_a_scheduler_that_is_down_says_nothing_of_any_job(self, bench: Bench) -> None:
        self.needs_scheduler(bench)
        handle = bench.submit("while ! [ -e go ]; do sleep 0.05; done; exit 4")
        bench.until_running(handle)
        patient = bench.executor
        self.hurried(bench)

        bench.site.go_down()
        with pytest.raises(SchedulerUnavailableError):
            bench.executor.poll([handle])
        with pytest.raises(SchedulerUnavailableError):
            bench.executor.cancel([handle])
        with pytest.raises(SchedulerUnavailableError):
            bench.executor.find(handle.token)
        with pytest.raises((SchedulerUnavailableError, SubmissionUncertainError)):
            bench.executor.submit(bench.request("touch begun"))
        bench.file("go").touch()
        bench.site.come_up()

        bench.executor = patient
        bench.until_over(handle)
        if not self.jobs_survive_outages:
            assert bench.status(handle).state is not JobState.COMPLETED
            return
        assert failed_for(bench.status(handle), FailureCause.EXIT_CODE)
        assert bench.status(handle).exit_code == 4

    def test_a_slow_answer_is_an_answer(self, bench: Bench) -> None:
        self.needs_scheduler(bench)
        handle = bench.submit("exit 3")
        bench.until_over(handle)

        bench.site.slow_queries(0.7)

        assert bench.status(handle).exit_code == 3

    def test_a_question_without_an_answer_is_given_up_and_says_nothing(self, bench: Bench) -> None:
        self.needs_scheduler(bench)
        handle = bench.submit(SLEEP)
        bench.until_running(handle)
        patient = bench.executor
        self.hurried(bench)

        bench.site.hang_queries()
        began = time.monotonic()
        with pytest.raises(SchedulerUnavailableError):
            bench.executor.poll([handle])
        assert time.monotonic() - began < 40

        bench.site.mend()
        bench.executor = patient
        assert bench.status(handle).state is JobState.RUNNING

    @pytest.mark.parametrize("size", [None, 3])
    def test_a_submission_whose_answer_is_lost_is_uncertain_and_found_by_its_token(
        self, bench: Bench, size: int | None
    ) -> None:
        self.needs_scheduler(bench)
        request = bench.request("echo >>ran", size=size)
        bench.site.lose_next_answer()

        with pytest.raises(SubmissionUncertainError):
            bench.executor.submit(request)

        (found,) = bench.until("the job to be found", lambda: bench.executor.find(request.token))
        bench.remember(found)
        bench.until("the work", lambda: bench.file("ran").exists())
        bench.until("all of it", lambda: len(bench.file("ran").read_text()) == (request.size or 1))

    def test_ids_that_the_queue_has_forgotten_are_known_to_accounting_or_unknown(
        self, bench: Bench
    ) -> None:
        well, badly = bench.submit("true"), bench.submit("exit 3")
        array = bench.submit("true", size=2)
        stays = bench.submit(SLEEP)
        bench.until_over(well, badly, array)
        bench.until_running(stays)

        bench.site.forget()

        statuses = {
            status.native_id: status for status in bench.executor.poll([well, badly, stays])
        }
        assert statuses[well.native_id].state in (JobState.COMPLETED, JobState.UNKNOWN)
        assert statuses[badly.native_id].state in (JobState.FAILED, JobState.UNKNOWN)
        assert statuses[stays.native_id].state is JobState.RUNNING
        assert set(bench.states(array)) in ({JobState.COMPLETED}, {JobState.UNKNOWN})

    def test_ids_that_nobody_remembers_are_unknown_and_spoil_nothing(self, bench: Bench) -> None:
        gone, array = bench.submit("true"), bench.submit("exit 3", size=2)
        bench.until_over(gone, array)
        stays = bench.submit(SLEEP)
        bench.until_running(stays)

        bench.site.forget_for_good()

        statuses = {status.native_id: status for status in bench.executor.poll([gone, stays])}
        assert statuses[gone.native_id].state is JobState.UNKNOWN
        assert statuses[stays.native_id].state is JobState.RUNNING
        assert bench.states(array) == [JobState.UNKNOWN, JobState.UNKNOWN]
        bench.executor.cancel([gone, array])
