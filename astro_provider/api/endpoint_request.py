"""A request to any endpoint, as users describe it to the operator and the sensor."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from astro_provider.api.errors import InvalidParameterError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from astro_provider.api.client import Client
    from astro_provider.api.flow import Flow
    from astro_provider.api.types import JSON

_METHODS = ("GET", "DELETE", "PATCH", "POST", "PUT")
_METHODS_WITHOUT_BODY = ("GET", "DELETE")


def check_request_options(method: str, *, all_pages: bool, allowed_statuses: Collection[int]) -> None:
    """
    Check the parameters of a request that are not templated.

    :param method: HTTP method
    :param all_pages: whether to read all pages of a collection
    :param allowed_statuses: HTTP statuses beside 2xx whose response is a result
    :raise InvalidParameterError: one of them cannot be used, or they exclude each other
    """
    if method.upper() not in _METHODS:
        raise InvalidParameterError(f"method must be one of {', '.join(_METHODS)}, not {method!r}")
    if all_pages and method.upper() != "GET":
        raise InvalidParameterError(f"all_pages goes with method 'GET', not {method!r}")
    if isinstance(allowed_statuses, int) or not all(
        isinstance(status, int) and not isinstance(status, bool) and 100 <= status <= 599 for status in allowed_statuses
    ):
        raise InvalidParameterError(
            f"allowed_statuses must be HTTP statuses from 100 to 599, such as (404,), not {allowed_statuses!r}"
        )
    if all_pages and allowed_statuses:
        raise InvalidParameterError("all_pages and allowed_statuses exclude each other: only a collection has pages")


@dataclass(frozen=True, kw_only=True)
class EndpointRequest:
    """
    A request to any endpoint.

    :param endpoint: path relative to ``/api/vN/``
    :param method: HTTP method, by default ``"GET"``
    :param data: a dict is the query string with GET and DELETE, and the JSON body with other methods; a text is sent as
        it is; by default nothing
    :param headers: additional request headers, by default none
    :param all_pages: whether to read all pages of a collection, by default ``False``
    :param allowed_statuses: HTTP statuses beside 2xx whose response is a result, by default none
    """

    endpoint: str
    method: str = "GET"
    data: Any = None
    headers: Mapping[str, str] | None = None
    all_pages: bool = False
    allowed_statuses: tuple[int, ...] = ()

    def __str__(self) -> str:
        """Return the method and the endpoint, for messages."""
        return f"{self.method.upper()} {self.endpoint}"

    def send(self, client: Client, note_status: Callable[[int], None] | None = None) -> Flow[JSON]:
        """
        Send the request.

        :param client: the target
        :param note_status: called with the HTTP status of each response that is a result
        :return: the parsed response; ``None`` if it is empty
        :raise AstroError: the target did not answer, refused the request, or has no such endpoint
        """
        method, endpoint = self.method.upper(), self.endpoint
        params = body = None
        if method not in _METHODS_WITHOUT_BODY:
            body = dict(self.data) if isinstance(self.data, Mapping) else self.data
        elif isinstance(self.data, Mapping):
            params = self.data
        elif isinstance(self.data, str) and self.data:
            endpoint += f"{'&' if '?' in endpoint else '?'}{self.data}"
        if self.all_pages:
            return (yield from client.all_pages(endpoint, params=params, headers=self.headers, note_status=note_status))
        return (
            yield from client.request(
                method,
                endpoint,
                params=params,
                body=body,
                headers=self.headers,
                allowed_statuses=self.allowed_statuses,
                note_status=note_status,
            )
        )

    def serialize(self) -> dict[str, Any]:
        """Return what :meth:`deserialize` needs to create an equal request, as JSON values."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in vars(self).items()}

    @classmethod
    def deserialize(cls, fields: Mapping[str, Any]) -> EndpointRequest:
        """
        Create a request from what :meth:`serialize` returned.

        :param fields: the fields of the request
        """
        return cls(**{**fields, "allowed_statuses": tuple(fields.get("allowed_statuses", ()))})

    @property
    def key(self) -> str:
        """A text that is equal for requests that are equal."""
        return json.dumps(self.serialize(), sort_keys=True, default=str)
