"""Why elements of a run that is only planned would run, or whose results they would take."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from reflow.model.records import Instance, RunRecord, StoredOutput, TaskRecord
from reflow.runs.explain.explain import Explainer, groups_as_data
from reflow.runs.explain.sides import Side
from reflow.runs.explain.words import Explanation, Group, Reason
from reflow.stores.contract import Store


def explain_planned(
    store: Store,
    record: RunRecord,
    side: Side,
    ready: Sequence[Instance],
    hits: Mapping[int, StoredOutput],
    touched: Mapping[int, StoredOutput],
) -> list[dict[str, Any]]:
    """Explain what would become of elements whose inputs are known, as plain data.

    `hits` are the results that would serve elements, by index; `touched` those whose files have
    other times, so that their contents decide.
    """
    spec = side.arguments.task.spec
    task = TaskRecord(name=spec.name, ordinal=0, array=spec.array, size=side.size)
    explainer = Explainer(store, record, task, side)
    served = Counter(hits[each.index].run_id for each in ready if each.index in hits)
    missed = [each for each in ready if each.index not in hits and each.index not in touched]
    groups = [
        *explainer.of_served(served),
        *explainer.of_missed(missed, {hit.key: index for index, hit in hits.items()}),
    ]
    if touched:
        text = "files of earlier results have other times: their contents decide"
        explanation = Explanation(reason=Reason.FILES, text=text)
        groups.append(Group(elements=sorted(touched), count=len(touched), explanation=explanation))
    return groups_as_data(groups)
