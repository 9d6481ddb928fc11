"""What workers publish, and how it is read back."""

from __future__ import annotations

import json

import pytest
from reflow.engine.results import ResultRecord
from reflow.model.states import FailureCause, TaskState

RECORD = ResultRecord(
    position=3,
    index=7,
    attempt=2,
    state=TaskState.FAILED,
    cause=FailureCause.SIGNAL,
    error="killed",
    started_at=1.5,
    ended_at=2.5,
    notes=(("argument x", "it is changed"),),
)


def test_a_record_comes_back_as_it_was_published() -> None:
    assert ResultRecord.parse(RECORD.line()) == RECORD


def test_a_record_of_an_older_reflow_is_read_with_defaults_for_what_it_lacks() -> None:
    older = json.loads(RECORD.line())[:19]
    record = ResultRecord.parse(json.dumps(older).encode())
    assert (record.error, record.notes) == ("killed", ())


@pytest.mark.parametrize("cut", [1, 5, 18])
def test_a_record_that_lacks_what_every_version_has_is_no_record(cut: int) -> None:
    with pytest.raises(ValueError, match="not a result record"):
        ResultRecord.parse(json.dumps(json.loads(RECORD.line())[:cut]).encode())
