"""Virtual environments into which these tests install wheels."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "tests" / "plugins" / "reflow-example"


@dataclass(frozen=True)
class Environment:
    """A virtual environment."""

    folder: Path

    @property
    def bin(self) -> Path:
        return self.folder / "bin"

    @property
    def site(self) -> Path:
        version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        return self.folder / "lib" / version / "site-packages"

    def run(self, *command: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run one of its commands, in the test's folder and home."""
        ended = subprocess.run(
            [self.bin / command[0], *command[1:]],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "PATH": f"{self.bin}:{os.environ['PATH']}"},
        )
        assert not check or ended.returncode == 0, ended.stdout + ended.stderr
        return ended

    def python(self, code: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        # Isolated: neither the working directory nor PYTHONPATH lends it anything.
        return self.run("python", "-I", "-c", code, check=check)

    def install(self, *words: str | Path) -> None:
        """Install something; pip itself need not be there."""
        pip("--python", self.bin / "python", "install", "-q", *words)

    def layer(self, folder: Path) -> Environment:
        """Another environment that has everything of this one, and leaves it as it is."""
        above = Environment(folder)
        venv.create(folder, with_pip=False)
        (above.site / "below.pth").write_text(f"{self.site}\n")
        return above


def pip(*words: str | Path) -> None:
    """Run the pip of the interpreter that runs the tests."""
    subprocess.run([sys.executable, "-m", "pip", "--disable-pip-version-check", *words], check=True)
