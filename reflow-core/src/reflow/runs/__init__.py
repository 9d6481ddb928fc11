"""Who takes dispatch steps, and when: create, launch, drive, supervise, recover, abort, follow."""
