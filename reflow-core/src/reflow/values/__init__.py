"""Values to JSON and back, and the digests that the cache keys on."""
