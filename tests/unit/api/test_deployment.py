from __future__ import annotations

import base64
from datetime import datetime, timezone
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from astro_provider.api.deployment import Deployment
from tests.unit.api.json_web_token import jwt
from tests.unit.connections import ASTRO_URL, read

SECRETS = st.text("abcdefghXYZ0123456789-._~+/=", min_size=12, max_size=40)


def hidden(secret: str) -> list[Deployment]:
    """Deployments with this secret in each place where a secret can be."""
    return [
        read({"Authorization": f"Bearer {secret}"}),
        read({"Authorization": secret}),
        read({"X-Api-Key": secret}),
        read(password=secret),
        read(login="admin", password=secret),
        read({"client_id": "i", "client_secret": secret}),
        read({"proxies": {"https": f"http://me:{secret}@p.example.com"}}),
    ]


@given(SECRETS)
def test_texts_about_a_deployment_do_not_contain_its_secrets(secret: str) -> None:
    assume("/" not in secret)  # in a proxy's URL it would end the host
    for deployment in hidden(secret):
        texts = [
            str(deployment),
            repr(deployment),
            repr(deployment.credentials),
            repr(deployment.http),
            deployment.fingerprint,
        ]
        assert not [text for text in texts if secret in text]
        assert secret in deployment.secrets
    assert base64.b64encode(f"admin:{secret}".encode()).decode() in hidden(secret)[4].secrets


def test_common_words_are_no_secrets() -> None:
    extra = {"Content-Type": "application/json", "Authorization": "Bearer hidden-1", "X-Flag": "on"}
    secrets = read(extra).secrets
    assert set(secrets) == {"Bearer hidden-1", "Bearer+hidden-1", "hidden-1"}
    assert secrets[-1] == "hidden-1", "the longest come first, or a part of one would be left"


@pytest.mark.parametrize(("token", "secrets"), [("12345", {"Bearer 12345", "Bearer+12345", "12345"}), ("1234", None)])
def test_short_token_is_not_hidden(token: str, secrets: set[str] | None) -> None:
    assert set(read(password=token).secrets) == (secrets or {"Bearer 1234", "Bearer+1234"})


def test_deployment_is_shown_with_url_and_connection() -> None:
    assert str(read()) == f"Deployment {ASTRO_URL} (connection 'http_conn')"


EXPIRES = datetime(2026, 12, 1, 12, 30, tzinfo=timezone.utc)
EXPIRING = {"exp": EXPIRES.timestamp(), "sub": "secret-subject"}
WEEK = 7 * 86_400


@pytest.mark.parametrize(
    "fields",
    [
        {"extra": {"Authorization": f"Bearer {jwt(EXPIRING)}"}},
        {"extra": {"authorization": f"bearer {jwt(EXPIRING)}"}},
        {"password": jwt(EXPIRING)},
        {"password": f"Bearer {jwt(EXPIRING)}"},
    ],
    ids=["Authorization", "authorization", "Password", "Password with Bearer"],
)
def test_token_that_expires_within_a_week_is_warned_of(fields: dict[str, Any]) -> None:
    deployment = read(**fields)
    assert deployment.expires == EXPIRES
    assert deployment.expiry_warning(EXPIRES.timestamp() - WEEK) is None
    for seconds, verb in ((WEEK - 1, "expires"), (1, "expires"), (0, "expired"), (-WEEK, "expired")):
        assert deployment.expiry_warning(EXPIRES.timestamp() - seconds) == (
            f"The token of connection 'http_conn' {verb} on 2026-12-01 at 12:30:00 UTC: put a new API token of "
            f"Deployment {ASTRO_URL} into the connection."
        )


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"password": "no-web-token"},
        {"password": jwt({"sub": "me"})},
        {"login": "admin", "password": jwt(EXPIRING)},
        {"extra": {"client_id": "i", "client_secret": jwt(EXPIRING)}},
    ],
    ids=["nothing", "no web token", "no end", "a login", "fetched tokens"],
)
def test_credentials_that_do_not_say_when_they_expire_are_not_warned_of(fields: dict[str, Any]) -> None:
    deployment = read(**fields)
    assert (deployment.expires, deployment.expiry_warning(EXPIRES.timestamp())) == (None, None)


def test_fingerprint_is_equal_for_equivalent_connections_only() -> None:
    same = [
        read(password="hidden-1"),
        read(password="hidden-1", conn_id="other"),
        read(password="hidden-1", host=f"{ASTRO_URL}/home"),
    ]
    others = [
        read(password="hidden-2"),
        read(),
        read(login="a", password="hidden-1"),
        read(password="hidden-1", host="x.example.com"),
        read({"X-A": "1"}, password="hidden-1"),
        read({"api_version": "v1"}, password="hidden-1"),
        read({"client_id": "a", "client_secret": "hidden-1"}),
        *(
            read(extra, password="hidden-1")
            for extra in (
                {"verify": False},
                {"verify": "/etc/ca.pem"},
                {"cert": "/etc/me.pem"},
                {"proxies": {"https": "http://p.example.com"}},
                {"proxies": {"https": "http://me:hidden-1@p.example.com"}},
                {"timeout": 5},
                {"trust_env": False},
                {"allow_redirects": False},
            )
        ),
    ]
    assert len({deployment.fingerprint for deployment in same}) == 1
    assert len({deployment.fingerprint for deployment in (*same, *others)}) == 1 + len(others)
