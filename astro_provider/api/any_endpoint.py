"""The call of any endpoint that a user names, with checks of its path and headers."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from astro_provider.api.call import Call
from astro_provider.api.errors import RequestNotPossible
from astro_provider.api.headers import header_problem, header_text
from astro_provider.api.resource_names import resource_name

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from astro_provider.api.types import JSON, JSONInput


def any_endpoint(
    method: str,
    endpoint: str,
    *,
    params: Mapping[str, JSONInput] | None = None,
    body: JSONInput = None,
    headers: Mapping[str, str] | None = None,
    allowed_statuses: tuple[int, ...] = (),
    note_status: Callable[[int], None] | None = None,
) -> Call[JSON]:
    """
    Make the call of any endpoint.

    :param method: HTTP method
    :param endpoint: path relative to ``/api/vN/``, whose ids are percent-encoded. Characters that a URL cannot contain
        are percent-encoded here
    :param params: query parameters; by default none
    :param body: request body; a string is sent unchanged, anything else as JSON; by default none
    :param headers: additional request headers; by default none
    :param allowed_statuses: HTTP statuses beside 2xx whose response is a result; by default none
    :param note_status: called with the HTTP status of a response that is a result
    :raise RequestNotPossible: the path is not relative to ``/api/vN/``, or a header cannot be sent
    """
    path = quote(endpoint.strip().lstrip("/"), safe="/?%!$&'()*+,;=:@~[]")
    # With a dot segment or a scheme, the request would go to another path of the host, or to another host.
    segments = unquote(path.partition("?")[0]).split("/")
    if not path or "://" in path or {".", ".."} & set(segments) or path.startswith(("api/v1", "api/v2")):
        raise RequestNotPossible(f"endpoint {endpoint!r}: expected a path relative to /api/vN/, e.g. 'dags' or 'pools'")
    for name, value in (headers or {}).items():
        if problem := header_problem(name, value):
            raise RequestNotPossible(f"headers of endpoint {endpoint!r}, {name!r}: {problem}")
    checked = {name: header_text(value) for name, value in (headers or {}).items()}
    return Call(
        method=method.upper(),
        path=path,
        read=unchanged,
        about=resource_name(path) or f"endpoint {path!r}",
        params=params or {},
        body=body,
        headers=checked,
        allowed_statuses=allowed_statuses,
        note_status=note_status,
    )


def unchanged(raw: JSON) -> JSON:
    """Return parsed JSON unchanged."""
    return raw
