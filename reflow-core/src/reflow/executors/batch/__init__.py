"""What all batch schedulers share; a backend adds data, small pure functions and a template."""
