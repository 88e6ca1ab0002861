"""The sensor that waits until an endpoint of a target Deployment answers as a function wants."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from astro_provider.airflow_versions import conf as airflow_conf
from astro_provider.airflow_versions import was_rescheduled
from astro_provider.api.durations import DEFAULT_POKE_INTERVAL_SECONDS, poke_interval_seconds, timeout_seconds
from astro_provider.api.endpoint_request import EndpointRequest, check_request_options
from astro_provider.api.message import subject_message
from astro_provider.sensors.waiting import DEFAULT_TIMEOUT_SECONDS, WaitingSensor
from astro_provider.task_errors import parameter_errors
from astro_provider.tasks.rendered import rendered_id
from astro_provider.tasks.response_check import check_function

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from datetime import timedelta

    from astro_provider.airflow_versions import Context
    from astro_provider.api.types import JSON
    from astro_provider.waits.wait import Verdict


class AstroApiSensor(WaitingSensor):
    """
    Waits until an endpoint of the target's REST API answers as ``response_check`` wants, and returns that response.

    ``response_check`` gets the parsed JSON of the response, where that of ``HttpSensor`` gets a ``Response``. The
    sensor adds the API version (``/api/v1`` or ``/api/v2``) and the credentials. The names of endpoints and parameters
    are those of the target's API version::

        def has_free_slots(pool):  # in include/checks.py
            return pool["open_slots"] > 0


        AstroApiSensor(
            task_id="wait_for_slots",
            endpoint="pools/default_pool",
            response_check=has_free_slots,
            deferrable=True,
        )

    A deferrable sensor checks once on a worker, and then waits in the triggerer, where sensors with equal requests on
    the same connection share one request per interval. The triggerer imports ``response_check`` by its name. It must
    therefore be a function at the top level of a module of the project, such as ``include/checks.py``, which takes
    nothing but the response: no lambda, no method, no function in a function or in a DAG file. With any other function,
    the sensor waits on a worker, in poke or reschedule mode, and its log says why. A triggerer that runs does not
    notice when such a module changes: restart it then.

    An outage of the target is tolerated as long as the sensor waits, and a refused token for ten minutes, or for one
    minute before the first response. A 404 fails the sensor, unless ``allowed_statuses`` contains it; then,
    ``response_check`` gets the JSON of the target's error.

    :param endpoint: path relative to ``/api/vN/``, such as ``"pools/default_pool"`` (templated)
    :param response_check: called with the parsed JSON of each response (``None`` if it is empty) and, on a worker, with
        the context variables that it has parameters for; the wait is over when it returns a true value. An exception
        fails the task, and can be retried
    :param method: HTTP method, by default ``"GET"``
    :param data: a dict is the query string with GET and DELETE, and the JSON body with other methods; a text is sent as
        it is; by default nothing (templated)
    :param headers: further request headers, by default none (templated)
    :param all_pages: whether to read all pages of a collection at each check, by default ``False``
    :param allowed_statuses: HTTP statuses beside 2xx whose response ``response_check`` gets, such as ``(404,)``; by
        default none
    :param http_conn_id: id of an Airflow connection of type ``astro`` or ``http``, by default ``"http_conn"``
        (templated)
    :param deferrable: whether to wait in the triggerer, by default ``[operators] default_deferrable``
    :param poke_interval: the longest interval between two checks in seconds, or a ``timedelta``; by default 5. The
        first checks follow each other faster
    :param timeout: seconds, or a ``timedelta``, after which the sensor fails (with ``soft_fail``: skips); by default
        ``[sensors] default_timeout``
    """

    template_fields: Sequence[str] = ("endpoint", "data", "headers", "http_conn_id")
    template_fields_renderers = {"data": "py", "headers": "json"}
    ui_color = "#e9e4ff"
    _response: JSON = None
    _last_message: str | None = None

    def __init__(
        self,
        *,
        endpoint: str,
        response_check: Callable[..., Any],
        method: str = "GET",
        data: Mapping[str, Any] | str | None = None,
        headers: Mapping[str, str] | None = None,
        all_pages: bool = False,
        allowed_statuses: Collection[int] = (),
        http_conn_id: str = "http_conn",
        deferrable: bool = airflow_conf.getboolean("operators", "default_deferrable", fallback=False),
        poke_interval: float | timedelta = DEFAULT_POKE_INTERVAL_SECONDS,
        timeout: float | timedelta = DEFAULT_TIMEOUT_SECONDS,
        **kwargs: Any,
    ) -> None:
        super().__init__(poke_interval=poke_interval_seconds(poke_interval), timeout=timeout_seconds(timeout), **kwargs)
        self.endpoint = endpoint
        self.response_check = response_check
        self.method = method
        self.data = data
        self.headers = headers
        self.all_pages = all_pages
        self.allowed_statuses = allowed_statuses
        self.http_conn_id = http_conn_id
        self.deferrable = deferrable
        with parameter_errors():
            check_request_options(method, all_pages=all_pages, allowed_statuses=allowed_statuses)
            check_function("response_check", response_check)

    def execute(self, context: Context) -> Any:
        """
        Wait on the worker, or defer to the triggerer.

        :param context: the context of the task
        :return: the parsed response that ``response_check`` accepts
        :raise ResponseCheckError: ``response_check`` raised an exception
        :raise AirflowSensorTimeout: the wait took longer than ``timeout`` (with ``soft_fail``, the sensor skips)
        :raise AirflowTaskTimeout: the wait took longer than ``execution_timeout``, and that is shorter than ``timeout``
            (with ``soft_fail``, the sensor skips)
        :raise AirflowFailException: a retry cannot help, because a request was refused or a parameter is invalid
        :raise AstroError: another error of the target
        """
        if self.deferrable and (reason := self._worker_reason(context)):
            self.deferrable = False
            if not (self.reschedule and was_rescheduled(self, context)):
                self.log.warning("The sensor waits on a worker, not in the triggerer: response_check %s.", reason)
        super().execute(context)
        return self._response

    def _worker_reason(self, context: Context) -> str | None:
        from astro_provider.tasks.response_check import worker_reason

        if self._is_restarted:
            return "could not be called there"
        return worker_reason(self.response_check, dict(context))

    @property
    def _subject(self) -> str:
        return f"{self.method} {self.endpoint}"

    @property
    def _last_seen(self) -> str:
        return self._last_message or super()._last_seen

    def _request(self) -> EndpointRequest:
        return EndpointRequest(
            endpoint=rendered_id("endpoint", self.endpoint),
            method=self.method,
            data=self.data,
            headers=self.headers,
            all_pages=self.all_pages,
            allowed_statuses=tuple(self.allowed_statuses),
        )

    def _check_once(self, context: Context) -> Verdict:
        from astro_provider.tasks.response_check import accepts, shortened
        from astro_provider.waits.wait import Verdict

        request = self._request()
        hook = self._open_hook()
        response = hook.run(request.send(hook.client))
        if accepts(self.response_check, response, context, request):
            self._response = response
            verdict = Verdict("success", subject_message("Accepted", str(request), where=hook.deployment))
        else:
            details = f"response_check does not accept {shortened(response)}"
            message = subject_message("Not accepted", str(request), where=hook.deployment, details=details)
            verdict = Verdict("pending", message)
        if verdict.message != self._last_message:
            self._last_message = verdict.message
            self._log_verdict(verdict)
        return verdict

    def _defer(self, context: Context) -> None:
        from astro_provider.tasks.response_check import function_path
        from astro_provider.triggers.api import AstroApiTrigger

        deadline, timeout = self._deferral_limits(context)
        self.defer(
            trigger=AstroApiTrigger(
                http_conn_id=rendered_id("http_conn_id", self.http_conn_id),
                request=self._request(),
                response_check=function_path(self.response_check),
                poke_interval=self.poke_interval,
                deadline=deadline,
                started_at=time.time(),
            ),
            method_name="execute_complete",
            timeout=timeout,
        )

    def execute_complete(self, context: Context, event: dict[str, Any]) -> Any:
        """
        Resume on a worker after the wait in the triggerer.

        :param context: the context of the task
        :param event: see :func:`astro_provider.triggers.events.read_event`; after ``restart`` the sensor waits on the
            worker
        :return: the parsed response that ``response_check`` accepts
        :raise Exception: see :meth:`execute`
        """
        if isinstance(event, dict):
            self._response = event.get("response")
        super().execute_complete(context, event)
        return self._response
