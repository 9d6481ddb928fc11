"""What is told of a run when it is looked back at: its report, and a trace of its attempts."""
