"""Choosing how a result reaches an argument by the type rules, or explaining why none applies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

from reflow.errors import DefinitionError, PluginError
from reflow.model.graph import Edge, WireMode
from reflow.wiring.contract import TypeRule, WireQuestion
from reflow.wiring.types import (
    NoneType,
    is_mapping,
    may_be_none,
    parts_of,
    show,
    travels_as_list,
    unaliased,
)

_LEGAL = {
    (False, False): (WireMode.DIRECT,),
    (False, True): (WireMode.FAN_OUT, WireMode.BROADCAST),
    (True, False): (WireMode.GATHER, WireMode.GATHER_FLAT),
    (True, True): (
        WireMode.CHAIN,
        WireMode.FAN_OUT_FLAT,
        WireMode.GATHER_BROADCAST,
        WireMode.GATHER_FLAT_BROADCAST,
    ),
}
"""The modes that make sense, by whether the producer and the consumer are array tasks."""


def decide_edge(
    step: str, task: str, argument: str, question: WireQuestion, rules: Sequence[TypeRule]
) -> Edge:
    """Return the edge from `step` to an argument of `task`.

    Rules are asked by priority, highest first; the first priority at which any rule answers
    decides. Raises `DefinitionError` where no rule answers, or two of one priority disagree, and
    `PluginError` for a mode that is impossible between these two tasks.
    """
    where = _where(step, task, argument, question)
    _check_sense(where, step, question)
    answers = _answers(question, rules)
    if not answers:
        raise DefinitionError(f"{where}, {_returns(question)}; {_what_would_fit(step, question)}")
    rule, mode = answers[0]
    for other, other_mode in answers[1:]:
        if other_mode is not mode:
            raise DefinitionError(
                f"{where}, {_returns(question)}: that can be read in two ways, as {mode.value} "
                f"(rule {rule.name!r}) and as {other_mode.value} (rule {other.name!r}); "
                f"{_what_would_settle_it(question)}"
            )
    if mode not in _LEGAL[question.producer_array, question.consumer_array]:
        raise PluginError(f"{where}: rule {rule.name!r} answered {mode.value}, which cannot be")
    return Edge(
        step=step,
        task=task,
        argument=argument,
        mode=mode,
        rule=rule.name,
        pairs=is_mapping(question.produced),
        optional=may_be_none(question.produced) and parts_of(question.produced) is not None,
    )


def _where(step: str, task: str, argument: str, question: WireQuestion) -> str:
    upstream = f"array step {step!r}" if question.producer_array else f"step {step!r}"
    downstream = f"array task {task!r}" if question.consumer_array else f"task {task!r}"
    return f"{downstream} takes {argument}: {show(question.wanted)} from {upstream}"


def _check_sense(where: str, step: str, question: WireQuestion) -> None:
    if question.produced in (None, NoneType):
        raise DefinitionError(
            f"{where}, which returns None; to run after it without its result use after={step!r}"
        )
    if question.broadcast and not question.consumer_array:
        raise DefinitionError(
            f"{where} with broadcast=True, which is for array tasks: leave it out, "
            "or add array=True"
        )


def _answers(question: WireQuestion, rules: Sequence[TypeRule]) -> list[tuple[TypeRule, WireMode]]:
    ordered = sorted(rules, key=lambda rule: -rule.priority)
    for _, peers in groupby(ordered, key=lambda rule: rule.priority):
        answers = [(rule, mode) for rule in peers if (mode := _ask(rule, question)) is not None]
        if answers:
            return answers
    return []


def _ask(rule: TypeRule, question: WireQuestion) -> WireMode | None:
    # Messages show a type as it is written; rules get types without `type` aliases.
    produced, wanted = unaliased(question.produced), unaliased(question.wanted)
    try:
        return rule.decide(replace(question, produced=produced, wanted=wanted))
    except DefinitionError:
        raise
    except Exception as error:
        raise PluginError(f"type rule {rule.name!r} failed: {error!r}") from error


def _returns(question: WireQuestion) -> str:
    if question.produced is Any:
        return "which does not say what it returns"
    each = " per element" if question.producer_array else ""
    return f"which returns {show(question.produced)}{each}"


def _what_would_settle_it(question: WireQuestion) -> str:
    if question.consumer_array and not question.broadcast:
        return "make the types more precise, or say Result(broadcast=True)"
    return "make the types more precise"


def _what_would_fit(step: str, question: WireQuestion) -> str:
    produced = question.produced
    part = parts_of(produced)
    if produced is Any:
        return f"annotate what {step!r} returns"
    if question.several and not question.producer_array and part is None:
        return f"steps=[...] joins lists: let {step!r} return list[{show(produced)}]"
    if question.consumer_array and not question.producer_array and not travels_as_list(produced):
        whole = f"take {show(produced)} and say Result(step={step!r}, broadcast=True)"
        items = "" if part is None else f" over its items, take {show(part)}; or"
        return (
            f"to give each element the whole value, {whole}; "
            f"to fan out{items}, let {step!r} return list[{show(question.wanted)}]"
        )
    fitting = [
        f"{show(kind)} ({mode.value})"
        for mode in _LEGAL[question.producer_array, question.consumer_array]
        if (kind := _wanted_by(mode, question)) is not None
    ]
    return f"what would fit: {' or '.join(fitting)}"


def _wanted_by(mode: WireMode, question: WireQuestion) -> Any:
    """Return the type an argument would need for a mode; None where the mode is impossible."""
    produced, element = question.produced, parts_of(question.produced)
    if mode.each:
        if question.broadcast:
            return None
        return produced if mode is WireMode.CHAIN else element
    if mode.gathers:
        return list[produced]  # type: ignore[valid-type]
    if mode.flattens:
        reachable = element is not None and (question.broadcast or not question.consumer_array)
        return list[element] if reachable else None  # type: ignore[valid-type]
    return produced
