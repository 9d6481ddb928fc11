from __future__ import annotations

import re
import subprocess
import sys
from xml.etree import ElementTree

from scripts import watch_screenshot
from tests.docs.pages import REPOSITORY


def texts(svg: str) -> list[str]:
    """What a drawing says; how it looks is up to the version of rich that drew it."""
    return ["".join(each.itertext()) for each in ElementTree.fromstring(svg).iter() if each.text]


def test_the_picture_of_the_view_is_what_the_view_shows() -> None:
    code = "from scripts.watch_screenshot import image; print(image(), end='')"
    made = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    drawn = watch_screenshot.IMAGE.read_text(encoding="utf-8")
    shown = [text for text in texts(drawn) if "{" not in text]
    assert shown == [text for text in texts(made.stdout) if "{" not in text], (
        "run scripts/watch_screenshot.py"
    )


def test_the_picture_needs_nothing_from_the_network() -> None:
    drawn = watch_screenshot.IMAGE.read_text(encoding="utf-8")
    assert not re.findall(r"url\(\"?http", drawn)
