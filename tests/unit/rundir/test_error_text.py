"""Exceptions in words: bounded, and with what a program said."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest
from reflow.codecs.codecs import Codecs
from reflow.errors import UnstorableValueError
from reflow.model.records import FailedInstance
from reflow.model.states import FailureCause
from reflow.rundir.error_text import LONGEST_ERROR, bounded, failure_text, summary
from reflow.rundir.remote_error import exception_of


def silent() -> str:
    return ""


def test_a_long_text_loses_its_middle_and_says_how_much() -> None:
    text = bounded("a" * 5_000 + "b" * 5_000, 1_000)
    assert text.startswith("a" * 500)
    assert text.endswith("b" * 500)
    assert "9,000 characters left out" in text


def test_a_text_within_bounds_stays_as_it_is() -> None:
    assert bounded("x" * LONGEST_ERROR) == "x" * LONGEST_ERROR


def test_a_summary_is_one_line_however_long_the_message() -> None:
    text = summary(ValueError("line\n" * 100_000))
    assert "\n" not in text
    assert len(text) < LONGEST_ERROR + 100


class ShError(Exception):
    """As libraries that run programs have them."""

    exit_code = 2
    stderr = b"no such index\n"


@pytest.mark.parametrize(
    ("error", "printed", "said"),
    [
        (subprocess.CalledProcessError(3, "x", stderr="a\nlast words\n"), "log", "last words"),
        (subprocess.CalledProcessError(3, "x", output=b"only output"), "log", "only output"),
        (subprocess.CalledProcessError(3, "x"), "first\nend of the log\n", "end of the log"),
        (subprocess.TimeoutExpired("x", 3, stderr=b"still busy"), "log", "still busy"),
        (ShError(), "log", "no such index"),
    ],
)
def test_a_programs_last_words_stand_beside_its_failure(
    error: Exception, printed: str, said: str
) -> None:
    assert failure_text(error, lambda: printed).error.endswith(f"; its last output: {said}")


def test_an_exception_of_the_tasks_own_says_nothing_of_the_log() -> None:
    def never() -> str:
        raise AssertionError("the log was read")

    text = failure_text(ValueError("mine"), never)
    assert (text.error, text.last_output) == ("ValueError: mine", "")


def test_a_program_that_said_nothing_adds_nothing() -> None:
    error = subprocess.CalledProcessError(3, "x")
    assert failure_text(error, silent).error == summary(error)


def failed(error: str, traceback: str) -> FailedInstance:
    return FailedInstance(
        task="t",
        index=None,
        cause=FailureCause.ERROR,
        error=error,
        traceback=traceback,
        log="",
        job_id="",
        attempt=1,
    )


@pytest.mark.parametrize(
    ("error", "traceback", "kind"),
    [
        ("KeyError: 'a'", "Traceback\nKeyError: 'a'\n", KeyError),
        ("CalledProcessError: it", "Traceback\nsubprocess.CalledProcessError: it\n", None),
        ("Unknown: it", "Traceback\nnowhere.Unknown: it\n", None),
        ("SystemExit: 3", "Traceback\nSystemExit: 3\n", None),
        ("out of memory", "", None),
    ],
)
def test_an_exception_is_made_anew_only_where_that_is_safe(
    error: str, traceback: str, kind: Any
) -> None:
    made = exception_of(failed(error, traceback))
    assert type(made).__name__ == (kind.__name__ if kind else "TaskFailedError")
    assert error.partition(": ")[2] in str(made)


def test_what_reflow_itself_refuses_is_told_without_its_own_frames() -> None:
    with pytest.raises(UnstorableValueError) as caught:
        Codecs().encode(object())
    raised_inside = caught.value.with_traceback(caught.tb.tb_next)
    assert failure_text(raised_inside, silent).traceback.count("\n") == 1


def test_what_a_task_does_to_be_refused_keeps_the_tasks_frames() -> None:
    def task() -> None:
        Codecs().encode(object())

    with pytest.raises(UnstorableValueError) as caught:
        task()
    assert ", in task" in failure_text(caught.value, silent).traceback
