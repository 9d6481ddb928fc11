"""Pilots: jobs that run a whole run, and what is given to them."""
