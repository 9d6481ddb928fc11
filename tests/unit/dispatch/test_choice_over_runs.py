"""Whatever runs there were before: no two elements share a result, and a rerun changes nothing."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reflow.dispatch.choice import deal
from reflow.model.lineage import kin_of
from reflow.model.records import Instance, StoredOutput, TaskRecord
from reflow.model.states import TaskState
from reflow.stores.sql import SqlStore
from reflow.testing.store_process import TASK
from reflow.testing.stores import failure, new_run, success, taker

_numbers = count()

IDENTITIES = st.lists(st.sampled_from("ab"), min_size=1, max_size=6)
"""What the elements of a run count by, in index order."""


class Playing:
    """A run whose elements are looked up in shares, as a chain that goes on does it."""

    def __init__(self, store: SqlStore, identities: list[str], spoilt: set[int]) -> None:
        self.run_id = f"run-{next(_numbers)}"
        self.computed = 0
        self._store = store
        self._spoilt = spoilt
        self._instances = [
            Instance(task=TASK, index=index, identity=identity)
            for index, identity in enumerate(identities)
        ]
        store.create_run(new_run(self.run_id), [TaskRecord(name=TASK, ordinal=0, array=True)])
        lease = store.acquire(self.run_id, {})
        assert lease is not None
        self._lease = lease
        with store.fenced(lease) as write:
            write.add_instances(self._instances)

    @property
    def waiting(self) -> list[int]:
        """Elements without a result."""
        return [each.index for each in self._instances if each.state is not TaskState.SUCCESS]

    def go_on(self, share: list[int], failing: set[int] = frozenset()) -> None:  # type: ignore[assignment]
        """Serve some of the elements that wait from the store, and compute the others."""
        wanted = [self._instances[index] for index in share]
        served = deal(
            self._store,
            taker(kin=kin_of("", self.run_id)),
            [(each.index, each.identity or "") for each in wanted],
            {each.source for each in self._instances if each.source is not None},
            self._is_usable,
        )
        outcomes = []
        for each in wanted:
            if each.index in served:
                assert served[each.index].identity == each.identity
                assert served[each.index].run_id != self.run_id
                each.source, each.state = served[each.index].key, TaskState.SUCCESS
            elif each.index in failing:
                outcomes.append(failure(each.index))
            else:
                self.computed += 1
                each.state = TaskState.SUCCESS
                outcomes.append(success(each.index))
        with self._store.fenced(self._lease) as write:
            write.update_instances([each for each in wanted if each.source is not None])
            write.record_outcomes(outcomes)

    def finish(self) -> None:
        """Serve or compute all that wait."""
        self.go_on(self.waiting)

    def keys(self) -> list[int]:
        """What serves each element. Raises where two are served by one."""
        keys = self._store.output_keys(self.run_id, TASK)
        assert len(set(keys)) == len(keys) == len(self._instances) - len(self.waiting)
        return keys

    def served(self) -> dict[int, StoredOutput]:
        """What each index would find that it had in this run."""
        wanted = [(each.index, each.identity or "") for each in self._instances]
        return self._store.previous_outputs(taker(), wanted)

    def _is_usable(self, output: StoredOutput) -> bool:
        return output.key not in self._spoilt


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A manifest without runs, to be copied."""
    path = tmp_path_factory.mktemp("empty") / "m.db"
    store = SqlStore(f"sqlite://{path}")
    store.list_runs()
    store.close()
    return path


@pytest.fixture(scope="module")
def fresh(empty: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[SqlStore]]:
    """Stores that were opened."""
    opened: list[SqlStore] = []
    yield opened
    for store in opened:
        store.close()


def new_store(empty: Path, opened: list[SqlStore]) -> SqlStore:
    path = empty.with_name(f"{next(_numbers)}.db")
    shutil.copy(empty, path)
    store = SqlStore(f"sqlite://{path}")
    opened.append(store)
    return store


@settings(max_examples=25, deadline=None)
@given(st.lists(IDENTITIES, min_size=1, max_size=4), st.data())
def test_no_two_elements_share_and_a_rerun_gives_the_same_list(
    empty: Path, fresh: list[SqlStore], runs: list[list[str]], data: st.DataObject
) -> None:
    store = new_store(empty, fresh)
    spoilt: set[int] = set()
    playing: list[Playing] = []
    for identities in runs:
        playing.append(Playing(store, identities, spoilt))
        # Runs overlap, go on in shares in any order, fail, and lose files of what they made.
        for _ in range(data.draw(st.integers(0, 3))):
            one = data.draw(st.sampled_from(playing))
            share = sorted(data.draw(st.sets(st.sampled_from(one.waiting)))) if one.waiting else []
            one.go_on(share, data.draw(st.sets(st.integers(0, 5))))
            keys = one.keys()
            spoilt |= data.draw(st.sets(st.sampled_from(keys), max_size=1)) if keys else set()
    last = Playing(store, runs[-1], spoilt)
    last.finish()
    spoilt_since = spoilt & set(last.keys())
    had = {index: output.key for index, output in last.served().items()}
    for one in playing:
        one.keys()
    again = Playing(store, runs[-1], spoilt)
    order = data.draw(st.permutations(again.waiting))
    for index in order:
        again.go_on([index])
    assert spoilt_since or again.computed == 0
    assert spoilt_since or {index: output.key for index, output in again.served().items()} == had
    assert again.keys()


@settings(max_examples=10, deadline=None)
@given(IDENTITIES, IDENTITIES)
def test_a_list_that_has_grown_keeps_what_it_had(
    empty: Path, fresh: list[SqlStore], first: list[str], more: list[str]
) -> None:
    store = new_store(empty, fresh)
    short = Playing(store, first, set())
    short.finish()
    had = {index: output.key for index, output in short.served().items()}
    long = Playing(store, [*first, *more], set())
    long.finish()
    assert long.computed == len(more)
    grown = {index: output.key for index, output in long.served().items()}
    assert {index: grown[index] for index in had} == had
