"""Queries on single results: whether they are there, and which the cache offers."""

# ruff: noqa: S608 - what is put into statements here are names and constants of this package.

from __future__ import annotations

from collections.abc import Sequence

from reflow.errors import StoreError
from reflow.stores import runs
from reflow.stores.bulk import chunks, marks
from reflow.stores.database import Session
from reflow.stores.text import plain, stored


def require(session: Session, sources: Sequence[int | None]) -> None:
    """Check that results which instances have taken over are there, and keep them there.

    Raises a `StoreError` that may pass: what reads the run again finds other results, or none.
    """
    for chunk in chunks(sorted({source for source in sources if source is not None})):
        most = session.most_parameters
        for start in range(0, len(chunk), most):
            keys = chunk[start : start + most]
            there = session.sql(
                f'SELECT "id" FROM "reflow_instance" WHERE "id" IN ({marks(keys)})'
                f"{session.dialect.locked_present}",
                tuple(keys),
            )
            if len(there) < len(keys):
                raise StoreError(
                    f"{len(keys) - len(there)} stored results were removed, as by `reflow clean`, "
                    "while this run was about to use them; nothing was written"
                )


def results_had(
    session: Session, run_id: str, task: str, after: int, size: int
) -> list[tuple[int, str, int]]:
    """Return index, identity and result's key of SUCCESS instances behind an index, in order."""
    rows = session.sql(
        'SELECT "idx", "identity", COALESCE("source", "id") FROM "reflow_instance" '
        'WHERE "task" = ? AND "idx" > ? AND "state" = \'SUCCESS\' AND "identity" IS NOT NULL '
        'ORDER BY "idx" LIMIT ?',
        (runs.task(session, run_id, task)[0], after, size),
    )
    return [(index, plain(identity), key) for index, identity, key in rows]


def offered(session: Session, identities: Sequence[str]) -> list[tuple[int, int | None]]:
    """Return key and user of every result that the cache may offer for some identities."""
    found: list[tuple[int, int | None]] = []
    most = session.most_parameters // 2
    for start in range(0, len(identities), most):
        some = tuple(map(stored, identities[start : start + most]))
        short = ", ".join(["substr(?, 1, 16)"] * len(some))
        found += session.sql(
            'SELECT i."id", r."uid" FROM "reflow_instance" AS i '
            'JOIN "reflow_task" AS t ON t."id" = i."task" '
            'JOIN "reflow_run" AS r ON r."id" = t."run" '
            f'WHERE substr(i."identity", 1, 16) IN ({short}) AND i."identity" IN ({marks(some)}) '
            'AND i."reusable" = 1',
            (*some, *some),
        )
    return found


def forbid_reuse(session: Session, keys: Sequence[int]) -> None:
    """Let the cache offer results no more."""
    for start in range(0, len(keys), session.most_parameters):
        some = keys[start : start + session.most_parameters]
        session.sql(
            f'UPDATE "reflow_instance" SET "reusable" = 0 WHERE "id" IN ({marks(some)})',
            tuple(some),
        )
