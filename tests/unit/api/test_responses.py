from __future__ import annotations

import json
from typing import Any

import pytest

from astro_provider.api.flow import Response
from astro_provider.api.responses import (
    MAX_RETRY_AFTER_SECONDS,
    is_html,
    is_json_object,
    is_other_api_version,
    is_removed_api,
    is_token_refused,
    is_unknown_route,
    retry_after,
)
from tests.unit import payloads

HTML = b"<!DOCTYPE html><html><title>404</title></html>"


def response(status: int, body: Any = b"", **headers: str) -> Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(status, named, body if isinstance(body, bytes) else json.dumps(body).encode())


@pytest.mark.parametrize(
    ("received", "refused"),
    [
        (response(401), True),
        (response(403, {"detail": "Invalid JWT token"}), True),
        (response(403, {"detail": "Forbidden"}), False),
        (response(200, {"detail": "Invalid JWT token"}), False),
    ],
)
def test_an_expired_token_and_one_of_an_old_key_are_refused_tokens(received: Response, refused: bool) -> None:
    assert is_token_refused(received) is refused


@pytest.mark.parametrize(
    ("received", "html"),
    [
        (response(200, HTML), True),
        (response(200, b"  \n<HTML lang=en>"), True),
        (response(200, b"", content_type="text/html; charset=utf-8"), True),
        (response(200, {"title": "<html>"}), False),
        (response(200), False),
    ],
)
def test_a_page_is_recognised_by_its_type_or_its_beginning(received: Response, html: bool) -> None:
    assert is_html(received) is html


@pytest.mark.parametrize(("body", "is_object"), [({}, True), ([], False), (b"", False), (b"[" * 100_000, False)])
def test_a_json_object_is_recognised(body: Any, is_object: bool) -> None:
    assert is_json_object(response(404, body)) is is_object


@pytest.mark.parametrize(
    ("received", "other"),
    [
        (response(404, HTML), True),
        (response(404, payloads.V1_REMOVED), True),
        (response(405, payloads.METHOD_NOT_ALLOWED), True),
        (response(405, {"title": "Method Not Allowed", "detail": "Method Not Allowed"}), False),
        (response(404, payloads.v1.error(404, "Not Found")), False),
        (response(404, payloads.v2.error(404, "Not Found")), False),
        (response(200, HTML), False),
    ],
)
def test_responses_to_paths_of_the_other_api_version_are_recognised(received: Response, other: bool) -> None:
    assert is_other_api_version(received) is other


def test_airflow_3_and_a_proxy_are_distinguished_by_their_bodies() -> None:
    assert is_removed_api(response(404, payloads.V1_REMOVED))
    assert is_unknown_route(response(404, {"detail": "Not Found"}))
    assert is_unknown_route(response(405, payloads.METHOD_NOT_ALLOWED))
    assert not is_unknown_route(response(404, {"message": "no Route matched"}))


@pytest.mark.parametrize(
    ("header", "seconds"), [("7", 7.0), ("0", 0.0), ("3600", MAX_RETRY_AFTER_SECONDS), ("soon", None), ("-1", None)]
)
def test_retry_after_is_a_number_of_seconds_up_to_a_limit(header: str, seconds: float | None) -> None:
    assert retry_after(response(503, retry_after=header)) == seconds


def test_without_retry_after_there_is_no_number() -> None:
    assert retry_after(response(503)) is None
