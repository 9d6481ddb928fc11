"""Calling a task's function again with the inputs of one element; nothing is recorded."""
