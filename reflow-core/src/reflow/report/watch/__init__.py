"""The view of `status --watch` and `runs --watch`: its state, what keys do, and its lines."""
