"""The terminal behind the view of `status --watch` and `runs --watch`."""
