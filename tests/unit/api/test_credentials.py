"""The kinds of credentials: their fields, headers, secrets and advice after a 401 or 403."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import pytest

from astro_provider.api.credential_fields import CredentialFields
from astro_provider.api.credentials import (
    EXTRA_KEYS,
    KINDS,
    AuthorizationHeader,
    ClientCredentials,
    Credentials,
    Login,
    read_credentials,
)
from astro_provider.api.deployment import Deployment
from astro_provider.api.errors import AccessDeniedError
from tests.unit.api.json_web_token import jwt
from tests.unit.scripted_target import ScriptedTarget, json_response

if TYPE_CHECKING:
    from collections.abc import Iterator

    from astro_provider.api.deployment import ApiVersion

EXPIRED = json_response({"detail": "Signature has expired"}, 401)

SAMPLES: dict[type[Credentials], dict[str, Any]] = {
    AuthorizationHeader: {"extra": {"Authorization": "Key secret-1"}},
    ClientCredentials: {
        "extra": {"client_id": "i", "client_secret": "secret-1", "token_url": "https://x.example.com", "audience": "a"}
    },
    Login: {"login": "admin", "password": "secret-1"},
}
"""For each kind, fields of a connection that has it, with ``secret-1`` as the secret and all of its Extra keys."""


def fields_of(kind: type[Credentials]) -> CredentialFields:
    return CredentialFields("http_conn", **{"login": None, "password": None, "extra": {}, **SAMPLES[kind]})


def kinds_below(kind: type[Credentials]) -> Iterator[type[Credentials]]:
    """The classes of the package that can be instantiated."""
    for each in kind.__subclasses__():
        yield from kinds_below(each)
        if not each.__abstractmethods__ and each.__module__ == Credentials.__module__:
            yield each


def test_every_kind_is_read_from_connections_and_has_a_sample_here() -> None:
    assert set(kinds_below(Credentials)) == set(KINDS) == set(SAMPLES)


@pytest.mark.parametrize("kind", SAMPLES)
def test_each_kind_is_read_from_its_own_fields(kind: type[Credentials]) -> None:
    assert type(read_credentials(fields_of(kind))) is kind
    assert set(fields_of(kind).extra) == set(kind.EXTRA_KEYS) <= EXTRA_KEYS


def test_a_connection_without_credentials_has_none() -> None:
    assert read_credentials(CredentialFields("http_conn", None, None, {"X-Team": "red"})) is None


@pytest.mark.parametrize("kind", SAMPLES)
def test_the_secret_of_each_kind_is_a_secret_of_its_deployment(kind: type[Credentials]) -> None:
    credentials = read_credentials(fields_of(kind))
    assert "secret-1" in Deployment("http_conn", "https://x.example.com", credentials).secrets
    assert "secret-1" not in repr(credentials) + repr(fields_of(kind))


def test_a_kind_that_does_not_list_its_secrets_cannot_be_used() -> None:
    class Forgetful(Credentials):
        @classmethod
        def from_connection(cls, fields: CredentialFields) -> Credentials | None:
            return None

        def authorization(self, api_version: ApiVersion) -> str | None:
            return "Key secret-1"

    with pytest.raises(TypeError, match="secrets"):
        Forgetful()  # type: ignore[abstract]  # which is what is tested


@pytest.mark.parametrize(
    ("credentials", "v1", "v2"),
    [
        (AuthorizationHeader("Bearer token-1"), "Bearer token-1", "Bearer token-1"),
        (ClientCredentials("client", "secret-1"), None, None),
        (Login("user", "pass"), "Basic dXNlcjpwYXNz", None),
    ],
)
def test_credentials_without_a_token_are_sent_in_the_header(
    credentials: Credentials, v1: str | None, v2: str | None
) -> None:
    assert (credentials.authorization("v1"), credentials.authorization("v2")) == (v1, v2)


@pytest.mark.parametrize("kind", SAMPLES)
def test_each_kind_explains_a_denial(kind: type[Credentials]) -> None:
    credentials = read_credentials(fields_of(kind))
    assert credentials is not None
    assert "wrong, expired" in credentials.explain_denial(0)


def test_a_refused_token_says_when_it_expired(target: ScriptedTarget) -> None:
    target.on("GET", "dags/d", EXPIRED)
    expired = datetime(2026, 11, 1, 12, 30, tzinfo=timezone.utc)
    value = jwt({"sub": "me", "exp": expired.timestamp()})
    target.clock.now = expired.timestamp() + 1
    with pytest.raises(AccessDeniedError, match="The token expired on 2026-11-01 at 12:30:00 UTC") as caught:
        target.run(target.client(AuthorizationHeader(f"Bearer {value}")).get_dag("d"))
    assert not [part for part in value.split(".") if part in str(caught.value)]


@pytest.mark.parametrize("left", [None, 3600])
def test_refused_token_that_has_not_expired_has_the_general_advice(target: ScriptedTarget, left: int | None) -> None:
    target.on("GET", "dags/d", EXPIRED)
    value = jwt({"sub": "me"} if left is None else {"exp": target.clock.now + left})
    with pytest.raises(AccessDeniedError, match="is wrong, expired, or of another Workspace"):
        target.run(target.client(AuthorizationHeader(f"Bearer {value}")).get_dag("d"))
