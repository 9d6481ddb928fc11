"""Plugins for reflow, to begin your own from."""

__version__ = "0.1.0"
