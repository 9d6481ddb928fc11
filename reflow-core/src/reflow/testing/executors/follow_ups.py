"""Scenarios of follow-ups, the dispatch jobs that start after work, in every order of events."""

# ruff: noqa: D102 - the names of tests are sentences.

from __future__ import annotations

from collections.abc import Callable

import pytest

from reflow.executors.batch.base import BatchExecutor
from reflow.model.jobs import JobHandle, JobRequest, Submission
from reflow.model.states import JobState
from reflow.testing.executors.bench import Bench
from reflow.testing.executors.life import LATER, SLEEP
from reflow.testing.executors.on_site import OnSite

SIZES = (None, 2)


class FollowUpScenarios(OnSite):
    """The scenarios of follow-ups, which start once the work is over, however it ended."""

    def together(
        self, bench: Bench, line: str, follow_up: str = "touch after", **fields: object
    ) -> tuple[JobHandle, JobHandle]:
        """Submit work and a follow-up that is accepted."""
        self.needs_dispatch_jobs(bench)
        submission = bench.hand_in(bench.request(line, **fields), bench.request(follow_up))
        assert submission.follow_up is not None
        return submission.job, submission.follow_up

    @pytest.mark.parametrize("size", SIZES)
    def test_it_waits_for_the_last_element_and_then_starts(
        self, bench: Bench, size: int | None
    ) -> None:
        work, after = self.together(
            bench,
            "while ! [ -e go ]; do sleep 0.05; done; echo $1 >>done",
            "cp done after",
            size=size,
        )
        bench.until("the start", lambda: JobState.RUNNING in bench.states(work))
        assert bench.status(after).state is JobState.QUEUED
        assert not bench.status(after).impossible

        bench.file("go").touch()

        bench.until_over(work, after)
        assert bench.status(after).state is JobState.COMPLETED
        assert len(bench.file("after").read_text().split()) == (size or 1)

    @pytest.mark.parametrize("size", SIZES)
    def test_it_starts_after_work_that_failed(self, bench: Bench, size: int | None) -> None:
        work, after = self.together(bench, "exit 3", size=size)

        bench.until_over(work, after)

        assert bench.status(after).state is JobState.COMPLETED
        assert bench.file("after").exists()

    @pytest.mark.parametrize("size", SIZES)
    def test_it_starts_after_work_that_was_cancelled_while_it_ran(
        self, bench: Bench, size: int | None
    ) -> None:
        work, after = self.together(bench, SLEEP, size=size)
        bench.until("the start", lambda: JobState.RUNNING in bench.states(work))
        bench.until_there("begun")

        bench.executor.cancel([work])

        bench.until_there("after")
        bench.until_over(after)

    @pytest.mark.parametrize("size", SIZES)
    def test_it_starts_after_work_that_was_deleted_while_it_waited(
        self, bench: Bench, size: int | None
    ) -> None:
        work, _ = self.together(bench, SLEEP, size=size, begin_in=LATER)

        bench.executor.cancel([work])

        bench.until_at_rest(work)
        if not self.follow_up_survives_deletion:
            pytest.skip(
                f"{bench.site.name} keeps what waits for a job deleted while it waited "
                "(follow_up_survives_deletion)"
            )
        bench.until_there("after")
        assert not bench.file("begun").exists()

    @pytest.mark.parametrize("size", SIZES)
    def test_it_starts_where_the_work_is_over_before_it_is_submitted(
        self, bench: Bench, size: int | None
    ) -> None:
        submission = self.with_a_pause(bench, size, lambda: None)

        assert submission.follow_up is not None
        bench.until_there("after")

    @pytest.mark.parametrize("size", SIZES)
    def test_it_starts_or_is_not_accepted_where_the_work_is_forgotten_by_then(
        self, bench: Bench, size: int | None
    ) -> None:
        submission = self.with_a_pause(bench, size, bench.site.forget_for_good)

        if submission.follow_up is None:
            # Refused in time, so that the run does not rely on it.
            assert bench.file("work").exists()
        elif self.follow_up_survives_oblivion:
            bench.until_there("after")

    def with_a_pause(self, bench: Bench, size: int | None, event: Callable[[], None]) -> Submission:
        """Submit work and follow-up; call `event` between them, when the work is over."""
        self.needs_dispatch_jobs(bench)
        executor = bench.executor
        if not isinstance(executor, BatchExecutor):
            pytest.skip(
                f"{executor.name} is no BatchExecutor: it submits work and follow-up in one step"
            )
        work = bench.request("echo >>work", size=size)
        really = executor.submit_one

        def submit_one(request: JobRequest, after: JobHandle | None = None) -> JobHandle:
            handle = really(request, after)
            if request is work:
                bench.until_there("work")
                bench.until_over(handle)
                event()
            return handle

        executor.submit_one = submit_one  # type: ignore[method-assign]
        return bench.hand_in(work, bench.request("touch after"))

    def test_cancelling_both_leaves_nothing(self, bench: Bench) -> None:
        work, after = self.together(bench, SLEEP, begin_in=LATER)

        bench.executor.cancel([work, after])

        bench.until_at_rest(work, after)
        assert not bench.file("begun").exists()
        assert not bench.file("after").exists()
