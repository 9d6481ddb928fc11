"""The URLs of the SQL store."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from reflow.errors import ConfigError

SQLITE_PREFIX = "sqlite:///"
POSTGRES_SCHEMES = ("postgresql", "postgres")


@dataclass(frozen=True, slots=True)
class SqliteUrl:
    """A manifest in a file."""

    path: Path
    """Absolute."""

    @property
    def text(self) -> str:
        """The URL of this file, the same from every folder."""
        return SQLITE_PREFIX + str(self.path).removeprefix("/")

    @property
    def shown(self) -> str:
        """The path as messages show it."""
        return str(self.path)


@dataclass(frozen=True, slots=True)
class PostgresUrl:
    """A manifest in a PostgreSQL database; the URL is one that libpq understands."""

    text: str
    secrets: tuple[str, ...] = field(repr=False)

    @property
    def shown(self) -> str:
        """The URL as messages show it, without passwords."""
        return self.without_secrets(self.text)

    def without_secrets(self, message: str) -> str:
        """Return `message` with every password replaced by asterisks."""
        for secret in self.secrets:
            message = message.replace(secret, "***")
        return message


def parse_url(url: str) -> SqliteUrl | PostgresUrl:
    """Parse a store URL, or a bare path, which means an SQLite file.

    A path is taken as it stands, without percent-encoding; `~` is the user's home, and a
    relative one starts at the current folder. Raises `ConfigError` for anything else.
    """
    scheme, separator, _ = url.partition("://")
    if not separator:
        return _sqlite(url)
    if url.startswith(SQLITE_PREFIX):
        path = url.removeprefix(SQLITE_PREFIX)
        return _sqlite(path if path.startswith(("~", ":")) or not path else f"/{path}")
    if scheme in POSTGRES_SCHEMES:
        return _postgres(f"postgresql{url.removeprefix(scheme)}")
    raise ConfigError(
        f"{url!r} is not the URL of an SQL store; write sqlite:///absolute/path/to/manifest.db or "
        f"postgresql://user@host/database"
    )


def _sqlite(path: str) -> SqliteUrl:
    if not path:
        raise ConfigError(
            "The store's URL names no file; write sqlite:///absolute/path/to/manifest.db"
        )
    if path == ":memory:":
        raise ConfigError(
            "A manifest in memory cannot be shared with the processes of a run; name a file: "
            "sqlite:///absolute/path/to/manifest.db"
        )
    if "\x00" in path:
        raise ConfigError(f"{path!r} holds a NUL character and cannot name a file")
    # Not resolved: a path through a symbolic link has to keep working when the link is moved.
    return SqliteUrl(Path("/" + os.path.abspath(Path(path).expanduser()).lstrip("/")))  # noqa: PTH100


def _postgres(url: str) -> PostgresUrl:
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise ConfigError(f"The PostgreSQL URL of the store cannot be read: {error}") from None
    options = (option.partition("=") for option in parts.query.split("&"))
    written = [value for name, _, value in options if name.endswith("password")]
    written.append(parts.password or "")
    secrets = {form for secret in written for form in (secret, unquote(secret)) if form}
    return PostgresUrl(url, tuple(sorted(secrets, key=len, reverse=True)))
