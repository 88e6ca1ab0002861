"""What every kind of credentials has to say of itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from astro_provider.api.credentials import AuthorizationHeader, ClientCredentials, Credentials, Login

if TYPE_CHECKING:
    from astro_provider.api.deployment import ApiVersion


def test_a_kind_that_does_not_list_its_secrets_cannot_be_used() -> None:
    class Forgetful(Credentials):
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
def test_which_credentials_are_sent_without_a_token(credentials: Credentials, v1: str | None, v2: str | None) -> None:
    assert (credentials.authorization("v1"), credentials.authorization("v2")) == (v1, v2)
