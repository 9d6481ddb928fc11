"""Scenarios of jobs that end badly, each for its own cause."""

# ruff: noqa: D102 - the names of tests are sentences.

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from reflow.errors import SubmissionRefusedError
from reflow.executors.contract import ChecksRequests
from reflow.model.jobs import JobHandle, JobStatus
from reflow.model.resources import Resources
from reflow.model.states import FailureCause, JobState
from reflow.testing.executors.bench import Bench
from reflow.testing.executors.life import SLEEP
from reflow.testing.executors.on_site import OnSite

MINUTE = timedelta(minutes=1)
MIB = 1024**2


def failed_for(status: JobStatus, cause: FailureCause) -> bool:
    """Tell whether a job has failed, for that cause or with only an exit code or signal given."""
    told = status.exit_code is not None or status.signal is not None
    return status.state is JobState.FAILED and (
        status.cause is cause or (status.cause is None and told)
    )


class EndScenarios(OnSite):
    """The scenarios of jobs that fail, one for each cause."""

    def test_elements_end_each_with_its_own_exit_code(self, bench: Bench) -> None:
        codes = (0, 3, 70, 126)
        line = f"set -- $1 {' '.join(map(str, codes))}; shift $1; exit $2"
        handle = bench.submit(line, size=len(codes))

        bench.until_over(handle)

        statuses = bench.by_position(handle)
        assert statuses[0].state is JobState.COMPLETED
        assert [statuses[position].exit_code for position in (1, 2, 3)] == [3, 70, 126]
        assert all(failed_for(statuses[place], FailureCause.EXIT_CODE) for place in (1, 2, 3))

    @pytest.mark.parametrize("code", [1, 99, 100, 255])
    def test_a_failure_is_one_whatever_its_code_and_is_not_run_again(
        self, bench: Bench, code: int
    ) -> None:
        handle = bench.submit(f"echo >>tries; exit {code}")

        bench.until_over(handle)

        assert bench.status(handle).state is JobState.FAILED
        assert bench.file("tries").read_text() == "\n"

    @pytest.mark.parametrize("signal", [9, 11])
    def test_a_death_by_signal_is_told_and_is_never_done(self, bench: Bench, signal: int) -> None:
        handle = bench.submit(f"kill -{signal} $$")

        bench.until_over(handle)

        status = bench.status(handle)
        assert status.state is JobState.FAILED
        assert signal in (status.signal, (status.exit_code or 0) - 128)

    def test_running_out_of_time_is_told(self, bench: Bench) -> None:
        self.needs_walltime(bench)
        handle = bench.submit(SLEEP, resources=Resources(time=MINUTE))
        bench.until_there("begun")
        bench.until_running(handle)

        bench.site.let_time_pass(130)

        bench.until_over(handle)
        status = bench.status(handle)
        assert (status.state, status.cause) == (JobState.FAILED, FailureCause.WALLTIME)

    def test_running_out_of_memory_is_told_where_the_scheduler_kills_for_it(
        self, bench: Bench
    ) -> None:
        if not bench.executor.capabilities.memory_limit:
            pytest.skip(f"{bench.executor.name} does not limit memory (capabilities.memory_limit)")
        handle = bench.submit(SLEEP, resources=Resources(mem=100 * MIB))
        bench.until_there("begun")
        bench.until_running(handle)

        bench.site.exceed_memory(handle)

        bench.until_over(handle)
        status = bench.status(handle)
        assert status.state is JobState.FAILED
        assert status.cause in (FailureCause.MEMORY, *self.memory_may_look_like)

    def test_a_node_that_dies_does_not_make_a_job_done(self, bench: Bench) -> None:
        handle = bench.submit(SLEEP)
        bench.until_there("begun")
        bench.until_running(handle)

        bench.site.lose_node(handle)

        bench.until("something to be said", lambda: bench.status(handle))
        status = bench.status(handle)
        assert status.state is not JobState.COMPLETED
        if status.state is JobState.FAILED:
            assert status.cause is not FailureCause.EXIT_CODE

    def test_a_missing_working_directory_fails_the_job(self, bench: Bench) -> None:
        handle = bench.submit("true", working_directory=bench.folder / "gone")

        bench.until_over(handle)

        assert bench.status(handle).state is JobState.FAILED

    def test_a_job_whose_log_cannot_be_written_fails_or_is_lost_and_is_never_done(
        self, bench: Bench
    ) -> None:
        request = bench.request("touch ran", begin_in=timedelta(seconds=10))
        handle = bench.hand_in(request).job
        shutil.rmtree(request.directory)

        bench.site.let_time_pass(130)

        bench.until_at_rest(handle)
        assert bench.status(handle).state in (JobState.FAILED, JobState.UNKNOWN)
        assert not bench.file("ran").exists()

    def test_a_job_that_vanishes_while_it_runs_is_unknown(self, bench: Bench) -> None:
        handle = bench.submit(SLEEP)
        bench.until_there("begun")
        bench.site.vanish(handle)
        assert bench.status(handle).state is JobState.UNKNOWN

    def test_a_job_that_vanishes_while_it_waits_is_unknown(self, bench: Bench) -> None:
        handle = bench.submit("touch begun", begin_in=timedelta(hours=1))
        bench.site.vanish(handle)
        assert bench.status(handle).state is JobState.UNKNOWN

    # -- what is not taken -----------------------------------------------------------------
    def test_a_refusal_is_told_and_leaves_nothing_in_the_queue(self, bench: Bench) -> None:
        self.needs_scheduler(bench)
        request = bench.request(SLEEP, resources=self.refused)
        follow_up = bench.request(SLEEP)

        with pytest.raises(SubmissionRefusedError) as caught:
            bench.hand_in(request, follow_up)

        assert len(str(caught.value)) > 20, "say what the scheduler said"
        for token in (request.token, follow_up.token):
            left = bench.executor.find(token)
            bench.until_at_rest(*left)
        assert not bench.file("begun").exists()

    def test_what_can_never_be_met_is_told(self, bench: Bench) -> None:
        self.needs_scheduler(bench)
        try:
            handle = bench.submit("touch ran", resources=self.impossible)
        except SubmissionRefusedError:
            return
        # Some schedulers can tell only after the job has waited for a while.
        long_ago = replace(handle, submitted_at=datetime.now(UTC) - timedelta(hours=1))

        bench.until("a word about it", lambda: self.is_hopeless(bench, long_ago))
        assert not bench.file("ran").exists()

    def test_what_can_never_be_met_is_foreseen_where_the_executor_checks(
        self, bench: Bench
    ) -> None:
        self.needs_scheduler(bench)
        if not isinstance(bench.executor, ChecksRequests):
            pytest.skip("this executor does not check requests")
        small = bench.request()
        found = bench.executor.feasibility(small)
        assert found.impossible == "", "a small job can run, so nothing may be said against it"
        large = bench.request(resources=self.impossible)
        foreseen = bench.executor.feasibility(large)
        # What is not compared cannot be foreseen: then nothing may be claimed of it.
        asked = {"cpus"} if self.impossible.cpus > 1 else set(foreseen.checked)
        if asked <= set(found.checked):
            assert foreseen.impossible
        for request in (small, large):
            assert not bench.executor.find(request.token), "checking must submit nothing"

    def is_hopeless(self, bench: Bench, handle: JobHandle) -> bool:
        """Tell whether the executor reports that a job will never run."""
        status = bench.status(handle)
        over = status.impossible or status.state is JobState.FAILED
        return over and bool(status.reason)
