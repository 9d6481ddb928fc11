"""What is found before a run on a disk that is full."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from reflow.plugins.health import installation as health


def test_a_full_disk_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8k", "tmpfs", small], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("mounting a small file system needs root")
    try:
        (small / "filler").write_bytes(b"x" * 8192)
        monkeypatch.setenv("REFLOW_RUN_ROOT", str(small / "runs" / "deep"))
        finding = health.check_run_root()
    finally:
        subprocess.run(["umount", small], check=True)
    assert not finding.ok
    assert "No space left" in finding.text
    assert "--run-dir" in finding.text
