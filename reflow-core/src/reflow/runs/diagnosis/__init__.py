"""What `doctor` finds out of flows and of compute nodes."""
