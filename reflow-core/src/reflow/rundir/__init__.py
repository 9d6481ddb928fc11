"""A run on the shared disk: paths, claims, waves, results; no database, no scheduler."""
