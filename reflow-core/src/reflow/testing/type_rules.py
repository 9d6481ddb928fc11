'''What every type rule must do, as a class of tests that its author subclasses.

An author writes, in a test module::

    from reflow.testing.type_rules import TypeRuleConformance, question

    class TestFramesFanOut(TypeRuleConformance):
        @pytest.fixture
        def rule(self):
            return FramesFanOut()

        @pytest.fixture
        def answers(self):
            """Return questions and the rule's answer to each; None where it must not decide."""
            return [
                (question(Frame, Row, consumer_array=True), WireMode.FAN_OUT),
                (question(Frame, Frame), None),
            ]

and runs pytest.
'''

# ruff: noqa: D102 - the names of tests are sentences.

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from reflow.errors import DefinitionError
from reflow.model.graph import WireMode
from reflow.wiring.contract import TypeRule, WireQuestion
from reflow.wiring.decide import decide_edge
from reflow.wiring.rules import builtin_type_rules
from reflow.wiring.types import unaliased

ORDINARY: tuple[Any, ...] = (
    Any,
    None,
    bool,
    str | None,
    Path,
    list[int],
    list[list[str]],
    dict[str, int],
    Sequence[str],
)
"""Types that occur in every workflow."""


def question(
    produced: Any,
    wanted: Any,
    *,
    producer_array: bool = False,
    consumer_array: bool = False,
    broadcast: bool = False,
    several: bool = False,
) -> WireQuestion:
    """Make the question about a step that returns `produced` and an argument of `wanted`."""
    return WireQuestion(
        produced=unaliased(produced),
        producer_array=producer_array,
        wanted=unaliased(wanted),
        consumer_array=consumer_array,
        broadcast=broadcast,
        several=several,
    )


@cache
def ordinary_questions() -> tuple[WireQuestion, ...]:
    """Return every question about ordinary types that makes sense."""
    flags = list(product((False, True), repeat=4))
    return tuple(
        question(
            produced,
            wanted,
            producer_array=producer,
            consumer_array=consumer,
            broadcast=broadcast,
            several=several,
        )
        for produced, wanted in product(ORDINARY, repeat=2)
        for producer, consumer, broadcast, several in flags
        if consumer or not broadcast
    )


def decided(asked: WireQuestion, rules: Sequence[TypeRule]) -> WireMode | None:
    """Decide by these rules together; None where they do not, or do not agree."""
    try:
        return decide_edge("up", "down", "argument", asked, rules).mode
    except DefinitionError:
        return None


@cache
def decided_without() -> tuple[WireMode | None, ...]:
    """Decide the ordinary questions by the built-in rules alone."""
    return tuple(decided(asked, builtin_type_rules()) for asked in ordinary_questions())


class TypeRuleConformance:
    """Subclass it, and give the fixtures `rule` and `answers`."""

    @pytest.fixture
    def rule(self) -> TypeRule:
        """Return the rule under test."""
        raise NotImplementedError("give a fixture `rule` that returns the rule")

    @pytest.fixture
    def answers(self) -> Sequence[tuple[WireQuestion, WireMode | None]]:
        """Return questions and the rule's answer to each; None where it must not decide."""
        raise NotImplementedError("give a fixture `answers` that returns questions and modes")

    def test_it_has_a_name_to_be_shown_and_a_priority(self, rule: TypeRule) -> None:
        assert rule.name
        assert rule.name.isprintable()
        assert type(rule.priority) is int

    def test_it_answers_as_its_author_says(
        self, rule: TypeRule, answers: Sequence[tuple[WireQuestion, WireMode | None]]
    ) -> None:
        decided = [(asked, rule.decide(asked)) for asked, _ in answers]
        assert decided == list(answers)

    def test_it_says_the_same_when_asked_again(
        self, rule: TypeRule, answers: Sequence[tuple[WireQuestion, WireMode | None]]
    ) -> None:
        first = [rule.decide(asked) for asked, _ in answers]
        assert [rule.decide(asked) for asked, _ in reversed(answers)] == first[::-1]

    def test_among_the_built_in_rules_it_has_its_way(
        self, rule: TypeRule, answers: Sequence[tuple[WireQuestion, WireMode | None]]
    ) -> None:
        rules = [*builtin_type_rules(), rule]
        for asked, mode in answers:
            if mode is not None:
                assert decided(asked, rules) is mode, asked

    def test_it_fails_at_no_type_and_never_answers_what_cannot_be(
        self, rule: TypeRule, answers: Sequence[tuple[WireQuestion, WireMode | None]]
    ) -> None:
        for asked in (*ordinary_questions(), *(asked for asked, _ in answers)):
            decided(asked, [rule])  # raises PluginError

    def test_ordinary_types_go_their_way_as_without_it(self, rule: TypeRule) -> None:
        rules = [*builtin_type_rules(), rule]
        changed = [
            (asked, before, now)
            for asked, before in zip(ordinary_questions(), decided_without(), strict=True)
            if before is not None and (now := decided(asked, rules)) is not before
        ]
        assert changed == []
