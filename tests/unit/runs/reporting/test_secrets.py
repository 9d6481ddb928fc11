"""What a report leaves out."""

from __future__ import annotations

import pytest
from reflow.runs.reporting.secrets import is_secret, without_passwords


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
