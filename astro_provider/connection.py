"""Reads an Airflow connection into a Deployment: URL, credentials, headers and HTTP options."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Protocol, cast
from urllib.parse import SplitResult, quote, urlsplit

from astro_provider.api.credential_fields import CredentialFields
from astro_provider.api.credentials import EXTRA_KEYS, read_credentials
from astro_provider.api.deployment import DEFAULT_TIMEOUT, ApiVersion, Deployment, HttpOptions
from astro_provider.api.errors import ConnectionConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

_HTTP_OPTION_KEYS = (
    "allow_redirects",
    "cert",
    "check_response",
    "max_redirects",
    "proxies",
    "proxy",
    "srv_lookup",
    "stream",
    "timeout",
    "trust_env",
    "verify",
    "verify_ssl",
)
_ASTRO_DOMAIN = ".astronomer.run"
_COPIED_TAIL = re.compile(r"(/home|/api/v[12])?/*$")
_MAX_TIMEOUT_SECONDS = 86_400.0
_HOST = re.compile(r"^(\[[0-9a-fA-F:.%]+\]|[\w.-]+)$")


class AirflowConnection(Protocol):
    """The attributes of an Airflow connection that are read; its class differs between Airflow 2 and 3."""

    conn_id: str
    conn_type: str | None
    host: str | None
    schema: str | None
    port: int | None
    login: str | None
    password: str | None
    extra: str | None


def read_connection(connection: AirflowConnection, extra: Mapping[str, Any]) -> Deployment:
    """
    Read an Airflow connection into a Deployment.

    :param connection: an Airflow connection of type ``http`` or ``astro``
    :param extra: its Extra as a dict, which Airflow has a blocking and an async way to get
    :return: the Deployment
    :raise ConnectionConfigError: a field is wrong; the message names the connection, the field and what is expected
    """
    written = "".join((connection.extra or "").split())
    if not isinstance(extra, dict) or (not extra and written not in ("", "{}")):
        raise ConnectionConfigError(connection.conn_id, "Extra", "expected a JSON object")
    reader = _Reader(connection, extra)
    url, assumption = reader.url()
    return Deployment(
        conn_id=connection.conn_id,
        url=url,
        credentials=read_credentials(reader.fields),
        headers=reader.headers(),
        http=reader.http_options(),
        api_version=reader.api_version(),
        assumption=assumption,
    )


class _Reader:
    """Reads one connection; each method reads one part of the Deployment."""

    def __init__(self, connection: AirflowConnection, extra: Mapping[str, Any]) -> None:
        self.connection = connection
        self.extra = extra
        self.fields = CredentialFields(connection.conn_id, connection.login, connection.password, extra)

    def url(self) -> tuple[str, str | None]:
        """Return the Deployment URL, and a sentence about the scheme if the connection has none."""
        host = (self.connection.host or "").strip()
        expected = "expected the Deployment URL, e.g. https://clq52.astronomer.run/dz3uu847"
        if not host:
            raise self.fields.error("Host", f"it is empty; {expected}")
        schema = (self.connection.schema or "").strip().lower()
        if schema not in ("", "http", "https"):
            raise self.fields.error(
                "Schema", f"expected http or https, got {schema!r}; a path of the URL belongs into Host"
            )
        assumed = None if "://" in host or schema else self._assumed_scheme(host)
        text = host if "://" in host else f"{schema or assumed}://{host}"
        try:
            parts = urlsplit(text)
            port = parts.port
        except ValueError:
            raise self.fields.error("Host", f"it is not a URL; {expected}") from None
        if parts.username is not None or parts.password is not None:
            raise self.fields.error("Host", f"it must not hold credentials; {expected}")
        hostname = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
        if parts.scheme not in ("http", "https") or not hostname or not _HOST.match(hostname):
            raise self.fields.error("Host", f"{host!r} is not an http or https URL; {expected}")
        return f"{parts.scheme}://{hostname}{self._port(port)}{self._path(parts)}", assumed and (
            f"neither Host nor Schema of the connection names http or https, so {assumed} is used."
        )

    def _assumed_scheme(self, host: str) -> str:
        """Return http where ``HttpHook`` uses it, so that its connections work unchanged; Astro accepts https only."""
        on_astro = re.split("[:/?#]", host, maxsplit=1)[0].lower().endswith(_ASTRO_DOMAIN)
        return "http" if self.connection.conn_type == "http" and not on_astro else "https"

    def _port(self, in_host: int | None) -> str:
        in_field = self.connection.port
        if in_host and in_field and in_host != in_field:
            raise self.fields.error("Port", f"it says {in_field}, but Host says {in_host}; leave one of them out")
        port = in_host or in_field
        return f":{port}" if port else ""

    @staticmethod
    def _path(parts: SplitResult) -> str:
        # A URL copied from the browser ends in /home, one copied from the documentation in /api/v2.
        return quote(_COPIED_TAIL.sub("", parts.path), safe="/%:@!$&'()*+,;=~")

    def headers(self) -> dict[str, str]:
        """Return all other keys of Extra, which are headers, as in ``HttpHook``."""
        not_headers = {*EXTRA_KEYS, *_HTTP_OPTION_KEYS, "api_version"}
        return {
            name: self.fields.header(f"Extra {json.dumps(name)}", value, name)
            for name, value in self.extra.items()
            # Header names are case-insensitive, and Authorization never goes with the other headers.
            if name not in not_headers and name.lower() != "authorization" and value is not None
        }

    def http_options(self) -> HttpOptions:
        if _is_true(self.extra.get("srv_lookup", False)):
            raise self.fields.error('Extra "srv_lookup"', "a Deployment has a URL, no DNS SRV record; leave it out")
        return HttpOptions(
            timeout=self._timeout(),
            verify=self._verify(),
            cert=self._cert(),
            proxies=self._proxies(),
            trust_env=_is_true(self.extra.get("trust_env", True)),
            allow_redirects=_is_true(self.extra.get("allow_redirects", True)),
        )

    def _either(self, key: str, other_key: str) -> object:
        value: object = self.extra.get(key)
        return self.extra.get(other_key) if value is None else value

    def _verify(self) -> bool | str:
        value = self._either("verify", "verify_ssl")
        if value is None or value == "":
            return True
        if isinstance(value, bool) or (isinstance(value, str) and value.lower() in ("true", "false")):
            return _is_true(value)
        if not isinstance(value, str):
            raise self.fields.error('Extra "verify"', "expected true, false or the path of a CA bundle")
        return value

    def _cert(self) -> str | tuple[str, str] | None:
        match self.extra.get("cert"):
            case None | "":
                return None
            case str(path):
                return path
            case [str(path), str(key_path)]:
                return path, key_path
        raise self.fields.error('Extra "cert"', "expected a path, or [path of the certificate, path of its key]")

    def _proxies(self) -> dict[str, str]:
        value = self._either("proxies", "proxy") or {}
        proxies = {"http": value, "https": value} if isinstance(value, str) else value
        expected = self.fields.error('Extra "proxies"', "expected a URL, or an object of scheme to URL")
        if not isinstance(proxies, dict) or not all(isinstance(proxy, str) for proxy in proxies.values() if proxy):
            raise expected
        urls = {
            scheme: proxy if "://" in proxy or scheme == "no_proxy" else f"http://{proxy}"
            for scheme, proxy in proxies.items()
            if proxy
        }
        if not all(map(_is_url, urls.values())):
            raise expected
        return urls

    def _timeout(self) -> tuple[float, float]:
        value = self.extra.get("timeout")
        if value is None:
            return DEFAULT_TIMEOUT
        try:
            seconds = [float(v) for v in value] if isinstance(value, list) else [float(value)] * 2
            connect, read = seconds
        except (TypeError, ValueError):
            connect = read = 0
        if not (0 < connect <= _MAX_TIMEOUT_SECONDS and 0 < read <= _MAX_TIMEOUT_SECONDS):
            raise self.fields.error('Extra "timeout"', "expected seconds, or [seconds to connect, seconds to read]")
        return connect, read

    def api_version(self) -> ApiVersion | None:
        value = self.extra.get("api_version")
        if value in (None, ""):
            return None
        if value not in ("v1", "v2"):
            raise self.fields.error('Extra "api_version"', f"expected v1 (Airflow 2) or v2 (Airflow 3), got {value!r}")
        return cast("ApiVersion", value)


def _is_true(value: object) -> bool:
    return str(value).strip().lower() in ("true", "1", "yes", "on")


def _is_url(value: str) -> bool:
    try:
        urlsplit(value)
    except ValueError:
        return False
    return True
