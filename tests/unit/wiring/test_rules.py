"""The wiring table, row by row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Optional

import pytest
from reflow.errors import DefinitionError
from reflow.model.graph import Edge, WireMode
from reflow.wiring.contract import WireQuestion
from reflow.wiring.decide import decide_edge
from reflow.wiring.rules import builtin_type_rules


def edge(
    produced: Any,
    wanted: Any,
    *,
    producer_array: bool = False,
    consumer_array: bool = False,
    broadcast: bool = False,
    several: bool = False,
) -> Edge:
    question = WireQuestion(
        produced=produced,
        producer_array=producer_array,
        wanted=wanted,
        consumer_array=consumer_array,
        broadcast=broadcast,
        several=several,
    )
    return decide_edge("up", "down", "argument", question, builtin_type_rules())


@pytest.mark.parametrize(
    ("produced", "wanted"),
    [
        (str, str),
        (list[str], list[str]),
        (list[str], Sequence[str]),
        (dict[str, int], dict[str, int]),
        (bool, int),
        (int, float),
        (str, Optional[str]),  # noqa: UP045
        (str, Any),
        (Any, str),
        (list[str], object),
    ],
)
def test_a_plain_task_into_a_plain_task_is_direct(produced: Any, wanted: Any) -> None:
    assert edge(produced, wanted).mode is WireMode.DIRECT


@pytest.mark.parametrize(
    ("produced", "wanted"),
    [
        (list[str], str),
        (list[bool], int),
        (list[list[int]], list[int]),
        (list[dict[str, int]], dict[str, int]),
        (list[str], Any),
        (list, str),
        (tuple[str, ...], str),
        (tuple[tuple[str, int], ...], tuple[str, int]),
        (Sequence[str], str),
        (dict[str, int], tuple[str, int]),
        (Mapping[str, bool], tuple[str, int]),
        (Counter[str], tuple[str, int]),
        (list[str] | None, str),
        (dict[str, int] | None, tuple[str, int]),
    ],
)
def test_a_list_into_an_array_task_of_its_elements_fans_out(produced: Any, wanted: Any) -> None:
    assert edge(produced, wanted, consumer_array=True).mode is WireMode.FAN_OUT


@pytest.mark.parametrize(
    ("produced", "wanted"),
    [
        (str, list[str]),
        (str, Sequence[str]),
        (str, Iterable[str]),
        (list[int], list[list[int]]),
        (str, Any),
        (bool, list[int]),
        (dict[str, int], list),
        (tuple[int, ...], list[Any]),
        (Sequence[int], list[Sequence[int]]),
        (list[int] | None, list[list[int] | None]),
    ],
)
def test_an_array_task_into_a_list_is_gathered(produced: Any, wanted: Any) -> None:
    assert edge(produced, wanted, producer_array=True).mode is WireMode.GATHER


@pytest.mark.parametrize(
    ("produced", "wanted"),
    [
        (list[str], list[str]),
        (list[bool], list[int]),
        (list[str], Sequence[str]),
        (tuple[str, ...], list[str]),
        (Sequence[str], list[str]),
        (dict[str, int], list[tuple[str, int]]),
        (list[str] | None, list[str]),
    ],
)
def test_lists_of_an_array_task_into_a_list_are_gathered_flat(produced: Any, wanted: Any) -> None:
    assert edge(produced, wanted, producer_array=True).mode is WireMode.GATHER_FLAT


@pytest.mark.parametrize(
    ("produced", "wanted"),
    [
        (str, str),
        (bool, int),
        (str, str | None),
        (list[bool], list[int]),
        (str, Any),
        (dict[str, int], Any),
        (tuple[int, ...], Any),
    ],
)
def test_between_two_array_tasks_what_fits_is_chained(produced: Any, wanted: Any) -> None:
    assert edge(produced, wanted, producer_array=True, consumer_array=True).mode is WireMode.CHAIN


@pytest.mark.parametrize("kind", [list[str], list, list[Any], list[list[Any]]])
def test_equal_types_chain_before_any_other_row_applies(kind: Any) -> None:
    assert edge(kind, kind, producer_array=True, consumer_array=True).mode is WireMode.CHAIN


@pytest.mark.parametrize(
    ("produced", "wanted"),
    [(list[str], str), (tuple[str, ...], str), (dict[str, int], tuple[str, int])],
)
def test_lists_of_an_array_task_fan_out_flat_over_an_array_task_of_elements(
    produced: Any, wanted: Any
) -> None:
    wired = edge(produced, wanted, producer_array=True, consumer_array=True)
    assert wired.mode is WireMode.FAN_OUT_FLAT


@pytest.mark.parametrize(
    ("produced", "wanted"),
    [
        (tuple[str, ...], tuple[str, ...]),
        (Sequence[str], Sequence[str]),
        (list[str] | None, list[str] | None),
    ],
)
def test_what_has_items_is_broadcast_where_it_is_asked_for_as_such(
    produced: Any, wanted: Any
) -> None:
    assert edge(produced, wanted, consumer_array=True).mode is WireMode.BROADCAST


def test_an_edge_says_whether_items_are_pairs_and_whether_none_has_no_items() -> None:
    def kind(produced: Any, wanted: Any) -> tuple[bool, bool]:
        wired = edge(produced, wanted, consumer_array=True)
        return wired.pairs, wired.optional

    assert kind(list[str], str) == kind(tuple[str, ...], str) == (False, False)
    assert kind(dict[str, int], tuple[str, int]) == (True, False)
    assert kind(dict[str, int] | None, tuple[str, int]) == (True, True)
    assert kind(list[str] | None, str) == (False, True)


@pytest.mark.parametrize(
    ("produced", "wanted", "joined"),
    [
        (tuple[str, ...], list[str], True),
        (dict[str, int], list[tuple[str, int]], True),
        (list[str], list[str], True),
        (tuple[str, ...], tuple[str, ...], False),
    ],
)
def test_several_steps_are_joined_to_one_list(produced: Any, wanted: Any, joined: bool) -> None:
    if joined:
        assert edge(produced, wanted, several=True).mode is WireMode.DIRECT
    else:
        with pytest.raises(DefinitionError):
            edge(produced, wanted, several=True)


@pytest.mark.parametrize(
    ("produced", "wanted"), [(str, list[str]), (str, Sequence[str]), (list[str], list[list[str]])]
)
def test_between_two_array_tasks_a_value_into_a_list_is_gathered_then_broadcast(
    produced: Any, wanted: Any
) -> None:
    wired = edge(produced, wanted, producer_array=True, consumer_array=True)
    assert wired.mode is WireMode.GATHER_BROADCAST


@pytest.mark.parametrize("wanted", [list[str], Sequence[str], list[str] | None, list[Any]])
def test_a_list_into_a_list_of_an_array_task_is_broadcast(wanted: Any) -> None:
    assert edge(list[str], wanted, consumer_array=True).mode is WireMode.BROADCAST


@pytest.mark.parametrize(("produced", "wanted"), [(str, str), (list[str], list[str]), (int, Any)])
def test_broadcast_gives_a_plain_value_whole(produced: Any, wanted: Any) -> None:
    assert edge(produced, wanted, consumer_array=True, broadcast=True).mode is WireMode.BROADCAST


def test_broadcast_from_an_array_task_gathers_first() -> None:
    def mode(produced: Any, wanted: Any) -> WireMode:
        return edge(produced, wanted, producer_array=True, consumer_array=True, broadcast=True).mode

    assert mode(str, list[str]) is WireMode.GATHER_BROADCAST
    assert mode(list[str], list[list[str]]) is WireMode.GATHER_BROADCAST
    assert mode(list[str], list[str]) is WireMode.GATHER_FLAT_BROADCAST


@pytest.mark.parametrize(
    ("produced", "wanted", "producer_array", "consumer_array"),
    [
        (list[Any], list[Any], True, False),
        (list[str], Any, True, False),
        (list[str], list, True, False),
        (list[str], Any, True, True),
        (list[int], list[Any], True, True),
        (list[Any], list[int], False, True),
    ],
)
def test_what_fits_two_rows_is_an_error_that_names_both(
    produced: Any, wanted: Any, producer_array: bool, consumer_array: bool
) -> None:
    with pytest.raises(DefinitionError, match=r"two ways.*rule '.*rule '"):
        edge(produced, wanted, producer_array=producer_array, consumer_array=consumer_array)


@pytest.mark.parametrize(
    ("produced", "wanted", "producer_array", "consumer_array"),
    [
        (list[int], str, False, False),
        (str, list[str], False, False),
        (str, Path, False, False),
        (str, Sequence[str], False, False),
        (list[int], str, False, True),
        (str, str, False, True),
        (list[str] | set[str], str, False, True),
        (tuple[str, int], str, False, True),
        (set[str], str, False, True),
        (dict[str, int], str, False, True),
        (tuple[int, ...], str, True, False),
        (str, str, True, False),
        (int, list[str], True, False),
        (list[int], list[str], True, False),
        (int, str, True, True),
        (list[int], str, True, True),
        (int, list[str], True, True),
    ],
)
def test_what_fits_no_row_is_an_error_with_both_names_and_both_types(
    produced: Any, wanted: Any, producer_array: bool, consumer_array: bool
) -> None:
    with pytest.raises(DefinitionError) as caught:
        edge(produced, wanted, producer_array=producer_array, consumer_array=consumer_array)
    text = str(caught.value)
    assert "'up'" in text
    assert "'down'" in text
    assert "argument" in text
    for kind in (produced, wanted):
        shown = kind.__name__ if isinstance(kind, type) else str(kind).split("[")[0].split(".")[-1]
        assert shown in text


@pytest.mark.parametrize(
    ("producer_array", "consumer_array"), [(False, True), (True, False), (True, True)]
)
def test_what_is_not_annotated_is_never_taken_apart_by_a_guess(
    producer_array: bool, consumer_array: bool
) -> None:
    with pytest.raises(DefinitionError, match="annotate what 'up' returns"):
        edge(Any, list[str], producer_array=producer_array, consumer_array=consumer_array)


def test_a_mismatch_into_an_array_task_suggests_broadcast_and_a_list() -> None:
    with pytest.raises(DefinitionError) as caught:
        edge(dict[str, int], dict[str, int], consumer_array=True)
    assert "broadcast=True" in str(caught.value)
    assert "to fan out over its items, take tuple[str, int]" in str(caught.value)
    assert "list[dict[str, int]]" in str(caught.value)


@pytest.mark.parametrize(
    ("produced", "arrays", "broadcast", "would_fit"),
    [
        (int, (False, False), False, ["int (direct)"]),
        (list[int], (False, True), False, ["int (fan-out)", "list[int] (broadcast)"]),
        (list[int], (False, True), True, ["list[int] (broadcast)"]),
        (int, (True, False), False, ["list[int] (gather)"]),
        (list[int], (True, False), False, ["list[list[int]] (gather)", "list[int] (gather-flat)"]),
        (int, (True, True), False, ["int (chain)", "list[int] (gather-broadcast)"]),
        (
            list[int],
            (True, True),
            False,
            ["list[int] (chain)", "int (fan-out-flat)", "list[list[int]] (gather-broadcast)"],
        ),
        (
            list[int],
            (True, True),
            True,
            ["list[list[int]] (gather-broadcast)", "list[int] (gather-flat-broadcast)"],
        ),
    ],
)
def test_a_mismatch_says_what_would_fit_and_that_does_fit(
    produced: Any, arrays: tuple[bool, bool], broadcast: bool, would_fit: list[str]
) -> None:
    producer_array, consumer_array = arrays

    def wire(wanted: Any) -> Edge:
        return edge(
            produced,
            wanted,
            producer_array=producer_array,
            consumer_array=consumer_array,
            broadcast=broadcast,
        )

    with pytest.raises(DefinitionError) as caught:
        wire(bytes)
    assert str(caught.value).endswith("what would fit: " + " or ".join(would_fit))
    kinds = {"int": int, "list[int]": list[int], "list[list[int]]": list[list[int]]}
    for said in would_fit:
        shown, mode = said.removesuffix(")").split(" (")
        assert wire(kinds[shown]).mode.value == mode


def test_broadcast_is_suggested_only_where_it_can_be_said() -> None:
    with pytest.raises(DefinitionError, match="precise, or say Result"):
        edge(list[Any], list[int], consumer_array=True)
    with pytest.raises(DefinitionError, match=r"precise$"):
        edge(list[Any], list[Any], producer_array=True)


@pytest.mark.parametrize("consumer_array", [True, False])
def test_a_step_that_returns_nothing_is_waited_for_with_after(consumer_array: bool) -> None:
    with pytest.raises(DefinitionError, match="after='up'"):
        edge(None, Any, consumer_array=consumer_array)


def test_broadcast_into_a_plain_task_is_an_error() -> None:
    with pytest.raises(DefinitionError, match=r"broadcast=True.*array"):
        edge(str, str, broadcast=True)


def test_several_steps_are_joined_as_lists() -> None:
    assert edge(list[str], list[str], several=True).mode is WireMode.DIRECT
    assert edge(str, list[str], producer_array=True, several=True).mode is WireMode.GATHER
    assert edge(list[str], str, consumer_array=True, several=True).mode is WireMode.FAN_OUT
    for consumer_array in (True, False):
        with pytest.raises(DefinitionError, match=r"let 'up' return list\[str\]"):
            edge(str, str, several=True, consumer_array=consumer_array, broadcast=consumer_array)


class Rule:
    def __init__(self, name: str, answer: WireMode | Exception | None, priority: int = 0) -> None:
        self.name, self.answer, self.priority = name, answer, priority

    def decide(self, question: WireQuestion) -> WireMode | None:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def decided(*rules: Rule) -> Edge:
    question = WireQuestion(
        produced=list[str],
        producer_array=False,
        wanted=list[str],
        consumer_array=True,
        broadcast=False,
        several=False,
    )
    return decide_edge("up", "down", "argument", question, [*builtin_type_rules(), *rules])


def test_the_rule_that_decided_is_named() -> None:
    assert decided().rule == "broadcast"


def test_a_rule_of_higher_priority_is_asked_first() -> None:
    wired = decided(Rule("mine", WireMode.FAN_OUT, priority=1))
    assert (wired.mode, wired.rule) == (WireMode.FAN_OUT, "mine")


def test_a_rule_with_nothing_to_say_leaves_it_to_the_next() -> None:
    assert decided(Rule("mine", None, priority=1)).rule == "broadcast"


def test_a_rule_of_lower_priority_is_not_asked() -> None:
    assert decided(Rule("mine", RuntimeError("asked"), priority=-1)).rule == "broadcast"


def test_two_rules_of_equal_priority_that_disagree_are_an_error_naming_both() -> None:
    with pytest.raises(DefinitionError, match=r"'broadcast'.*'mine'"):
        decided(Rule("mine", WireMode.FAN_OUT))


def test_two_rules_of_equal_priority_that_agree_are_fine() -> None:
    assert decided(Rule("mine", WireMode.BROADCAST)).mode is WireMode.BROADCAST


def test_a_rule_that_breaks_is_named() -> None:
    from reflow.errors import PluginError

    with pytest.raises(PluginError, match=r"'mine' failed.*oops"):
        decided(Rule("mine", RuntimeError("oops"), priority=1))


def test_a_rule_cannot_answer_a_mode_that_makes_no_sense_here() -> None:
    from reflow.errors import PluginError

    with pytest.raises(PluginError, match="'mine' answered gather"):
        decided(Rule("mine", WireMode.GATHER, priority=1))
