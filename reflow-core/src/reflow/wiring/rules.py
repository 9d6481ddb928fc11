"""The built-in type rules: one per row of the wiring table.

A row must refuse whatever another row accepts: otherwise two rules disagree, and that is an error.
Only between two array tasks one row takes precedence: equal types chain, whatever other mode they
would fit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from reflow.model.graph import WireMode
from reflow.wiring.contract import TypeRule, WireQuestion
from reflow.wiring.types import element_of, equal, fits, parts_of, takes_lists, takes_whole


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the table: a mode, and when it applies."""

    mode: WireMode
    applies: Callable[[WireQuestion], bool]
    priority: int = 0

    @property
    def name(self) -> str:
        """The word for the mode."""
        return self.mode.value

    def decide(self, question: WireQuestion) -> WireMode | None:
        """Return the mode where the row applies."""
        return self.mode if self.applies(question) else None


def builtin_type_rules() -> list[TypeRule]:
    """Return the built-in rules, in the order of the table."""
    return list(_TABLE)


def _direct(question: WireQuestion) -> bool:
    return _between(question, producer_array=False, consumer_array=False) and (
        _lists_fit(question) if question.several else _whole_fits(question)
    )


def _fan_out(question: WireQuestion) -> bool:
    return (
        _between(question, producer_array=False, consumer_array=True)
        and not question.broadcast
        and _element_fits(question.produced, question.wanted)
    )


def _broadcast(question: WireQuestion) -> bool:
    if not _between(question, producer_array=False, consumer_array=True):
        return False
    if not question.broadcast and not takes_whole(question.produced, question.wanted):
        return False
    return _lists_fit(question) if question.several else _whole_fits(question)


def _gather(question: WireQuestion) -> bool:
    return _between(question, producer_array=True, consumer_array=False) and _all_fit(question)


def _gather_flat(question: WireQuestion) -> bool:
    return (
        _between(question, producer_array=True, consumer_array=False)
        and not (_is_taken_whole_first(question) and _all_fit(question))
        and _lists_fit(question)
    )


def _chain(question: WireQuestion) -> bool:
    return (
        _between(question, producer_array=True, consumer_array=True)
        and not question.broadcast
        and _whole_fits(question)
    )


def _fan_out_flat(question: WireQuestion) -> bool:
    return (
        _between(question, producer_array=True, consumer_array=True)
        and not question.broadcast
        and not _chains_first(question)
        and not (_is_taken_whole_first(question) and _whole_fits(question))
        and _element_fits(question.produced, question.wanted)
    )


def _gather_broadcast(question: WireQuestion) -> bool:
    return (
        _between(question, producer_array=True, consumer_array=True)
        and (question.broadcast or takes_lists(question.wanted))
        and not _chains_first(question)
        and _all_fit(question)
    )


def _gather_flat_broadcast(question: WireQuestion) -> bool:
    return (
        _between(question, producer_array=True, consumer_array=True)
        and question.broadcast
        and not (_is_taken_whole_first(question) and _all_fit(question))
        and _lists_fit(question)
    )


_TABLE = (
    Row(WireMode.DIRECT, _direct),
    Row(WireMode.FAN_OUT, _fan_out),
    Row(WireMode.GATHER, _gather),
    Row(WireMode.CHAIN, _chain),
    Row(WireMode.GATHER_FLAT, _gather_flat),
    Row(WireMode.FAN_OUT_FLAT, _fan_out_flat),
    Row(WireMode.BROADCAST, _broadcast),
    Row(WireMode.GATHER_BROADCAST, _gather_broadcast),
    Row(WireMode.GATHER_FLAT_BROADCAST, _gather_flat_broadcast),
)


def _between(question: WireQuestion, *, producer_array: bool, consumer_array: bool) -> bool:
    """Tell whether the row is for these kinds of tasks, and the value's type is known enough.

    A value of unknown type (`Any`) is unambiguous only where it travels whole.
    """
    same_kinds = (question.producer_array, question.consumer_array) == (
        producer_array,
        consumer_array,
    )
    travels_whole = not producer_array and (not consumer_array or question.broadcast)
    return same_kinds and (question.produced is not Any or travels_whole)


def _chains_first(question: WireQuestion) -> bool:
    return not question.broadcast and equal(question.produced, question.wanted)


def _is_taken_whole_first(question: WireQuestion) -> bool:
    """Tell whether a value is taken apart only where it does not fit as a whole.

    A list that fits both ways is an error; a tuple or a dict is first of all one value.
    """
    return element_of(question.produced) is None


def _whole_fits(question: WireQuestion) -> bool:
    return fits(question.produced, question.wanted)


def _element_fits(produced: Any, wanted: Any) -> bool:
    element = parts_of(produced)
    return element is not None and fits(element, wanted)


def _all_fit(question: WireQuestion) -> bool:
    return fits(list[question.produced], question.wanted)  # type: ignore[name-defined]


def _lists_fit(question: WireQuestion) -> bool:
    element = parts_of(question.produced)
    return element is not None and fits(list[element], question.wanted)  # type: ignore[valid-type]
