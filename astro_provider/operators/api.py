"""The operator for any other endpoint of a target Deployment's REST API."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from astro_provider.airflow_versions import BaseOperator
from astro_provider.api.endpoint_request import EndpointRequest, check_request_options
from astro_provider.api.message import subject_message
from astro_provider.task_errors import final_errors, parameter_errors
from astro_provider.tasks.rendered import rendered_id
from astro_provider.tasks.response_check import check_function

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from astro_provider.airflow_versions import Context
    from astro_provider.api.types import JSON


class AstroApiOperator(BaseOperator):
    """
    Calls any endpoint of the target's REST API, as ``HttpOperator`` would, and returns the parsed response.

    The operator adds the API version (``/api/v1`` or ``/api/v2``) and the credentials, and handles errors. The names of
    endpoints and parameters are those of the target's API version. ``response_check`` and ``response_filter`` get the
    parsed JSON, where those of ``HttpOperator`` get a ``Response``. This task fails while the pool is full, and returns
    the day and the number of free slots otherwise::

        AstroApiOperator(
            task_id="free_slots",
            endpoint="pools/default_pool",
            response_check=lambda pool: pool["open_slots"] > 0,
            response_filter=lambda pool, ds: {"day": ds, "slots": pool["open_slots"]},
        )

    This one deletes a variable, and succeeds if there is none::

        AstroApiOperator(
            task_id="delete_variable", endpoint="variables/last_visitor", method="DELETE", allowed_statuses=(404,)
        )

    :param endpoint: path relative to ``/api/vN/``, such as ``"dags"`` or ``"pools"`` (templated)
    :param method: HTTP method: ``"GET"`` (the default), ``"DELETE"``, ``"PATCH"``, ``"POST"`` or ``"PUT"``
    :param data: a dict is the query string with GET and DELETE, and the JSON body with other methods; a text is sent as
        it is; by default nothing (templated)
    :param headers: further request headers, by default none (templated)
    :param response_check: called with the parsed JSON of the response (``None`` if it is empty) and with the context
        variables that it has parameters for; the task fails, and can be retried, if it returns a false value
    :param response_filter: called in the same way; the operator returns its result
    :param log_response: whether to log the response, by default ``False``
    :param all_pages: whether to read all pages of a collection, by default ``False``. The result has the form of one
        page, with the items of all pages. Needs the method ``"GET"``
    :param allowed_statuses: HTTP statuses beside 2xx whose response is returned, checked and filtered like that of a
        success, such as ``(404,)``; by default none. An endpoint that does not exist still fails the task
    :param http_conn_id: id of an Airflow connection of type ``astro`` or ``http``, by default ``"http_conn"``
        (templated)
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
        allowed_statuses: Collection[int] = (),
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
        self.allowed_statuses = allowed_statuses
        self.http_conn_id = http_conn_id
        with parameter_errors():
            check_request_options(method, all_pages=all_pages, allowed_statuses=allowed_statuses)
            if response_check is not None:
                check_function("response_check", response_check)

    def execute(self, context: Context) -> Any:
        """
        Send the request, and check and filter the response.

        :return: the parsed response (``None`` if it is empty), or what ``response_filter`` returned
        :raise AirflowFailException: an error that a retry cannot help, such as a request that the target refuses, or a
            wrong connection
        :raise AirflowException: ``response_check`` returned a false value
        :raise AstroError: another error of the target
        """
        from astro_provider.airflow_versions import AirflowException, determine_kwargs

        subject = f"{self.method} {self.endpoint}"
        with final_errors(subject, self.log.info):
            response = self._request()
        if self.log_response:
            self.log.info("%s", json.dumps(response, indent=2))
        if self.response_check is not None and not self.response_check(
            response, **determine_kwargs(self.response_check, [response], context)
        ):
            raise AirflowException(subject_message("Failed", subject, details="response_check rejected the response"))
        if self.response_filter is not None:
            return self.response_filter(response, **determine_kwargs(self.response_filter, [response], context))
        return response

    def _request(self) -> JSON:
        from astro_provider.hooks.astro import AstroHook

        request = EndpointRequest(
            endpoint=rendered_id("endpoint", self.endpoint),
            method=self.method,
            data=self.data,
            headers=self.headers,
            all_pages=self.all_pages,
            allowed_statuses=tuple(self.allowed_statuses),
        )
        statuses: list[int] = []
        with AstroHook(rendered_id("http_conn_id", self.http_conn_id)) as hook:
            response = hook.run(request.send(hook.client, statuses.append))
            self.log.info("%s", subject_message(f"Answered {statuses[-1]}", str(request), where=hook.deployment))
        return response
