"""Monthly temperatures of Seattle and San Francisco: from hourly readings to a table and a plot.

prepare ──fan-out──▶ summarise[] ──chain──▶ compare[] ──gather──▶ publish
                                               ▲
seattle_means ─────────────broadcast───────────┘
"""

from __future__ import annotations

import csv
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Annotated, Literal

from monthly_plot import Curve, draw
from reflow import Param, Result, RunDir, Workflow

DATA = Path(__file__).resolve().parent / "data"
HOURLY = {"San Francisco": DATA / "sf-temps.csv", "Seattle": DATA / "seattle-temps.csv"}
DAILY = DATA / "seattle-weather.csv"

Unit = Literal["C", "F"]

wf = Workflow("weather")


@dataclass(frozen=True)
class StationMonth:
    """One piece of work: a month of a station's hourly readings."""

    station: str
    month: int
    readings: Path


@dataclass(frozen=True)
class Summary:
    """What the readings of one station and month come to."""

    station: str
    month: int
    hours: int
    low: float
    mean: float
    high: float


@dataclass(frozen=True)
class Comparison(Summary):
    """A summary, and how far its mean is from Seattle's in later years."""

    above_seattle: float


@wf.job(time="00:05:00", mem="512M")
def prepare(last_month: int = 12) -> list[StationMonth]:
    """List the work: one item per station and month."""
    return [
        StationMonth(station, month, readings)
        for station, readings in HOURLY.items()
        for month in range(1, last_month + 1)
    ]


@wf.job(time="00:05:00", mem="512M")
def seattle_means(
    unit: Annotated[Unit, Param(help="Unit of all temperatures", short="-u")] = "C",
) -> dict[int, float]:
    """Seattle's mean temperature by month, from the daily extremes of 2012 to 2015."""
    days: dict[int, list[float]] = {}
    with DAILY.open(newline="") as file:
        for row in csv.DictReader(file):
            middle = (float(row["temp_min"]) + float(row["temp_max"])) / 2
            days.setdefault(int(row["date"][5:7]), []).append(middle)
    celsius = {month: fmean(values) for month, values in days.items()}
    return celsius if unit == "C" else {month: 32 + 1.8 * t for month, t in celsius.items()}


@wf.job(array=True, time="00:10:00", mem="1G")
def summarise(
    item: Annotated[StationMonth, Result(step="prepare")],
    unit: Annotated[Unit, Param(help="Unit of all temperatures", short="-u")] = "C",
) -> Summary:
    """Reduce one month of hourly readings, which are in °F, to its extremes and mean."""
    with item.readings.open(newline="") as file:
        fahrenheit = [
            float(row["temp"])
            for row in csv.DictReader(file)
            if int(row["date"][5:7]) == item.month
        ]
    values = fahrenheit if unit == "F" else [(t - 32) / 1.8 for t in fahrenheit]
    return Summary(
        station=item.station,
        month=item.month,
        hours=len(values),
        low=min(values),
        mean=fmean(values),
        high=max(values),
    )


@wf.job(array=True, time="00:05:00", mem="512M")
def compare(
    summary: Annotated[Summary, Result(step="summarise")],
    seattle: Annotated[dict[int, float], Result(step="seattle_means", broadcast=True)],
) -> Comparison:
    """Set one month beside the same month in Seattle, 2012 to 2015."""
    return Comparison(**asdict(summary), above_seattle=summary.mean - seattle[summary.month])


@wf.job(time="00:05:00", mem="512M")
def publish(
    rows: Annotated[list[Comparison], Result(step="compare")],
    unit: Annotated[Unit, Param(help="Unit of all temperatures", short="-u")] = "C",
    run_dir: RunDir = RunDir(),
) -> dict[str, Path]:
    """Write all months as one table, for programs and for people, and draw them."""
    files = {
        "table": run_dir / "temperatures.csv",
        "text": run_dir / "temperatures.txt",
        "picture": run_dir / "temperatures.svg",
    }
    with files["table"].open("w", newline="") as file:
        table = csv.DictWriter(file, list(Comparison.__dataclass_fields__))
        table.writeheader()
        table.writerows(
            {name: round(v, 2) if isinstance(v, float) else v for name, v in asdict(row).items()}
            for row in rows
        )
    files["text"].write_text(as_text(rows, unit))
    files["picture"].write_text(draw(as_curves(rows), unit))
    print(as_text(rows, unit))
    return files


def as_text(rows: list[Comparison], unit: Unit) -> str:
    """The table as people read it."""
    lines = [f"Temperatures in °{unit}", "station        month   low  mean  high  above Seattle"]
    lines += [
        f"{row.station:<14} {row.month:>5} {row.low:>5.1f} {row.mean:>5.1f} {row.high:>5.1f}"
        f" {row.above_seattle:>+z14.1f}"
        for row in rows
    ]
    return "\n".join(lines) + "\n"


def as_curves(rows: list[Comparison]) -> list[Curve]:
    """One curve per station, in the order of the rows."""
    stations = dict.fromkeys(row.station for row in rows)
    return [
        Curve(station, [(r.month, r.low, r.mean, r.high) for r in rows if r.station == station])
        for station in stations
    ]


if __name__ == "__main__":
    wf.cli()
