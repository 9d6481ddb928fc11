"""Numbers, times and texts as the page shows them."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from markupsafe import Markup

from reflow.report import layout

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""Control characters, and those that turn the direction of what follows."""
_LONGEST_VALUE = 600
NONE = "–"


def plain(text: str) -> str:
    """Make control characters and halves of surrogate pairs visible."""
    whole = text.encode(errors="replace").decode()
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", whole)


def html(text: str) -> Markup:
    """Mark HTML as our own, in which all that others wrote is escaped already."""
    return Markup(text)  # noqa: S704


def seconds(value: float | None) -> str:
    """Write a duration: `0.4 ms`, `12 ms`, `0.42 s`, `3 min 5 s`."""
    if value is None:
        return NONE
    if 0 < value < 0.0995:
        return f"{value * 1000:.0f} ms" if value >= 0.00095 else f"{max(value * 1000, 0.01):.1g} ms"
    if value < 9.95:
        return f"{value:.2g} s" if value else "0 s"
    return layout.duration(timedelta(seconds=value))


def size(value: float | None) -> str:
    """Write bytes: `512 B`, `1.5 GB`, with units of 1,024."""
    if value is None:
        return NONE
    for unit in ("B", "KB", "MB", "GB", "TB"):
        if value < 1000 or unit == "TB":
            break
        value /= 1024
    return f"{value:.0f} {unit}" if unit == "B" or value >= 99.5 else f"{value:.3g} {unit}"


def percent(share: float | None) -> str:
    """Write a share: `31 %`, `0.4 %`."""
    if share is None:
        return NONE
    value = share * 100
    return f"{value:.0f} %" if value >= 9.5 or value == 0 else f"{value:.1g} %"


def number(value: float | None) -> str:
    """Write a count, or a number such as 1.4."""
    if value is None:
        return NONE
    return f"{value:,}" if isinstance(value, int) else f"{value:.2g}"


def moment(text: str | None) -> str:
    """Write a time, given as ISO 8601, in the zone of this machine."""
    return (
        NONE if text is None else f"{datetime.fromisoformat(text).astimezone():%Y-%m-%d %H:%M:%S}"
    )


def zone(text: str) -> str:
    """Name the zone of this machine at a time: `UTC+01:00`."""
    return f"UTC{datetime.fromisoformat(text).astimezone().isoformat()[-6:]}"


def value_text(value: Any) -> str:
    """Write a JSON value in bounds."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST_VALUE else f"{text[: _LONGEST_VALUE - 1]}…"


def ranges(spans: Sequence[Sequence[int]], most: int = 6) -> str:
    """Write ranges of indexes as `0-2, 7`; those beyond `most` become `...`."""
    shown = [f"{low}" if low == high else f"{low}-{high}" for low, high in spans[:most]]
    return ", ".join(shown + ["..."] * (len(spans) > most))
