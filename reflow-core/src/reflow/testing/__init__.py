"""The kit for authors of plugins. Nothing in reflow imports it."""
