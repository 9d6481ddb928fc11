"""The URLs of the SQL store."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from reflow.errors import ConfigError
from reflow.stores.sql import SqlStore
from reflow.stores.url import PostgresUrl, SqliteUrl, parse_url


def path_of(url: str) -> Path:
    parsed = parse_url(url)
    assert isinstance(parsed, SqliteUrl)
    return parsed.path


@pytest.mark.parametrize(
    "url", ["sqlite:///scratch/a b/m.db", "sqlite:////scratch/a b/m.db", "/scratch/x/../a b/m.db"]
)
def test_an_absolute_path_is_taken_as_it_stands(url: str) -> None:
    assert path_of(url) == Path("/scratch/a b/m.db")
    assert parse_url(url).text == "sqlite:///scratch/a b/m.db"


@pytest.mark.parametrize("url", ["sqlite:///~/m.db", "~/m.db"])
def test_a_tilde_is_the_home(url: str, home: Path) -> None:
    assert path_of(url) == home / "m.db"


def test_a_bare_relative_path_starts_at_the_current_folder(tmp_path: Path) -> None:
    assert path_of("state/m.db") == tmp_path / "state" / "m.db"


@pytest.mark.parametrize("name", ["100%20 ?x=1#y.db", "\udcff.db", "ü.db"])
def test_no_character_of_a_path_has_a_meaning(name: str, tmp_path: Path) -> None:
    parsed = parse_url(str(tmp_path / name))
    assert parse_url(parsed.text) == parsed
    assert path_of(parsed.text).name == name


def test_a_link_is_not_followed_for_good(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "old")
    assert path_of(f"{tmp_path}/link/m.db") == tmp_path / "link" / "m.db"


@pytest.mark.parametrize("url", ["", "sqlite:///", "sqlite:///:memory:", ":memory:", "a\x00b"])
def test_what_names_no_file_is_refused(url: str) -> None:
    with pytest.raises(ConfigError):
        parse_url(url)


@pytest.mark.parametrize("url", ["mysql://host/db", "sqlite://host/m.db"])
def test_other_urls_are_refused_with_an_example(url: str) -> None:
    with pytest.raises(ConfigError, match="sqlite:///absolute"):
        parse_url(url)


@pytest.mark.parametrize("scheme", ["postgresql", "postgres"])
def test_a_postgres_url_is_kept_whole(scheme: str) -> None:
    rest = "://anna:s%40fe@db.example:5433/team?sslmode=require"
    assert parse_url(scheme + rest).text == "postgresql" + rest


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://anna:s%40fe@db.example/team",
        "postgresql://anna@db.example/team?password=s%40fe",
        "postgresql:///team?host=/run&sslpassword=s%40fe",
    ],
)
def test_a_password_is_never_shown(url: str) -> None:
    parsed = parse_url(url)
    assert isinstance(parsed, PostgresUrl)
    said = parsed.without_secrets(f"{url}: wrong password 's@fe'")
    for text in (said, parsed.shown, repr(SqlStore(url))):
        assert "s%40fe" not in text
        assert "s@fe" not in text
        assert "team" in text


def test_a_broken_postgres_url_is_an_error() -> None:
    with pytest.raises(ConfigError, match="PostgreSQL"):
        parse_url("postgresql://[::1/team")


def test_the_store_s_url_means_the_same_from_everywhere(tmp_path: Path) -> None:
    store = SqlStore("m.db")
    os.chdir("/")
    assert store.url == f"sqlite://{tmp_path}/m.db"
    assert SqlStore(store.url).url == store.url
