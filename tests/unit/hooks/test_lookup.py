"""The errors of both hooks if Airflow cannot look up the connection."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, ClassVar

import pytest

try:
    from airflow.sdk.bases.secrets_backend import BaseSecretsBackend  # type: ignore[import-not-found,unused-ignore]
except ImportError:
    from airflow.secrets import BaseSecretsBackend

from astro_provider.airflow_versions import BaseHook
from astro_provider.api.errors import ConnectionUnreadableError
from astro_provider.hooks import astro_async
from astro_provider.hooks.astro import AstroHook
from astro_provider.hooks.astro_async import AsyncAstroHook
from astro_provider.hooks.lookup import no_connection, unreadable
from tests.unit import payloads
from tests.unit.api.json_web_token import jwt
from tests.unit.hooks.both_hooks import get_dag_async
from tests.unit.scripted_target import TOKEN, json_response

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.scripted_server import ScriptedServer


class Vault(BaseSecretsBackend):
    """A secrets backend that can be down."""

    uri: ClassVar[str | None] = None

    def get_conn_value(self, conn_id: str, team_name: str | None = None) -> str | None:
        if self.uri is None:
            raise OSError("the vault does not answer")
        return self.uri


@pytest.fixture
def vault(monkeypatch: pytest.MonkeyPatch, server: ScriptedServer) -> type[Vault]:
    """The connection is stored in a secrets backend only."""
    monkeypatch.delenv("AIRFLOW_CONN_HTTP_CONN")
    monkeypatch.setenv("AIRFLOW__SECRETS__BACKEND", f"{__name__}.Vault")
    monkeypatch.setattr(Vault, "uri", f"astro://:{TOKEN}@{server.host}/http")
    server.on("GET", "dags/d", json_response(payloads.v2.dag()))
    return Vault


def twice_blocking(change: Callable[[], None]) -> None:
    with AstroHook() as hook:
        hook.get_dag("d")
        change()
        hook.reload_connection()
        hook.get_dag("d")


def twice_async(change: Callable[[], None]) -> None:
    async def main() -> None:
        async with AsyncAstroHook() as hook:
            await get_dag_async(hook)
            change()
            await hook.reload_connection()
            await get_dag_async(hook)

    asyncio.run(main())


def once_blocking() -> None:
    _ = AstroHook().deployment


def once_async() -> None:
    asyncio.run(AsyncAstroHook().client())


once = pytest.mark.parametrize("once", [once_blocking, once_async], ids=["blocking", "async"])
twice = pytest.mark.parametrize("twice", [twice_blocking, twice_async], ids=["blocking", "async"])


@once
def test_secrets_backend_that_is_down_is_a_retryable_error(
    vault: type[Vault], once: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vault, "uri", None)
    with pytest.raises(ConnectionUnreadableError, match=r"'http_conn'.*what stores it does not answer") as caught:
        once()
    assert caught.value.retryable


@twice
def test_last_connection_stays_in_use_while_a_secrets_backend_is_down(
    vault: type[Vault],
    server: ScriptedServer,
    twice: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    log_lines: list[str],
) -> None:
    twice(lambda: monkeypatch.setattr(vault, "uri", None))
    assert [received.headers["authorization"] for received in server.received] == [f"Bearer {TOKEN}"] * 2
    assert "The connection is used as it was read before." in log_lines[-1]


@once
def test_any_other_failure_of_the_lookup_is_named_without_secrets(
    once: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(*_: object) -> None:
        raise PermissionError("Access denied for connection: http://me:hidden-1@x.example.com")

    async def denied_async(*_: object) -> None:
        denied()

    monkeypatch.setattr(BaseHook, "get_connection", denied)
    monkeypatch.setattr(astro_async, "get_async_connection", denied_async)
    with pytest.raises(ConnectionUnreadableError, match=r"'http_conn'.*PermissionError.*//\*\*\*@x") as caught:
        once()
    assert "hidden-1" not in str(caught.value)
    assert caught.value.__cause__ is None


@once
@pytest.mark.parametrize(("conn_type", "scheme"), [("http", "http"), ("astro", "https")])
def test_assumed_scheme_is_logged(
    connect: Callable[..., None], once: Callable[[], None], log_lines: list[str], conn_type: str, scheme: str
) -> None:
    connect("airflow.example.com", conn_type=conn_type)
    once()
    assert log_lines[-1].startswith(f"Deployment {scheme}://airflow.example.com (connection 'http_conn'): ")
    assert f"so {scheme} is used" in log_lines[-1]


@once
def test_given_scheme_is_not_logged(
    connect: Callable[..., None], once: Callable[[], None], log_lines: list[str]
) -> None:
    connect("https://airflow.example.com", conn_type="http")
    once()
    assert log_lines == []


@twice
def test_assumed_scheme_is_logged_once(
    server: ScriptedServer, connect: Callable[..., None], twice: Callable[..., None], log_lines: list[str]
) -> None:
    server.on("GET", "dags/d", json_response(payloads.v2.dag()))
    connect(server.host, conn_type="http", password=TOKEN)
    twice(lambda: connect(server.host, conn_type="http", password="another-token"))
    assert len([line for line in log_lines if "so http is used" in line]) == 1


@pytest.mark.parametrize("warns", [True, False])
def test_token_that_expires_soon_is_warned_of_once(
    server: ScriptedServer, connect: Callable[..., None], log_lines: list[str], warns: bool
) -> None:
    server.on("GET", "dags/d", json_response(payloads.v2.dag()))
    connect(server.url, password=expiring_token(days=2))
    with AstroHook() as hook:
        hook.warns_of_expiry = warns
        hook.get_dag("d")
        for days, subject in ((2, "me"), (2, "other"), (3, "me"), (30, "me")):
            connect(server.url, password=expiring_token(days=days, subject=subject))
            hook.reload_connection()
    dates = [line for line in log_lines if line.startswith("The token of connection 'http_conn' expires on ")]
    assert len(dates) == (2 if warns else 0), "one for each date within a week"


def expiring_token(*, days: int, subject: str = "me") -> str:
    day = datetime.now(timezone.utc).replace(hour=12, minute=0, second=0, microsecond=0)
    return jwt({"sub": subject, "exp": (day + timedelta(days=days)).timestamp()})


def test_missing_connection_is_a_retryable_error() -> None:
    error = no_connection("nowhere")
    assert str(error).startswith(
        "There is no such connection: 'nowhere'. Create it, of type Astro (or HTTP), with the Deployment URL as Host."
    )
    assert error.retryable


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        (PermissionError("Access denied by Execution API"), "PermissionError (Access denied by Execution API)"),
        (ValueError("Invalid connection string: http://me:hidden-1@x.example.com:a/b."), "//***@x.example.com:a/b."),
        (ValueError("http://me:a//hidden-1@b/c@x.example.com"), "(http://***@x.example.com)"),
        (OSError("GET https://vault.example.com/v1/x?token=hidden-1 failed"), "/v1/x?*** failed)"),
        (OSError("timed out\nhidden-1"), "OSError (timed out)"),
        (OSError("x" * 500), f"OSError ({'x' * 200})"),
        (OSError(), "OSError."),
    ],
)
def test_why_a_connection_could_not_be_read_is_shown_without_secrets(error: Exception, shown: str) -> None:
    unread = unreadable("some_conn", error)
    assert str(unread).startswith("Connection 'some_conn' could not be read: ")
    assert shown in str(unread)
    assert "hidden-1" not in str(unread)
    assert unread.retryable
