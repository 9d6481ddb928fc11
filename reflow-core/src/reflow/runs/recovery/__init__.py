"""What takes a run up again that has lost its dispatcher."""
