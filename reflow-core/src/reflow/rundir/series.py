"""Series: the versions of reflow that can go on with each other's runs."""

from __future__ import annotations

from reflow.errors import OtherSeriesError
from reflow.rundir.run_settings import RunSettings


def check_series(settings: RunSettings) -> None:
    """Raise `OtherSeriesError` where a run was submitted by another series of reflow."""
    from reflow import __version__

    if series_of(settings.reflow) == series_of(__version__):
        return
    raise OtherSeriesError(
        f"{settings.run_id} was submitted with reflow {settings.reflow}, and {settings.python} has "
        f"reflow {__version__} now, which cannot go on with it. Install reflow "
        f"{series_of(settings.reflow)} there again, or have the run taken up by the new version: "
        f"reflow retry {settings.run_id}"
    )


def series_of(version: str) -> str:
    """Return the part of a version that run directories depend on: `0.4`, and `2` from 1.0 on."""
    major, _, rest = version.partition(".")
    return f"0.{rest.partition('.')[0]}" if major == "0" else major
