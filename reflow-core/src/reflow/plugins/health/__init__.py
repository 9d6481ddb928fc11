"""The checks that `reflow doctor` runs on every machine."""

from __future__ import annotations

from reflow.plugins.health import disks, installation, locks
from reflow.plugins.hookspecs import HealthCheck


def builtin_health_checks() -> tuple[HealthCheck, ...]:
    """Return the checks of the core."""
    return (
        HealthCheck(name="python", run=installation.check_python),
        HealthCheck(name="configuration", run=installation.check_configuration),
        HealthCheck(name="plugins", run=installation.check_plugins),
        HealthCheck(name="executor", run=installation.check_executor),
        HealthCheck(name="store", run=installation.check_store),
        HealthCheck(name="store's file system", run=installation.check_store_file_system),
        HealthCheck(name="store's locks", run=locks.check_locks),
        HealthCheck(name="run directory", run=installation.check_run_root),
        HealthCheck(name="permissions", run=disks.check_permissions),
        HealthCheck(name="free space", run=disks.check_space),
        HealthCheck(name="quota", run=disks.check_quota),
        HealthCheck(name="clock", run=disks.check_clock),
    )
