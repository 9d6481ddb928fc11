"""What all batch executors share; a backend adds data, small pure functions and a template."""
