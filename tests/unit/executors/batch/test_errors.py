from __future__ import annotations

import pytest
from reflow.errors import (
    ExecutorError,
    SubmissionDeferredError,
    SubmissionRefusedError,
    SubmissionUncertainError,
)
from reflow.executors.batch.command import CommandResult
from reflow.executors.batch.errors import ErrorTable

TABLE = ErrorTable(
    submission=(
        (5, SubmissionDeferredError),
        (r"no answer", SubmissionUncertainError),
        (r"full", SubmissionDeferredError),
    ),
    advice=((r"no pond", "Set queue= to one that there is"),),
    over=(3, r"unknown job"),
)


@pytest.mark.parametrize(
    ("said", "code", "kind"),
    [
        ("too many", 5, SubmissionDeferredError),
        ("full, and no answer", 1, SubmissionUncertainError),
        ("pondsub: full", 1, SubmissionDeferredError),
        ("no pond 5", 1, SubmissionRefusedError),
    ],
)
def test_the_first_row_that_matches_says_what_a_complaint_means(
    said: str, code: int, kind: type[ExecutorError]
) -> None:
    assert type(TABLE.submission_error("Pond", "pondsub", said, code)) is kind


@pytest.mark.parametrize(
    ("said", "text"),
    [
        ("no pond 5.", "Pond refused the job: no pond 5. Set queue= to one that there is"),
        ("no fish", "Pond refused the job: no fish"),
        ("pondsub: full", "pondsub: full"),
        ("full", "pondsub: full"),
    ],
)
def test_an_error_is_told_in_the_schedulers_words_with_advice(said: str, text: str) -> None:
    assert str(TABLE.submission_error("Pond", "pondsub", said, 1)) == text


@pytest.mark.parametrize(
    ("code", "stderr", "done"),
    [
        (0, "anything", True),
        (3, "anything", True),
        (1, "unknown job 4\n\nunknown job 5\n", True),
        (1, "unknown job 4\nnot permitted\n", False),
        (1, "", False),
    ],
)
def test_complaints_about_jobs_that_are_over_leave_nothing_undone(
    code: int, stderr: str, done: bool
) -> None:
    result = CommandResult(argv=("pondkill",), exit_code=code, stdout="", stderr=stderr)
    assert TABLE.is_done(result) is done
