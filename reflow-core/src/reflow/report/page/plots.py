"""Plots as SVG, drawn here, so that the page needs no library.

Places on the horizontal axis are per cent of the width: plots are as wide as the page, and their
letters, which stand in the page around them, are not stretched.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from markupsafe import Markup

from reflow.report.graph_svg import state_colour
from reflow.report.page.units import html, plain, seconds
from reflow.runs.reporting.contents import Bar, Distribution, Histogram

_LANE = 34
_LOWEST, _TALLEST = 3.0, 12.0
_MOST_HEIGHT = 240.0


def columns(values: Sequence[float], *, told: str, css: str, height: int = _LANE) -> Markup:
    """Draw values as columns side by side, the largest as high as the plot."""
    top = max(values, default=0.0)
    parts = []
    for place, value in enumerate(values):
        if value > 0 and top:
            # What is there is seen, however little it is beside the largest.
            tall = max(value / top * height, 1.0)
            parts.append(f"M{place} {height}v{-tall:.1f}h1v{tall:.1f}z")
    return _stretched(len(values), height, "".join(parts), told, css)


def histogram(found: Histogram, *, told: str, css: str) -> Markup:
    """Draw a histogram; bars are equally wide, also where the scale is logarithmic."""
    return columns(found.counts, told=told, css=f"histogram {css}", height=44)


def strip(values: Sequence[float], top: float, *, told: str) -> Markup:
    """Draw values as a strip that is the darker the larger they are."""
    # Neighbours alike are one part: quiet hosts take few.
    levels = [math.ceil(min(value / top, 1.0) * 5) if top else 0 for value in values]
    width = 100 / max(len(levels), 1)
    parts, start = [], 0
    for place in range(1, len(levels) + 1):
        if place == len(levels) or levels[place] != levels[start]:
            if levels[start]:
                parts.append(
                    f'<rect x="{start * width:.2f}%" width="{(place - start) * width:.2f}%" '
                    f'height="100%" opacity="{levels[start] / 5:.1f}"/>'
                )
            start = place
    return _svg(14, "".join(parts), told, "strip")


def bars(tries: Sequence[Bar], whole: float, *, told: str) -> Markup:
    """Draw tries on the time axis, those at the same time below each other."""
    rows = _packed(tries)
    lanes = max(rows, default=0) + 1
    tall = min(max(_MOST_HEIGHT / lanes, _LOWEST), _TALLEST)
    gap = 1 if tall < 6 else 2
    lines, parts = [], []
    for each, row in zip(tries, rows, strict=True):
        start, width = each.start / whole * 100, (each.end - each.start) / whole * 100
        if each.submitted is not None and each.submitted < each.start:
            since = max(each.submitted, 0.0) / whole * 100
            lines.append(
                f'<rect class="waited" x="{since:.3f}%" y="{row * tall + tall / 2 - 0.5:.1f}" '
                f'width="{start - since:.3f}%" height="1"/>'
            )
        name = f"{each.task}[{each.index}]" + (
            f", attempt {each.attempt}" if each.attempt > 1 else ""
        )
        tip = f"{name}: {each.state.lower()}, {seconds(each.end - each.start)}"
        tip += f" on {each.host}" if each.host else ""
        pattern = "" if each.state == "SUCCESS" else ' class="bad"'
        parts.append(
            f'<rect{pattern} x="{start:.3f}%" y="{row * tall:.1f}" width="{width:.3f}%" '
            f'height="{tall - gap:.1f}" rx="1" style="fill:{state_colour(each.state)}">'
            f"<title>{_escaped(tip)}</title></rect>"
        )
    # What waits below what runs: a row holds several attempts.
    return _svg(math.ceil(lanes * tall), "".join([*lines, *parts]), told, "bars")


def gauge(shares: Distribution, *, told: str) -> Markup:
    """Draw how much of what was asked for was used: a track that is full at 100 %."""
    top = max(shares.max, 1.0)
    full, used, most = (each / top * 100 for each in (1.0, shares.p95, shares.max))
    over = " over" if shares.max > 1 else ""
    parts = (
        f'<rect class="track" width="{full:.2f}%" y="2" height="8" rx="2"/>'
        f'<rect class="used{over}" width="{used:.2f}%" y="2" height="8" rx="2"/>'
        f'<rect class="most" x="{max(most - 0.6, 0):.2f}%" width="2" y="0" height="12"/>'
        f'<rect class="full" x="{max(full - 0.3, 0):.2f}%" width="1" y="0" height="12"/>'
    )
    return _svg(12, parts, told, "gauge")


def shares(parts: Iterable[tuple[str, float, str, str]], *, told: str) -> Markup:
    """Draw shares of a whole side by side; each is named by a class of the style sheet."""
    drawn, start = [], 0.0
    for css, share, *_ in parts:
        if share > 0:
            drawn.append(
                f'<rect class="{css}" x="{start * 100:.2f}%" width="{share * 100:.2f}%" '
                'height="100%"/>'
            )
        start += share
    return _svg(14, "".join(drawn), told, "shares")


def ticks(whole: float, most: int = 6) -> list[tuple[float, str]]:
    """Return the places of round times on an axis, in per cent, with what they say."""
    step = next((each for each in _STEPS if whole / each <= most), 0.0)
    if not step:
        day = 86_400.0
        step = math.ceil(whole / most / day) * day
    number = math.floor(whole / step)
    return [(count * step / whole * 100, _tick(count * step)) for count in range(number + 1)]


_MILLISECONDS = (1, 2, 5, 10, 20, 50, 100, 200, 500)
_SECONDS = (1, 2, 5, 10, 15, 30)
_MINUTES = (1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1440, 2880)
_STEPS = (
    *(step / 1000 for step in _MILLISECONDS),
    *(float(step) for step in _SECONDS),
    *(step * 60.0 for step in _MINUTES),
)
"""Seconds between two ticks."""


def _tick(value: float) -> str:
    """Write a round time, exactly: `500 ms`, `1.5 s`, `1 h 30 min`."""
    if value < 60:
        return f"{value * 1000:.0f} ms" if 0 < value < 1 else f"{value:g} s"
    minutes, rest = divmod(round(value), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    told = [(days, "d"), (hours, "h"), (minutes, "min"), (rest, "s")]
    return " ".join(f"{part} {unit}" for part, unit in told if part)


def _packed(tries: Sequence[Bar]) -> list[int]:
    """Return the row of each try, in order of start, so that none overlap."""
    ends: list[float] = []
    rows = []
    for each in tries:
        row = next((row for row, end in enumerate(ends) if end <= each.start), len(ends))
        if row == len(ends):
            ends.append(each.end)
        ends[row] = each.end
        rows.append(row)
    return rows


def _stretched(width: int, height: int, path: str, told: str, css: str) -> Markup:
    inner = (
        f'<svg viewBox="0 0 {max(width, 1)} {height}" preserveAspectRatio="none" '
        f'width="100%" height="100%"><path d="{path}"/></svg>'
    )
    return _svg(height, inner, told, css)


def _svg(height: int, body: str, told: str, css: str) -> Markup:
    return html(
        f'<svg class="{css}" role="img" aria-label="{_escaped(told)}" width="100%" '
        f'height="{height}">{body}</svg>'
    )


def _escaped(text: str) -> str:
    return str(Markup.escape(plain(text)))
