"""Which file system a file lies on, and the folders that are made."""

from __future__ import annotations

from pathlib import Path

import pytest
from reflow.stores.filesystem import mount_of

TABLE = r"""
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw,errors=remount-ro
23 22 0:30 / /home rw,nosuid shared:2 master:7 - nfs4 server:/home rw,vers=4.2,local_lock=none
24 23 0:31 / /home/anna/fast rw - xfs /dev/nvme0n1 rw
25 22 0:32 / /mnt/a\040b rw - lustre mds:/fs rw,flock
26 22 0:33 / /old rw - nfs old:/x rw
27 22 0:34 / /old rw - tmpfs tmpfs rw
28 22 0:35 / /weird rw - fuse.sshfs host: rw
""".lstrip()


@pytest.fixture
def table(tmp_path: Path) -> Path:
    file = tmp_path / "mountinfo"
    file.write_text(TABLE)
    return file


@pytest.mark.parametrize(
    ("path", "kind", "local"),
    [
        ("/var/lib/m.db", "ext4", True),
        ("/home/anna/m.db", "nfs4", False),
        ("/home/anna/fast/m.db", "xfs", True),
        ("/home/anna/faster/m.db", "nfs4", False),
        ("/mnt/a b/m.db", "lustre", False),
        ("/old/m.db", "tmpfs", True),
        ("/weird/m.db", "fuse.sshfs", False),
    ],
)
def test_the_innermost_mount_holds_a_file(path: str, kind: str, local: bool, table: Path) -> None:
    mount = mount_of(Path(path), table)
    assert mount is not None
    assert (mount.kind, mount.local) == (kind, local)


def test_the_options_of_mount_and_file_system_are_known(table: Path) -> None:
    mount = mount_of(Path("/home/x"), table)
    assert mount is not None
    assert mount.options >= {"nosuid", "local_lock=none", "vers=4.2"}


def test_a_link_leads_to_the_file_system_of_its_target(table: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/home/anna")
    mount = mount_of(tmp_path / "link" / "m.db", table)
    assert mount is not None
    assert mount.kind == "nfs4"


def test_where_the_system_does_not_tell_nothing_is_known(tmp_path: Path) -> None:
    assert mount_of(tmp_path, tmp_path / "absent") is None


def test_this_machine_s_own_table_can_be_read(tmp_path: Path) -> None:
    mount = mount_of(tmp_path)
    assert mount is not None
    assert tmp_path.is_relative_to(mount.point)
