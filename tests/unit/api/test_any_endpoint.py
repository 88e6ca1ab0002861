from __future__ import annotations

import pytest

from astro_provider.api.any_endpoint import any_endpoint
from astro_provider.api.errors import RequestNotPossible


@pytest.mark.parametrize(
    ("endpoint", "path"),
    [
        ("pools", "pools"),
        ("/pools", "pools"),
        (" dags/d?x=1 ", "dags/d?x=1"),
        ("dags/a..b", "dags/a..b"),
        ("apis", "apis"),
        ("x?y=..", "x?y=.."),
        ("dags/a%20b", "dags/a%20b"),
        ("dags/a b", "dags/a%20b"),
        ("dags/a\r\nb", "dags/a%0D%0Ab"),
        ("dags/ż#\\", "dags/%C5%BC%23%5C"),
    ],
)
def test_only_invalid_characters_of_an_endpoint_are_percent_encoded(endpoint: str, path: str) -> None:
    assert any_endpoint("get", endpoint).path == path
    assert any_endpoint("get", endpoint).method == "GET"


@pytest.mark.parametrize(
    "endpoint",
    [
        "",
        " / ",
        "https://other.example.com/x",
        "../../auth/token",
        "dags/../../../auth",
        "dags/./d",
        "/api/v2/dags",
        "api/v1/dags",
        "dags/%2e%2e/x",
        "dags/%2E./x",
    ],
)
def test_endpoint_outside_of_the_api_is_refused(endpoint: str) -> None:
    with pytest.raises(RequestNotPossible, match=r"expected a path relative to /api/vN/, e\.g\. 'dags' or 'pools'"):
        any_endpoint("GET", endpoint)


@pytest.mark.parametrize(
    ("name", "value"),
    [("X Key", "hidden-1"), ("X-Key\n", "hidden-1"), ("X-Key", "hidden-1\nX-Evil: 1"), ("Content-Length", "7")],
)
def test_invalid_header_is_refused_without_its_value(name: str, value: str) -> None:
    with pytest.raises(RequestNotPossible) as caught:
        any_endpoint("GET", "dags", headers={name: value})
    assert f"headers of endpoint 'dags', {name!r}: it is sent as a header" in str(caught.value)
    assert "hidden-1" not in str(caught.value)


def test_header_is_sent_as_text_without_blanks_around_it() -> None:
    assert any_endpoint("GET", "dags", headers={"X-Key": " a "}).headers == {"X-Key": "a"}
