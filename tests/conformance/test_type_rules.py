"""The built-in type rules, through the kit that authors of rules are given."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from reflow.model.graph import WireMode
from reflow.testing.type_rules import TypeRuleConformance, question
from reflow.wiring.contract import TypeRule, WireQuestion
from reflow.wiring.rules import builtin_type_rules

QUESTIONS = {
    WireMode.DIRECT: question(str, str),
    WireMode.FAN_OUT: question(list[str], str, consumer_array=True),
    WireMode.GATHER: question(str, list[str], producer_array=True),
    WireMode.CHAIN: question(str, str, producer_array=True, consumer_array=True),
    WireMode.GATHER_FLAT: question(list[str], list[str], producer_array=True),
    WireMode.FAN_OUT_FLAT: question(list[str], str, producer_array=True, consumer_array=True),
    WireMode.BROADCAST: question(str, str, consumer_array=True, broadcast=True),
    WireMode.GATHER_BROADCAST: question(
        str, list[str], producer_array=True, consumer_array=True, broadcast=True
    ),
    WireMode.GATHER_FLAT_BROADCAST: question(
        list[str], list[str], producer_array=True, consumer_array=True, broadcast=True
    ),
}


class TestBuiltinRules(TypeRuleConformance):
    @pytest.fixture(params=builtin_type_rules(), ids=lambda rule: str(rule.name))
    def rule(self, request: pytest.FixtureRequest) -> TypeRule:
        rule: TypeRule = request.param
        return rule

    @pytest.fixture
    def answers(self, rule: TypeRule) -> Sequence[tuple[WireQuestion, WireMode | None]]:
        return [
            (asked, mode if mode.value == rule.name else None) for mode, asked in QUESTIONS.items()
        ]


def test_there_is_a_question_for_each_rule() -> None:
    assert {rule.name for rule in builtin_type_rules()} == {mode.value for mode in QUESTIONS}
