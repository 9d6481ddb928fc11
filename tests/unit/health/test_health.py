"""What `reflow doctor` finds."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

import pytest
from reflow.errors import SchedulerUnavailableError
from reflow.executors.contract import API_VERSION
from reflow.plugins.health import builtin_health_checks, disks
from reflow.plugins.health import installation as health
from reflow.plugins.hookspecs import ExecutorPlugin, Finding
from reflow.plugins.registry import registry
from reflow.stores.filesystem import Mount
from reflow.testing.plugins import broken_plugin, plugin, using_plugins


class DeafExecutor:
    """Its scheduler does not answer."""

    name = "deaf"

    def limits(self) -> None:
        raise SchedulerUnavailableError("deafstat did not answer")

    def close(self) -> None:
        pass


@pytest.fixture
def file(home: Path) -> Path:
    path = home / ".config" / "reflow" / "config.toml"
    path.parent.mkdir(parents=True)
    return path


PROCESSES = {"store's locks", "quota"}
"""Checks that start processes."""


@pytest.mark.parametrize(
    "name", [check.name for check in builtin_health_checks() if check.name not in PROCESSES]
)
def test_all_is_well_on_a_fresh_machine(name: str) -> None:
    with using_plugins():
        [check] = [check for check in registry().health_checks() if check.name == name]
        finding = check.run()
    assert finding.ok, finding.text
    assert finding.text


def test_a_broken_configuration_is_found(file: Path) -> None:
    file.write_text("run_root =\n")
    finding = health.check_configuration()
    assert not finding.ok
    assert f"{file}, line 1" in finding.text


def test_unknown_keys_and_executors_are_found(file: Path) -> None:
    file.write_text('[stoer]\nurl = "x"\n[executor.locale]\nslots = 3\n')
    finding = health.check_configuration()
    assert not finding.ok
    assert "'store'" in finding.text
    assert "[executor.locale]; did you mean 'local'" in finding.text


def test_the_configuration_of_an_executor_that_is_not_installed_is_no_problem(file: Path) -> None:
    file.write_text('[executor.slurm]\nsetup = ["module load python"]\n')
    with using_plugins():
        assert health.check_configuration().ok


def test_a_broken_configuration_spoils_no_other_check(file: Path) -> None:
    file.write_text("run_root =\n")
    assert health.check_store().ok
    assert health.check_run_root().ok


def test_a_broken_plugin_is_found() -> None:
    with using_plugins(broken_plugin("pond")):
        finding = health.check_plugins()
    assert not finding.ok
    assert "reflow-pond" in finding.text


def test_a_scheduler_that_does_not_answer_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, __name__, sys.modules[DeafExecutor.__module__])
    monkeypatch.setenv("REFLOW_EXECUTOR", "deaf")
    record = ExecutorPlugin(name="deaf", target=f"{__name__}:DeafExecutor", api_version=API_VERSION)
    with using_plugins(plugin("deaf", executors=[record])):
        assert health.check_executor() == Finding(ok=False, text="deafstat did not answer")


def test_an_executor_that_is_not_installed_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REFLOW_EXECUTOR", "slurm")
    with using_plugins():
        finding = health.check_executor()
    assert not finding.ok
    assert "pip install reflow-slurm" in finding.text


def test_a_store_that_cannot_be_opened_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "manifest.db").write_bytes(b"this is no database" * 100)
    monkeypatch.setenv("REFLOW_STORE", str(tmp_path / "manifest.db"))
    finding = health.check_store()
    assert not finding.ok
    assert "manifest.db" in finding.text


def test_a_password_is_not_shown() -> None:
    assert health.shown("postgresql://me:secret@host/db").startswith("postgresql://me")
    assert "secret" not in health.shown("postgresql://me:secret@host/db")
    assert "secret" not in health.shown("pond://me:secret@host/db")


@pytest.mark.parametrize("option", ["nolock", "local_lock=all", "local_lock=posix"])
def test_a_network_mount_whose_locks_are_not_seen_elsewhere_is_found(option: str) -> None:
    mount = Mount(Path("/home"), "nfs4", frozenset({"rw", option}))
    finding = health.judge_mount(Path("/home/me/manifest.db"), mount)
    assert not finding.ok
    assert option in finding.text
    assert "REFLOW_STORE" in finding.text


@pytest.mark.parametrize("kind", ["fuse.sshfs", "fuse.rclone", "davfs"])
def test_a_remote_file_system_that_keeps_locks_to_itself_is_found(kind: str) -> None:
    mount = Mount(Path("/home"), kind, frozenset({"rw"}))
    finding = health.judge_mount(Path("/home/me/manifest.db"), mount)
    assert not finding.ok
    assert kind in finding.text
    assert "REFLOW_STORE" in finding.text


def test_a_run_directory_without_links_is_well_and_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REFLOW_RUN_ROOT", str(tmp_path))
    monkeypatch.setattr(os, "link", refuse_links)
    finding = health.check_run_root()
    assert finding.ok
    assert "hard links" in finding.text


def refuse_links(source: object, target: object) -> None:
    raise PermissionError(errno.EPERM, "Operation not permitted")


@pytest.mark.parametrize(
    ("kind", "option"), [("nfs4", "local_lock=none"), ("ext4", "nolock"), ("lustre", "flock")]
)
def test_a_mount_with_real_locks_is_well(kind: str, option: str) -> None:
    mount = Mount(Path("/home"), kind, frozenset({"rw", option}))
    assert health.judge_mount(Path("/home/me/manifest.db"), mount).ok


def test_a_system_that_does_not_tell_its_mounts_is_well() -> None:
    assert health.judge_mount(Path("/home/me/manifest.db"), None).ok


def test_a_folder_that_cannot_hold_runs_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("REFLOW_RUN_ROOT", str(tmp_path / "file" / "runs"))
    assert not health.check_run_root().ok


# -- disks and clocks --------------------------------------------------------------------------


def test_a_full_file_system_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    room = os.statvfs(Path.cwd())

    def full(folder: Path) -> os.statvfs_result:
        values = list(room)
        values[4] = 10
        return os.statvfs_result(values)

    monkeypatch.setattr(os, "statvfs", full)
    finding = disks.check_space()
    assert not finding.ok
    assert "GiB left: make room there, or set `run_root`" in finding.text


QUOTA = """\
Disk quotas for user me (uid 1000):
     Filesystem  blocks   quota   limit   grace   files   quota   limit   grace
      /dev/sda1 9600000  10000000 12000000           1200       0       0
server:/home  12000000* 10000000 12000000   6days   1200*   1000    2000   6days
/no/limit  12000000  0 0  1200  0 0
"""


def test_quotas_are_read_as_quota_prints_them() -> None:
    assert [(each.where, each.what, each.share) for each in disks.parse_quota(QUOTA)] == [
        ("/dev/sda1", "blocks", 0.96),
        ("server:/home", "blocks", 1.2),
        ("server:/home", "files", 1.2),
    ]


def test_quotas_are_read_as_lustre_prints_them() -> None:
    [blocks, files] = disks.parse_quota("     /lustre  1048576  0  2097152  -  10  0  100  -\n")
    assert str(blocks) == "1.0 GiB of 2.0 GiB on /lustre"
    assert str(files) == "10 of 100 files on /lustre"


def test_what_is_no_quota_is_left_out() -> None:
    assert disks.parse_quota("Disk quotas for user me (uid 1000): none\n\n/x y z\n") == []


def test_clocks_that_differ_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disks, "server_time", lambda probe: 0.0)
    finding = disks.check_clock()
    assert not finding.ok
    assert "s apart: files look older or newer than they are" in finding.text


def test_a_folder_that_others_may_write_is_found(home: Path) -> None:
    state = home / ".local" / "state" / "reflow"
    state.mkdir(parents=True)
    state.chmod(0o777)
    finding = disks.check_permissions()
    assert not finding.ok
    assert f"`chmod go-w {state}`" in finding.text
    state.chmod(0o755)
    assert disks.check_permissions().ok


def test_a_umask_that_shuts_oneself_out_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disks, "current_umask", lambda: "0777")
    assert "`umask 022`" in disks.check_permissions().text
