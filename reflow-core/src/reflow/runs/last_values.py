"""Warning the user of values made at import that differ from the last run's."""

from __future__ import annotations

import warnings
from contextlib import suppress

from reflow.errors import ReflowWarning
from reflow.rundir.layout import RunLayout
from reflow.rundir.run_settings import RunSettings
from reflow.rundir.source_record import RunSource, current_source, values_that_differ
from reflow.stores.contract import Store


def tell_of_other_values(store: Store, settings: RunSettings, source: RunSource) -> None:
    """Warn where results are not reused only because a value differs from the last run's."""
    if settings.force:
        return
    records = store.list_runs(graph_name=settings.workflow, limit=2)
    last = [record for record in records if record.run_id != settings.run_id][:1]
    with suppress(OSError, ValueError, LookupError, TypeError):
        for record in last:
            layout = RunLayout(record.run_dir, record.run_id)
            before = RunSource.read(layout, current_source(layout))
            for text, tasks in values_that_differ(source, before).items():
                names = ", ".join(map(repr, tasks))
                warnings.warn(
                    f"{text} in {record.run_id}: so {names} cannot use its results",
                    ReflowWarning,
                    stacklevel=3,
                )
