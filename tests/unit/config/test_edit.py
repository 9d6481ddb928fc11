"""Edits of the configuration file."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from reflow.config.edit import with_task_tables, write_config
from reflow.errors import ConfigError

TABLES = {"wf.align": {"mem": "3G", "per_job": "auto"}}
COMMENT = "# by a test"


def edited(text: str) -> str:
    return with_task_tables(text, TABLES, COMMENT)


def test_a_table_is_added_at_the_end_below_a_comment() -> None:
    assert edited('run_root = "a"  # mine\n') == (
        'run_root = "a"  # mine\n\n# by a test\n[tasks."wf.align"]\nmem = "3G"\nper_job = "auto"\n'
    )
    assert edited("") == '# by a test\n[tasks."wf.align"]\nmem = "3G"\nper_job = "auto"\n'


@pytest.mark.parametrize(
    "head", ['[tasks."wf.align"]', "[tasks.wf.align] # why", "[ tasks.'wf.align' ]"]
)
def test_a_table_that_is_there_is_edited_in_its_place(head: str) -> None:
    text = (
        f"{head}\n# for the large ones\nmem = '9G'  # was 8\ncpus = 2\n\n[defaults]\nmem = '1G'\n"
    )
    assert edited(text) == (
        f'{head}\nper_job = "auto"\n# for the large ones\nmem = "3G"  # was 8\ncpus = 2\n\n'
        "[defaults]\nmem = '1G'\n"
    )


def test_writing_the_same_once_more_changes_nothing() -> None:
    once = edited("[defaults]\n")
    assert edited(once) == once


def test_a_table_of_the_same_task_in_all_workflows_stays() -> None:
    text = "[tasks.align]\nmem = '9G'\n"
    assert tomllib.loads(edited(text))["tasks"] == {
        "align": {"mem": "9G"},
        "wf.align": {"mem": "3G", "per_job": "auto"},
    }


@pytest.mark.parametrize(
    "text",
    [
        "tasks = {'wf.align' = {mem = '9G'}}\n",
        "tasks.'wf.align'.mem = '9G'\n",
        "[tasks]\n'wf.align' = {mem = '9G'}\n",
        '[tasks."wf.align"]\nmem = """\n9G"""\n',
        'setup = ["""\n[tasks."wf.align"]\nmem = 3\n"""]\n',
        "mem = \n",
    ],
)
def test_a_file_that_cannot_be_edited_line_by_line_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        edited(text)


def test_a_file_is_replaced_where_its_link_leads_and_keeps_its_permissions(tmp_path: Path) -> None:
    real, link = tmp_path / "dotfiles" / "reflow.toml", tmp_path / "config.toml"
    real.parent.mkdir()
    real.write_text("old")
    real.chmod(0o600)
    link.symlink_to(real)
    write_config(link, "new")
    assert (real.read_text(), link.is_symlink()) == ("new", True)
    assert real.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in real.parent.iterdir()] == ["reflow.toml"]


def test_a_folder_that_cannot_be_written_is_an_error_and_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="nothing was changed"):
        write_config(tmp_path / "file" / "config.toml", "new")
