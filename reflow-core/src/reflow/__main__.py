"""`python -m reflow`, where the command `reflow` is not on PATH."""

from __future__ import annotations

from reflow.cli.main import main

main()
