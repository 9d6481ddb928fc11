"""What a report leaves out."""

from __future__ import annotations

import pytest
from reflow.model.secrets import is_secret, shown_source, without_passwords


@pytest.mark.parametrize(
    "name",
    ["password", "api_key", "API_TOKEN", "dbPassword", "aws_secret_access_key", "apiKey", "token"],
)
def test_a_name_tells_that_a_value_is_a_secret(name: str) -> None:
    assert is_secret(name)


@pytest.mark.parametrize(
    "name", ["tokenizer", "author", "keys", "monkey", "passes", "key", "secretary", "authors"]
)
def test_words_that_only_begin_alike_are_no_secrets(name: str) -> None:
    assert not is_secret(name)


def test_passwords_in_urls_are_left_out_wherever_they_stand() -> None:
    found = without_passwords({"db": ["postgresql://me:pa55@host/x"], "login": {"password": "x"}})
    assert found == {"db": ["postgresql://me:***@host/x"], "login": {"password": "***"}}


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("-API_TOKEN = 'abc'", "-API_TOKEN = '***'"),
        ('+    token: str = "a\\"b"  # mine', '+    token: str = "***"  # mine'),
        (
            '    return login(user="me", password="abc")',
            '    return login(user="me", password="***")',
        ),
        ('{"user": "me", "password": "abc"}', '{"user": "me", "password": "***"}'),
        ("open('postgres://me:pa55@host')", "open('postgres://me:***@host')"),
        ("tokenizer = 'words'", "tokenizer = 'words'"),
    ],
)
def test_lines_of_source_are_shown_without_what_secret_names_are_given(
    line: str, shown: str
) -> None:
    assert shown_source(line) == shown
