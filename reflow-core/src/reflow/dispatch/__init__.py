"""One dispatch step under a run's lease: plan, cache, submit, take in results, reconcile, retry."""
