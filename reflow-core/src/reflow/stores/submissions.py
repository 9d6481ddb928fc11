"""Queries on submissions and on users' requests."""

from __future__ import annotations

from reflow.errors import NotFoundError
from reflow.model.records import RequestRecord, SubmissionRecord, SubmissionState
from reflow.stores import runs
from reflow.stores.database import Session
from reflow.stores.models import NativeId, Request, Submission
from reflow.stores.orm import fn
from reflow.stores.rows import SUBMISSION_COLUMNS, request_record, submission_record, to_json
from reflow.stores.text import plain, stored, stored_or_none

_SUBMISSION = [getattr(Submission, column) for column in SUBMISSION_COLUMNS]


def submissions(session: Session, run_id: str, open_only: bool) -> list[SubmissionRecord]:
    """Return the submissions of a run by number."""
    chosen = Submission.run == runs.key_of(session, run_id)
    if open_only:
        chosen &= Submission.state != SubmissionState.OVER.value
    ids: dict[int, list[str]] = {}
    for key, native_id in session.rows(
        NativeId.select(NativeId.submission, NativeId.native_id)
        .join(Submission, on=(Submission.id == NativeId.submission))
        .where(chosen)
        .order_by(NativeId.id)
    ):
        ids.setdefault(key, []).append(plain(native_id))
    query = Submission.select(Submission.id, *_SUBMISSION).where(chosen)
    return [
        submission_record(row[1:], tuple(ids.get(row[0], ())))
        for row in session.rows(query.order_by(Submission.number))
    ]


def next_number(session: Session, run_id: str) -> int:
    """Return the largest submission number of the run plus one."""
    key = runs.key_of(session, run_id)
    row = session.first(Submission.select(fn.MAX(Submission.number)).where(Submission.run == key))
    return (row[0] if row and row[0] else 0) + 1


def add_native_id(session: Session, run_id: str, token: str, native_id: str) -> None:
    """Add a native id to a submission; one that is there already is no error."""
    key = runs.key_of(session, run_id)
    submission = session.first(
        Submission.select(Submission.id).where(
            (Submission.run == key) & (Submission.token == stored(token))
        )
    )
    if submission is None:
        raise NotFoundError(f"Run {run_id} has no submission with the token {token!r}")
    session.execute(
        NativeId.insert(submission=submission[0], native_id=stored(native_id)).on_conflict_ignore()
    )


def ask(session: Session, run_id: str, request: RequestRecord) -> None:
    """Leave a request and a wakeup; the key of the record is ignored."""
    key = runs.key_of(session, run_id)
    runs.set_wakeup(session, key, True)
    session.execute(
        Request.insert(
            run=key,
            kind=request.kind.value,
            task=stored_or_none(request.task),
            uid=request.uid,
            options=to_json(dict(request.options)),
        )
    )


def requests(session: Session, run_id: str) -> list[RequestRecord]:
    """Return requests not yet carried out, oldest first."""
    query = Request.select(Request.id, Request.kind, Request.task, Request.uid, Request.options)
    query = query.where(Request.run == runs.key_of(session, run_id)).order_by(Request.id)
    return [request_record(row) for row in session.rows(query)]
