"""How NumPy arrays reach array tasks."""

from __future__ import annotations

import sys
from typing import Any, get_origin

from reflow.plugin_api import WireMode, WireQuestion, fits


# [start:rule]
class ArrayBroadcast:
    """A plain task's NumPy array reaches each element of an array task whole.

    So a grid or a mask needs no `Result(broadcast=True)`: it is not cut into pieces.
    """

    name = "array-broadcast"
    priority = 10

    def decide(self, question: WireQuestion) -> WireMode | None:
        """`BROADCAST` for an array that fits; None for anything else."""
        if question.producer_array or not question.consumer_array or question.several:
            return None
        if not is_array(question.produced) or not fits(question.produced, question.wanted):
            return None
        return WireMode.BROADCAST


# [end:rule]
# [start:is_array]
def is_array(annotation: Any) -> bool:
    """Whether it is `numpy.ndarray`, `NDArray[float64]` and the like; NumPy is not imported."""
    numpy = sys.modules.get("numpy")
    return numpy is not None and (get_origin(annotation) or annotation) is numpy.ndarray


# [end:is_array]
