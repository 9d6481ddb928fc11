"""Which stored result is chosen for which element."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from reflow.dispatch.choice import PAGE, deal
from reflow.model.records import Look, StoredOutput, Taker

TAKER = Taker(workflow="w", place="", uid=None, kin=())


class Shelf:
    """A store of results of one identity: runs from the oldest, each with keys by index."""

    def __init__(self, *runs: Sequence[int], had: dict[int, int] | None = None) -> None:
        self._had = had or {}
        self._outputs = [
            StoredOutput(
                key=key, identity="i", paths=None, bound_dir=None, run_id="", order=(-task, index)
            )
            for task, keys in enumerate(reversed(runs))
            for index, key in enumerate(keys)
        ]
        self.taken: set[int] = set()
        self.read = 0
        self.looks = 0

    def previous_outputs(
        self, taker: Taker, wanted: Sequence[tuple[int, str]]
    ) -> dict[int, StoredOutput]:
        by_key = {output.key: output for output in self._outputs}
        return {
            index: by_key[self._had[index]]
            for index, identity in sorted(wanted)
            if identity == "i" and index in self._had
        }

    def taken_by_kin(self, taker: Taker) -> set[int]:
        return self.taken

    def find_outputs(self, taker: Taker, looks: Sequence[Look]) -> dict[str, list[StoredOutput]]:
        self.looks += 1
        found = {}
        for look in looks:
            place = 0 if look.after is None else self._outputs.index(look.after) + 1
            page = self._outputs[place : place + look.limit]
            self.read += len(page)
            if look.identity == "i" and page:
                found["i"] = page
        return found


def dealt(
    shelf: Shelf,
    indexes: Sequence[int],
    used: Sequence[int] = (),
    unusable: Sequence[int] = (),
    identity: str = "i",
    place: str = "",
) -> dict[int, int]:
    """The keys of what elements are given, by index."""
    chosen = deal(
        shelf,  # type: ignore[arg-type]
        replace(TAKER, place=place),
        [(index, identity) for index in indexes],
        set(used),
        lambda output: output.key not in unusable,
    )
    return {index: output.key for index, output in chosen.items()}


def test_each_result_serves_one_element() -> None:
    assert dealt(Shelf([1, 2]), range(4)) == {0: 1, 1: 2}


def test_an_element_is_given_what_its_index_had() -> None:
    assert dealt(Shelf([1, 2, 3], had={0: 3, 1: 1, 2: 2}), range(3)) == {0: 3, 1: 1, 2: 2}


def test_what_is_left_goes_by_run_and_index() -> None:
    shelf = Shelf([1, 2, 3], [4, 5], had={1: 4})
    assert dealt(shelf, range(6)) == {1: 4, 0: 5, 2: 1, 3: 2, 4: 3}


def test_what_an_index_had_is_not_given_to_an_element_before_it() -> None:
    assert dealt(Shelf([1, 2], had={1: 1}), range(2)) == {0: 2, 1: 1}


def test_what_serves_another_element_is_passed_over() -> None:
    assert dealt(Shelf([1, 2, 3], had={1: 2}), [1, 5], used=[1, 2]) == {1: 3}


def test_for_what_turns_out_unusable_the_next_is_tried() -> None:
    shelf = Shelf([1, 2, 3, 4, 5], had={0: 1})
    assert dealt(shelf, range(2), unusable=[1, 2, 3]) == {0: 4, 1: 5}


def test_what_serves_a_run_of_the_family_serves_no_other_element_of_it() -> None:
    shelf = Shelf([1, 2, 3], had={0: 1})
    shelf.taken = {1, 2}
    assert dealt(shelf, range(2), place="t/0,") == {0: 3}


def test_elements_of_other_identities_are_not_served() -> None:
    assert dealt(Shelf([1, 2]), range(2), identity="other") == {}


def test_what_is_chosen_counts_as_used() -> None:
    used = {1}
    deal(Shelf([1, 2]), TAKER, [(0, "i")], used, lambda output: True)  # type: ignore[arg-type]
    assert used == {1, 2}


def test_no_more_is_read_than_elements_can_use() -> None:
    shelf = Shelf(*(range(run * 100, run * 100 + 100) for run in range(50)))
    assert len(dealt(shelf, range(100))) == 100
    assert shelf.read == 100


def test_shares_of_an_array_read_each_candidate_once() -> None:
    shelf = Shelf(range(1_000))
    used: set[int] = set()
    passed: dict[str, StoredOutput] = {}
    served = []
    for start in range(0, 1_000, 100):
        wanted = [(index, "i") for index in range(start, start + 100)]
        found = deal(shelf, TAKER, wanted, used, lambda output: True, passed)  # type: ignore[arg-type]
        served += [found[index].key for index, _ in wanted]
    assert served == [*range(1_000)]
    assert shelf.read == 1_000


def test_a_new_element_passes_over_what_the_others_have_in_few_steps() -> None:
    shelf = Shelf(range(20 * PAGE))
    assert dealt(shelf, [20 * PAGE], used=range(20 * PAGE)) == {}
    assert shelf.looks <= 40
