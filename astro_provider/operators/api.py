"""The operator for any other endpoint of a target Deployment's REST API."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from astro_provider.airflow_versions import BaseOperator
from astro_provider.api.errors import InvalidParameterError
from astro_provider.task_errors import final_errors
from astro_provider.tasks.rendered import rendered_id

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from astro_provider.airflow_versions import Context
    from astro_provider.api.types import JSON

_METHODS = ("GET", "DELETE", "PATCH", "POST", "PUT")
_WITHOUT_BODY = ("GET", "DELETE")


class AstroApiOperator(BaseOperator):
    """
    Asks any endpoint of the target's REST API, as ``HttpOperator`` would, and returns the parsed answer.

    The API version (``/api/v1`` or ``/api/v2``), credentials and errors are taken care of; the names of endpoints and
    parameters are those of the target's API version.

    :param endpoint: path relative to ``/api/vN/``, e.g. ``"dags"`` or ``"pools"`` (templated)
    :param method: HTTP method: GET, DELETE, PATCH, POST or PUT
    :param data: a dict: query string for GET and DELETE, JSON body otherwise; a text is sent as it is (templated)
    :param headers: further request headers (templated)
    :param response_check: told the parsed answer, and by name what it takes of the context; ``False`` fails the task
    :param response_filter: told the same; makes what the operator returns
    :param log_response: whether to log the answer
    :param all_pages: for a collection, ask for all pages; the answer has the form of one page, with all the items
    :param http_conn_id: id of an Airflow connection of type ``astro`` or ``http`` (templated)
    """

    template_fields: Sequence[str] = ("endpoint", "data", "headers", "http_conn_id")
    template_fields_renderers = {"data": "py", "headers": "json"}
    ui_color = "#e9e4ff"

    def __init__(
        self,
        *,
        endpoint: str,
        method: str = "GET",
        data: Mapping[str, Any] | str | None = None,
        headers: Mapping[str, str] | None = None,
        response_check: Callable[..., bool] | None = None,
        response_filter: Callable[..., Any] | None = None,
        log_response: bool = False,
        all_pages: bool = False,
        http_conn_id: str = "http_conn",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.endpoint = endpoint
        self.method = method
        self.data = data
        self.headers = headers
        self.response_check = response_check
        self.response_filter = response_filter
        self.log_response = log_response
        self.all_pages = all_pages
        self.http_conn_id = http_conn_id
        if method.upper() not in _METHODS:
            raise InvalidParameterError(f"method must be one of {', '.join(_METHODS)}, not {method!r}")
        if all_pages and method.upper() != "GET":
            raise InvalidParameterError(f"all_pages goes with method 'GET', not {method!r}")

    def execute(self, context: Context) -> Any:
        """
        Ask.

        :return: the parsed answer (``None`` for an empty one), or what ``response_filter`` makes of it
        :raise AirflowFailException: the target refuses the request, or the connection is wrong
        :raise AirflowException: ``response_check`` says no
        """
        from astro_provider.airflow_versions import AirflowException, determine_kwargs

        with final_errors():
            answer = self._request()
        if self.log_response:
            self.log.info("%s", json.dumps(answer, indent=2))
        if self.response_check is not None and not self.response_check(
            answer, **determine_kwargs(self.response_check, [answer], context)
        ):
            raise AirflowException(f"response_check says no to the answer of {self.method} {self.endpoint}")
        if self.response_filter is not None:
            return self.response_filter(answer, **determine_kwargs(self.response_filter, [answer], context))
        return answer

    def _request(self) -> JSON:
        from astro_provider.hooks.astro import AstroHook

        method, endpoint = self.method.upper(), rendered_id("endpoint", self.endpoint)
        with AstroHook(rendered_id("http_conn_id", self.http_conn_id)) as hook:
            if method not in _WITHOUT_BODY:
                body = dict(self.data) if isinstance(self.data, Mapping) else self.data
                return hook.run(hook.client.request(method, endpoint, body=body, headers=self.headers))
            params = self.data if isinstance(self.data, Mapping) else None
            if isinstance(self.data, str) and self.data:
                endpoint += f"{'&' if '?' in endpoint else '?'}{self.data}"
            if self.all_pages:
                return hook.run(hook.client.all_pages(endpoint, params=params, headers=self.headers))
            return hook.run(hook.client.request(method, endpoint, params=params, headers=self.headers))
