"""A deployment seen from outside: its REST API, its users, and connections to it."""

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

REQUEST_TIMEOUT = (5.0, 60.0)  # seconds to connect, to answer
POLL_INTERVAL = 0.3  # seconds


class DeploymentError(Exception):
    """A deployment does not start, or has no such dag; the text says why, with the last log lines."""


class RestApi(ABC):
    """What can be asked of a deployment that runs."""

    name: str  # what error texts call it
    _tokens: dict[str, str]  # by user

    @property
    @abstractmethod
    def url(self) -> str:
        """Its address, without a path."""

    @property
    @abstractmethod
    def airflow_version(self) -> str:
        """Such as `3.3.2`."""

    @property
    def generation(self) -> int:
        """The first number of the version: what API, commands and settings depend on."""
        return int(self.airflow_version.split(".")[0])

    @property
    def api(self) -> str:
        """The root of the REST API below `url`."""
        return "/api/v2" if self.generation == 3 else "/api/v1"

    def request(self, method: str, path: str, *, user: str = "admin", **options: Any) -> Any:
        """
        Ask the REST API.

        :param path: below the API root, such as `dags/x/dagRuns`
        :param user: one of `settings.USERS`
        :param options: of `requests.request`, such as `json` and `params`
        :returns: the parsed answer; None where there is none
        :raises requests.HTTPError: the answer is an error; the text holds it
        """
        options.setdefault("timeout", REQUEST_TIMEOUT)
        headers = {"Authorization": self.authorization(user), **options.pop("headers", {})}
        response = requests.request(method, f"{self.url}{self.api}/{path}", headers=headers, **options)
        if not response.ok:
            raise requests.HTTPError(
                f"{self.name}: {method} {response.url} answered {response.status_code}: {response.text[:2000]}",
                response=response,
            )
        return response.json() if response.content else None

    def authorization(self, user: str = "admin") -> str:
        """The value of an `Authorization` header for one of `settings.USERS`."""
        if self.generation == 2:
            return "Basic " + base64.b64encode(f"{user}:{user}".encode()).decode()
        if user not in self._tokens:
            response = requests.post(
                f"{self.url}/auth/token", json={"username": user, "password": user}, timeout=REQUEST_TIMEOUT
            )
            response.raise_for_status()
            self._tokens[user] = response.json()["access_token"]
        return f"Bearer {self._tokens[user]}"

    def connection(self, form: str = "http", user: str = "admin") -> dict[str, Any]:
        """
        A connection to this deployment as a user would make it, for `add_connection` or `AIRFLOW_CONN_...`.

        :param form: `http`, as the Astro documentation has it, or `astro`, both with a token that lives for a
            day; or `login`, of type `http` with name and password, which can be made before anything runs
        """
        if form == "login":
            return {"conn_type": "http", "host": self.url, "login": user, "password": user}
        authorization = self.authorization(user)
        if form == "astro":
            return {"conn_type": "astro", "host": self.url, "password": authorization.split()[1]}
        extra = {"Content-Type": "application/json", "Authorization": authorization}
        return {"conn_type": "http", "host": self.url, "schema": "http", "extra": extra}

    def add_connection(self, conn_id: str, connection: Mapping[str, Any]) -> None:
        """Save a connection in this deployment, in place of one that has the same id."""
        body = {**connection, "connection_id": conn_id}
        if "extra" in body:
            body["extra"] = json.dumps(body["extra"])
        with suppress(requests.HTTPError):
            self.request("DELETE", f"connections/{conn_id}")
        self.request("POST", "connections", json=body)

    def wait_for_dags(self, *dag_ids: str, timeout: float = 60) -> None:
        """
        Wait until all these dags can be triggered.

        :param timeout: seconds
        :raises DeploymentError: a file cannot be imported, or the time is over
        """
        deadline = time.monotonic() + timeout
        while missing := [dag_id for dag_id in dag_ids if not self._has_dag(dag_id)]:
            for error in self.request("GET", "importErrors")["import_errors"]:
                raise DeploymentError(f"{self.name} cannot import {error['filename']}:\n{error['stack_trace']}")
            if time.monotonic() > deadline:
                raise DeploymentError(f"{self.name} has no dag {', '.join(missing)} after {timeout:.0f} s")
            time.sleep(POLL_INTERVAL)

    def _has_dag(self, dag_id: str) -> bool:
        try:
            self.request("GET", f"dags/{dag_id}/details")
        except requests.HTTPError as error:
            if error.response.status_code != 404:
                raise
            return False
        return True
