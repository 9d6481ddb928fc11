"""Draws monthly temperatures as an SVG file, with nothing but text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle
from math import ceil, floor
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 860, 460
LEFT, RIGHT, TOP, BOTTOM = 62, 836, 92, 414
COLOURS = ("#c8553d", "#2a6f97", "#5b8e3e", "#7d5ba6")
MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]


@dataclass(frozen=True)
class Curve:
    """A station's name and its months as (month, low, mean, high)."""

    name: str
    months: Sequence[tuple[int, float, float, float]]


def draw(curves: Sequence[Curve], unit: str) -> str:
    """The whole picture: a line of means in a band from lowest to highest, for each curve."""
    coldest = min(low for curve in curves for _, low, _, _ in curve.months)
    warmest = max(high for curve in curves for _, _, _, high in curve.months)
    bottom, top = 5 * floor(coldest / 5), 5 * ceil(warmest / 5)

    def x(month: int) -> float:
        return LEFT + (month - 0.5) * (RIGHT - LEFT) / 12

    def y(temperature: float) -> float:
        return BOTTOM - (temperature - bottom) * (BOTTOM - TOP) / (top - bottom)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}"'
        f' width="{WIDTH}" height="{HEIGHT}" font-family="Helvetica, Arial, sans-serif">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
        text(LEFT, 36, "Hourly temperatures, month by month, 2010", size=19, colour="#1c2833"),
        text(LEFT, 58, f"°{unit}: line = mean, band = lowest to highest hour"),
    ]
    for value in range(bottom, top + 1, 5):
        parts.append(line(LEFT, y(value), RIGHT, y(value), "#e3e7ea"))
        parts.append(text(LEFT - 10, y(value) + 4, str(value), anchor="end"))
    for month, name in enumerate(MONTHS, start=1):
        parts.append(line(x(month), BOTTOM, x(month), BOTTOM + 5, "#8a949c"))
        parts.append(text(x(month), BOTTOM + 22, name, anchor="middle"))
    parts.append(line(LEFT, BOTTOM, RIGHT, BOTTOM, "#8a949c"))

    coloured = list(zip(curves, cycle(COLOURS)))
    for curve, colour in coloured:
        upper = [(x(month), y(high)) for month, _, _, high in curve.months]
        lower = [(x(month), y(low)) for month, low, _, _ in curve.months]
        band = points(upper + lower[::-1])
        parts.append(f'<polygon points="{band}" fill="{colour}" opacity="0.18"/>')
    for place, (curve, colour) in enumerate(coloured):
        means = [(x(month), y(mean)) for month, _, mean, _ in curve.months]
        parts.append(
            f'<polyline points="{points(means)}" fill="none" stroke="{colour}"'
            ' stroke-width="2.5" stroke-linejoin="round"/>'
        )
        parts += [f'<circle cx="{a:.1f}" cy="{b:.1f}" r="3.2" fill="{colour}"/>' for a, b in means]
        left = RIGHT - 150 * (len(curves) - place)
        parts.append(f'<rect x="{left}" y="26" width="14" height="14" rx="3" fill="{colour}"/>')
        parts.append(text(left + 21, 38, curve.name, colour="#1c2833"))
    return "\n".join([*parts, "</svg>"]) + "\n"


def points(pairs: Sequence[tuple[float, float]]) -> str:
    """Corners as SVG writes them."""
    return " ".join(f"{a:.1f},{b:.1f}" for a, b in pairs)


def line(x1: float, y1: float, x2: float, y2: float, colour: str) -> str:
    """A thin straight line."""
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}"/>'


def text(
    x: float, y: float, words: str, size: int = 13, anchor: str = "start", colour: str = "#55616b"
) -> str:
    """Words that start, end or are centred at a point."""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}"'
        f' fill="{colour}">{escape(words)}</text>'
    )
