"""Plugins: hook specifications, entry points, the registry, the built-in one, health checks."""
