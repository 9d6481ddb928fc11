"""The one version of all distributions."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from scripts import version


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """The files that hold the version, in a folder of the test's own."""
    for folder in version.ROOT.glob("reflow-*"):
        [module] = (folder / "src").glob("*/__init__.py")
        for file in (module, folder / "pyproject.toml"):
            copy = tmp_path / file.relative_to(version.ROOT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, copy)
    (tmp_path / "CHANGELOG.md").write_text("## [Unreleased]\n\n## [0.2.0] - 2026-12-24\n")
    return tmp_path


def test_all_distributions_of_this_repository_are_of_one_version() -> None:
    assert version.version().count(".") == 2


def test_a_version_that_is_set_stands_in_every_distribution(clone: Path) -> None:
    version.set_version("0.2.0", clone)
    assert version.version(clone) == "0.2.0"
    for name in ("slurm", "pbs", "lsf", "sge", "flux"):
        folder = clone / f"reflow-{name}"
        assert '"reflow-core~=0.2.0"' in (folder / "pyproject.toml").read_text()
        module = folder / "src" / f"reflow_{name}" / "__init__.py"
        assert '__version__ = "0.2.0"' in module.read_text()


def test_one_may_be_set_after_a_release_candidate(clone: Path) -> None:
    version.set_version("0.2.0rc1", clone)
    version.set_version("0.2.0", clone)
    assert version.version(clone) == "0.2.0"


def test_a_distribution_of_another_version_is_named(clone: Path) -> None:
    module = clone / "reflow-pbs" / "src" / "reflow_pbs" / "__init__.py"
    module.write_text('__version__ = "9.9.9"\n')
    with pytest.raises(version.VersionError, match=r"reflow_pbs/__init__\.py has 9\.9\.9"):
        version.version(clone)


def test_a_backend_that_requires_another_core_is_named(clone: Path) -> None:
    project = clone / "reflow-lsf" / "pyproject.toml"
    project.write_text('dependencies = ["reflow-core>=0.1,<1"]\n')
    with pytest.raises(version.VersionError, match=r"reflow-lsf/pyproject\.toml has >=0\.1,<1"):
        version.version(clone)


@pytest.mark.parametrize("number", ["0.2", "v0.2.0", "0.2.0.dev1", "next"])
def test_what_is_no_version_is_refused(clone: Path, number: str) -> None:
    before = version.version(clone)
    with pytest.raises(version.VersionError, match="is no version"):
        version.set_version(number, clone)
    assert version.version(clone) == before


def test_a_tag_of_this_version_is_released_once_the_changelog_has_it(clone: Path) -> None:
    version.set_version("0.2.0", clone)
    version.check("v0.2.0", clone)
    with pytest.raises(version.VersionError, match=r"the tag is v0\.3\.0"):
        version.check("v0.3.0", clone)
    version.set_version("0.3.0", clone)
    with pytest.raises(version.VersionError, match=r"no release \[0\.3\.0\]"):
        version.check("v0.3.0", clone)
