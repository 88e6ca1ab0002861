"""Validates requests and responses against Airflow's own OpenAPI descriptions."""

from __future__ import annotations

import functools
import json
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

import yaml
from openapi_core import Config, OpenAPI
from openapi_core.testing import MockRequest, MockResponse
from openapi_core.validation.exceptions import ValidationError
from openapi_core.validation.response.exceptions import DataValidationError

from dev.environments import site_packages

if TYPE_CHECKING:
    from collections.abc import Iterator

    from astro_provider.api.flow import Request
    from tests.unit.scripted_target import ScriptedResponse

FILES = {
    "v1": ("target-v1", "airflow/api_connexion/openapi/v1.yaml"),
    "v2": ("triggering", "airflow/api_fastapi/core_api/openapi/v2-rest-api-generated.yaml"),
    # The endpoint that returns a token for a login belongs to the auth manager and has its own description.
    "auth": ("triggering", "airflow/api_fastapi/auth/managers/simple/openapi/v2-simple-auth-manager-generated.yaml"),
}


class UndescribedError(AssertionError):
    """A request or a response differs from Airflow's description."""


class OpenApiDescription:
    """
    One of Airflow's OpenAPI descriptions.

    Query parameters and keys of bodies that are not described are errors, although JSON Schema allows them.
    """

    def __init__(self, name: str) -> None:
        environment, path = FILES[name]
        self._raw: dict[str, Any] = yaml.load(
            (site_packages(environment) / path).read_text(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        )
        # Validating the description itself is left to Airflow; it takes 15 seconds.
        self._openapi = OpenAPI.from_dict(self._raw, config=Config(spec_validator_cls=None))  # type: ignore[arg-type]
        self._base = self._raw.get("servers", [{"url": ""}])[0]["url"]

    def check_request(self, request: Request) -> None:
        """:raise UndescribedError: the description has no such endpoint, or no such request to it"""
        operation = self._operation(request)
        self._check_query(operation, request)
        if request.body is not None:
            if "requestBody" not in operation:
                raise UndescribedError(f"{request.method} {request.url} has a body, but the description has none")
            kind = self._resolved(operation["requestBody"])["content"][_content_type(request.headers)]
            self._check_keys(kind["schema"], request.body, f"body of {request.method} {request.url}")
        try:
            self._openapi.validate_request(_as_openapi_request(request))
        except ValidationError as error:
            raise UndescribedError(f"{request.method} {request.url}: {error}: {_reasons(error)}") from error

    def check_response(self, request: Request, response: ScriptedResponse) -> None:
        """:raise UndescribedError: the description has no such response to the request"""
        described = self._operation(request)["responses"]
        subject = f"{response.status} to {request.method} {request.url}"
        if str(response.status) not in described:
            raise UndescribedError(f"{subject} is not described, only {', '.join(described)}")
        content = self._resolved(described[str(response.status)]).get("content")
        if content:
            self._check_keys(content[_content_type(response.headers)]["schema"], response.body, subject)
        try:
            self._openapi.validate_response(
                _as_openapi_request(request),
                MockResponse(response.body, response.status, content_type=_content_type(response.headers)),
            )
        except (ValidationError, DataValidationError) as error:
            raise UndescribedError(f"{subject}: {error}: {_reasons(error)}\n{response.body.decode()}") from error

    def _operation(self, request: Request) -> dict[str, Any]:
        """Return the operation for a request; if several paths match, the one with the fewest variables."""
        requested = urlsplit(request.url).path
        matching = [
            path
            for path in self._raw["paths"]
            if re.fullmatch(re.sub(r"\\{.*?\\}", "[^/]+", re.escape(self._base + path)), requested)
        ]
        if not matching:
            raise UndescribedError(f"{requested}: no such path is described")
        item = self._raw["paths"][min(matching, key=lambda path: path.count("{"))]
        if request.method.lower() not in item:
            raise UndescribedError(f"{requested} is not described for {request.method}")
        operation = item[request.method.lower()]
        return {**operation, "parameters": [*item.get("parameters", []), *operation.get("parameters", [])]}

    def _check_query(self, operation: dict[str, Any], request: Request) -> None:
        described = {each["name"]: each for each in map(self._resolved, operation["parameters"])}
        names = [name for name, _ in parse_qsl(urlsplit(request.url).query, keep_blank_values=True)]
        for name in names:
            if name not in described or described[name]["in"] != "query":
                raise UndescribedError(f"query parameter {name!r} of {request.method} {request.url} is not described")
            if names.count(name) > 1 and described[name]["schema"].get("type") != "array":
                raise UndescribedError(f"query parameter {name!r} of {request.method} {request.url} is not a list")

    def _check_keys(self, schema: dict[str, Any], body: bytes, subject: str) -> None:
        if extra := list(self._undescribed(schema, json.loads(body), "")):
            raise UndescribedError(f"{subject} has keys that are not described: {', '.join(extra)}")

    def _undescribed(self, schema: dict[str, Any], value: Any, path: str) -> Iterator[str]:
        """Yield the paths of the keys of a value that its schema does not contain."""
        schema = self._resolved(schema)
        if isinstance(value, list):
            for number, item in enumerate(value):
                yield from self._undescribed(schema.get("items", {}), item, f"{path}[{number}]")
        if choices := schema.get("anyOf") or schema.get("oneOf"):
            yield from min((list(self._undescribed(choice, value, path)) for choice in choices), key=len)
            return
        if not isinstance(value, dict):
            return
        properties = self._properties(schema)
        if not properties or schema.get("additionalProperties"):
            return
        for key, item in value.items():
            if key in properties:
                yield from self._undescribed(properties[key], item, f"{path}.{key}")
            else:
                yield f"{path}.{key}"

    def _properties(self, schema: dict[str, Any]) -> dict[str, Any]:
        parts = [self._properties(self._resolved(part)) for part in schema.get("allOf", [])]
        return {key: value for part in (*parts, schema.get("properties", {})) for key, value in part.items()}

    def _resolved(self, node: dict[str, Any]) -> dict[str, Any]:
        while "$ref" in node:
            keys = node["$ref"].removeprefix("#/").split("/")
            node = functools.reduce(lambda found, key: found[key], keys, self._raw)
        return node


@functools.cache
def description(name: str) -> OpenApiDescription:
    """Return a description; the file is read only once."""
    return OpenApiDescription(name)


def _as_openapi_request(request: Request) -> MockRequest:
    parts = urlsplit(request.url)
    return MockRequest(
        f"{parts.scheme}://{parts.netloc}",
        request.method,
        parts.path,
        args=parse_qsl(parts.query, keep_blank_values=True),  # type: ignore[arg-type]  # keeps repeated keys
        headers=dict(request.headers),
        data=request.body,
        content_type=_content_type(request.headers),
    )


def _content_type(headers: Any) -> str:
    return next((value for name, value in headers.items() if name.lower() == "content-type"), "application/json")


def _reasons(error: BaseException) -> str:
    """Return the validator's messages for each field, which it keeps in the cause of its error."""
    cause = error.__cause__
    found = [f"{list(each.absolute_path)}: {each.message}" for each in getattr(cause, "schema_errors", [])]
    return "; ".join(found) or str(cause)
