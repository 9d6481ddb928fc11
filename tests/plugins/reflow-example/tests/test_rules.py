"""The type rule, through the kit for rules."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy
import pytest
from numpy.typing import NDArray
from reflow.plugin_api import WireMode, WireQuestion
from reflow.testing.type_rules import TypeRuleConformance, question
from reflow_example.rules import ArrayBroadcast

Floats = NDArray[numpy.float64]
Array: Any = numpy.ndarray


# [start:conformance]
class TestArrayBroadcast(TypeRuleConformance):
    @pytest.fixture
    def rule(self) -> ArrayBroadcast:
        return ArrayBroadcast()

    @pytest.fixture
    def answers(self) -> Sequence[tuple[WireQuestion, WireMode | None]]:
        return [
            (question(Array, Array, consumer_array=True), WireMode.BROADCAST),
            (question(Floats, Array, consumer_array=True), WireMode.BROADCAST),
            (question(Floats, Any, consumer_array=True), WireMode.BROADCAST),
            (question(Array, Array), None),
            (question(Array, Array, producer_array=True, consumer_array=True), None),
            (question(Array, float, consumer_array=True), None),
            (question(Floats, NDArray[numpy.int64], consumer_array=True), None),
            (question(list[Array], Array, consumer_array=True), None),
            (question(Array, Array, consumer_array=True, several=True), None),
        ]


# [end:conformance]
