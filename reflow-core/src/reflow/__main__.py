"""The command `reflow`, and `python -m reflow` where that is not on PATH."""

from __future__ import annotations

import os


def main() -> None:
    """Run the command line and end the process."""
    try:
        if "_REFLOW_COMPLETE" in os.environ:
            from reflow.cli.quick import complete

            if (code := complete()) is not None:
                raise SystemExit(code)
        from reflow.cli.main import main

        main()
    except KeyboardInterrupt:
        raise SystemExit(130) from None


if __name__ == "__main__":
    main()
