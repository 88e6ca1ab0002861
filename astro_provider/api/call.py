"""A call: one request to an endpoint, and how its answer is read."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar
from urllib.parse import urlencode

from astro_provider.api.flow import Request

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from astro_provider.api.deployment import Deployment
    from astro_provider.api.rest_api import RestApi
    from astro_provider.api.types import JSON

T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True)
class Call(Generic[T_co]):
    """
    One request to the REST API.

    :param method: HTTP method
    :param path: path relative to ``/api/vN/``, percent-encoded
    :param read: makes the result of the parsed answer; raises ``Unexpected`` where it cannot
    :param about: what the call is about, for errors, e.g. ``dag run 'r' of dag 'd'``
    :param params: query string; lists repeat their key, ``None`` is left out
    :param body: request body, a text is sent as it is, anything else as JSON; ``None`` sends none
    :param headers: further request headers
    :param dag_id: the dag that a 404 may be about
    :param read_end: makes the result of the end of an answer that is larger than ``MAX_END_BYTES`` (as text, cut off at
        the front); by default, an answer may have up to ``MAX_ANSWER_BYTES``
    :param idempotent: whether it can be sent again although the target may have handled it already; a GET always can
    """

    method: str
    path: str
    read: Callable[[JSON], T_co]
    about: str
    params: Mapping[str, JSON] = field(default_factory=dict)
    body: JSON = None
    headers: Mapping[str, str] = field(default_factory=dict)
    dag_id: str | None = None
    read_end: Callable[[str], T_co] | None = None
    idempotent: bool = False

    def request(self, deployment: Deployment, api: RestApi, authorization: str | None) -> Request:
        """
        Make the HTTP request.

        :param deployment: the target
        :param api: the API version
        :param authorization: value of the ``Authorization`` header, if any
        """
        query = urlencode({k: _query_value(v) for k, v in self.params.items() if v is not None}, doseq=True)
        url = f"{deployment.url}/api/{api.NAME}/{self.path}"
        if query:
            url += f"{'&' if '?' in self.path else '?'}{query}"
        ours = {"accept", "content-type", *(name.lower() for name in self.headers)}
        headers = {k: v for k, v in deployment.headers.items() if k.lower() not in ours}
        headers |= {"Accept": "application/json"}
        body = None
        if self.body is not None:
            headers["Content-Type"] = "application/json"
            body = (self.body if isinstance(self.body, str) else json.dumps(self.body)).encode()
        headers |= self.headers
        if authorization is not None:
            headers["Authorization"] = authorization
        idempotent = self.method == "GET" or self.idempotent
        return Request(self.method, url, headers, body, idempotent=idempotent, only_end=self.read_end is not None)


def _query_value(value: JSON) -> JSON:
    if isinstance(value, bool):
        return str(value).lower()
    return [_query_value(item) for item in value] if isinstance(value, list) else value
