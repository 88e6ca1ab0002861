"""A call: one request to an endpoint, and the function that reads its response."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar
from urllib.parse import urlencode

from astro_provider.api.flow import MAX_RESPONSE_BYTES, Request

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from astro_provider.api.api_versions import RestApi
    from astro_provider.api.deployment import Deployment
    from astro_provider.api.types import JSON, JSONInput

T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, kw_only=True)
class Call(Generic[T_co]):
    """
    One request to the REST API.

    :param method: HTTP method
    :param path: path relative to ``/api/vN/``, percent-encoded
    :param read: function that makes the result from the parsed response; raises ``Unexpected`` if the response has
        another form
    :param about: what the call is about, for error messages, e.g. ``dag run 'r' of dag 'd'``
    :param params: query parameters; a list repeats its key, and ``None`` is left out
    :param body: request body; a string is sent unchanged, anything else as JSON, and ``None`` sends no body
    :param headers: additional request headers
    :param dag_id: the dag that a 404 might be about, so that the error can name similar dags
    :param read_end: function that makes the result from the last ``MAX_END_BYTES`` of a longer response (text whose
        beginning is missing). Without it, a response can have up to ``max_bytes``
    :param max_bytes: size of the largest response that is read
    :param idempotent: whether the request can be sent again even if the target has already handled it; always true of
        a GET
    :param returns_credentials: whether the result contains credentials, which are replaced in all other results
    :param allowed_statuses: HTTP statuses beside 2xx whose response is a result
    :param note_status: called with the HTTP status of a response that is a result
    """

    method: str
    path: str
    read: Callable[[JSON], T_co]
    about: str
    params: Mapping[str, JSONInput] = field(default_factory=dict)
    body: JSONInput = None
    headers: Mapping[str, str] = field(default_factory=dict)
    dag_id: str | None = None
    read_end: Callable[[str], T_co] | None = None
    max_bytes: int = MAX_RESPONSE_BYTES
    idempotent: bool = False
    returns_credentials: bool = False
    allowed_statuses: tuple[int, ...] = ()
    note_status: Callable[[int], None] | None = None

    def request(self, deployment: Deployment, api: RestApi, authorization: str | None) -> Request:
        """
        Make the HTTP request.

        The call's own headers override those of the connection.

        :param deployment: the target
        :param api: the API version
        :param authorization: value of the ``Authorization`` header; ``None`` sends none
        """
        query = urlencode({k: _query_value(v) for k, v in self.params.items() if v is not None}, doseq=True)
        url = f"{deployment.url}/api/{api.NAME}/{self.path}"
        if query:
            url += f"{'&' if '?' in self.path else '?'}{query}"
        own_headers = {"accept", "content-type", *(name.lower() for name in self.headers)}
        headers = {k: v for k, v in deployment.headers.items() if k.lower() not in own_headers}
        headers |= {"Accept": "application/json"}
        body = None
        if self.body is not None:
            headers["Content-Type"] = "application/json"
            body = (self.body if isinstance(self.body, str) else json.dumps(self.body)).encode()
        headers |= self.headers
        if authorization is not None:
            headers["Authorization"] = authorization
        idempotent = self.method == "GET" or self.idempotent
        return Request(
            self.method,
            url,
            headers,
            body,
            idempotent=idempotent,
            only_end=self.read_end is not None,
            max_bytes=self.max_bytes,
        )


def _query_value(value: JSONInput) -> JSONInput:
    if isinstance(value, bool):
        return str(value).lower()
    return [_query_value(item) for item in value] if isinstance(value, (list, tuple)) else value
