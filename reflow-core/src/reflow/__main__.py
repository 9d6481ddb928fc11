"""The command `reflow`, and `python -m reflow` where that is not on PATH."""

from __future__ import annotations


def main() -> None:
    """Run the command line and end the process."""
    try:
        from reflow.cli.main import main

        main()
    except KeyboardInterrupt:
        raise SystemExit(130) from None


if __name__ == "__main__":
    main()
