"""Flows that are defined in a notebook or at IPython's prompt: a module written from the cells."""
