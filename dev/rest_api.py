"""The REST API of a deployment, authenticated as one of its users, and Airflow connections to the deployment."""

from __future__ import annotations

import base64
import json
import time
from abc import ABC, abstractmethod
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import requests

if TYPE_CHECKING:
    from collections.abc import Mapping

REQUEST_TIMEOUT_SECONDS = (5.0, 60.0)  # to connect, to respond
POLL_INTERVAL_SECONDS = 0.3


class DeploymentError(Exception):
    """A deployment does not start, or a dag does not exist; the message says why and holds the last log lines."""


class RestApi(ABC):
    """The REST API of a running deployment."""

    name: str  # used in error messages
    _tokens: dict[str, str]  # by user

    @property
    @abstractmethod
    def url(self) -> str:
        """The address of the deployment, without a path."""

    @property
    @abstractmethod
    def airflow_version(self) -> str:
        """The version of Airflow, such as `3.3.2`."""

    @property
    def airflow_major(self) -> int:
        """The major version of Airflow, on which REST API, commands and settings depend."""
        return int(self.airflow_version.split(".")[0])

    @property
    def api(self) -> str:
        """The path of the REST API."""
        return "/api/v2" if self.airflow_major == 3 else "/api/v1"

    def request(self, method: str, path: str, *, user: str = "admin", **options: Any) -> Any:
        """
        Call an endpoint of the REST API.

        :param path: relative to the API, such as `dags/x/dagRuns`
        :param user: one of `settings.USERS`
        :param options: of `requests.request`, such as `json` and `params`
        :returns: the parsed response; None if it has no body
        :raises requests.HTTPError: the response is an error; the message contains it
        """
        options.setdefault("timeout", REQUEST_TIMEOUT_SECONDS)
        headers = {"Authorization": self.authorization(user), **options.pop("headers", {})}
        response = requests.request(method, f"{self.url}{self.api}/{path}", headers=headers, **options)
        if not response.ok:
            raise requests.HTTPError(
                f"{self.name}: {method} {response.url} answered {response.status_code}: {response.text[:2000]}",
                response=response,
            )
        return response.json() if response.content else None

    def authorization(self, user: str = "admin") -> str:
        """Return the value of an `Authorization` header for one of `settings.USERS`."""
        if self.airflow_major == 2:
            return "Basic " + base64.b64encode(f"{user}:{user}".encode()).decode()
        if user not in self._tokens:
            response = requests.post(
                f"{self.url}/auth/token", json={"username": user, "password": user}, timeout=REQUEST_TIMEOUT_SECONDS
            )
            response.raise_for_status()
            self._tokens[user] = response.json()["access_token"]
        return f"Bearer {self._tokens[user]}"

    def connection(self, form: str = "http", user: str = "admin") -> dict[str, Any]:
        """
        Return a connection to this deployment, for `add_connection` or `AIRFLOW_CONN_...`.

        :param form: `http` (as in the Astro documentation) or `astro`, both with a token that is valid for a day; or
            `login`, a connection of type `http` with user name and password, which needs no running deployment
        """
        if form == "login":
            return {"conn_type": "http", "host": self.url, "login": user, "password": user}
        authorization = self.authorization(user)
        if form == "astro":
            return {"conn_type": "astro", "host": self.url, "password": authorization.split()[1]}
        extra = {"Content-Type": "application/json", "Authorization": authorization}
        return {"conn_type": "http", "host": self.url, "schema": "http", "extra": extra}

    def add_connection(self, conn_id: str, connection: Mapping[str, Any]) -> None:
        """Create a connection in this deployment; one with the same id is replaced."""
        body = {**connection, "connection_id": conn_id}
        if "extra" in body:
            body["extra"] = json.dumps(body["extra"])
        with suppress(requests.HTTPError):
            self.request("DELETE", f"connections/{conn_id}")
        self.request("POST", "connections", json=body)

    def wait_for_dags(self, *dag_ids: str, timeout: float = 180) -> None:
        """
        Wait until all these dags can be triggered.

        :param timeout: in seconds
        :raises DeploymentError: a file cannot be imported, or the timeout is over
        """
        deadline = time.monotonic() + timeout
        while missing := [dag_id for dag_id in dag_ids if not self._has_dag(dag_id)]:
            for error in self.request("GET", "importErrors")["import_errors"]:
                raise DeploymentError(f"{self.name} cannot import {error['filename']}:\n{error['stack_trace']}")
            if time.monotonic() > deadline:
                raise DeploymentError(f"{self.name} has no dag {', '.join(missing)} after {timeout:.0f} s")
            time.sleep(POLL_INTERVAL_SECONDS)

    def _has_dag(self, dag_id: str) -> bool:
        try:
            self.request("GET", f"dags/{dag_id}/details")
        except requests.HTTPError as error:
            # Airflow 2 responds with 500 as long as only the row of the dag is stored, and not the serialized dag.
            if error.response.status_code not in (404, 500):
                raise
            return False
        return True
