from __future__ import annotations

import pytest

from astro_provider.api.credential_fields import CredentialFields
from astro_provider.api.errors import ConnectionConfigError

FIELDS = CredentialFields("some_conn", None, "hidden-1", {"text": "a", "number": 7, "null": None, "key": "hidden-2"})


def test_text_of_extra_is_a_string_or_none() -> None:
    assert [FIELDS.text(key) for key in ("text", "null", "missing")] == ["a", None, None]


def test_text_of_extra_of_another_type_is_an_error() -> None:
    with pytest.raises(ConnectionConfigError, match=r"'some_conn', field Extra \"number\": expected a text, got int$"):
        FIELDS.text("number")


def test_a_header_is_text_without_blanks_around_it() -> None:
    assert FIELDS.header("Password", " a ") == "a"


def test_a_header_that_cannot_be_sent_is_an_error_without_its_value() -> None:
    with pytest.raises(ConnectionConfigError, match="'some_conn', field Password: it is sent as a header") as caught:
        FIELDS.header("Password", "hidden-1\n2")
    assert "hidden-1" not in str(caught.value)


def test_the_fields_do_not_show_their_secrets() -> None:
    assert "hidden" not in repr(FIELDS)
