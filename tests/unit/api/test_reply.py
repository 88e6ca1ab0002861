"""Which bodies are read, and which are errors."""

from __future__ import annotations

import pytest

from astro_provider.api.errors import (
    AstroError,
    UnexpectedAnswerError,
)
from astro_provider.api.flow import MAX_RESPONSE_BYTES
from tests.unit import payloads
from tests.unit.scripted_target import (
    ScriptedResponse,
    ScriptedTarget,
    json_response,
)

WHERE = "Deployment https://target.example.com/dz3uu847 (connection 'http_conn')"


def error_of(target: ScriptedTarget, method: str, path: str, answer: ScriptedResponse, **fields: object) -> AstroError:
    target.on(method, path, answer)
    with pytest.raises(AstroError) as caught:
        target.run(target.client(**fields).request(method, path))
    return caught.value


@pytest.mark.parametrize(
    ("body", "came"),
    [
        (b"", "an empty answer"),
        (b"  ", "an empty answer"),
        (b"Hello, world", "'Hello, world'"),
        (b'{"dag_id": "d", "is_pau', """'{"dag_id": "d", "is_pau'"""),
        (b"\xff\xfe\x00", "'��"),
        (b"[" * 100_000, f"'{'[' * 200}…'"),
        (b"x" * 5_000, f"'{'x' * 200}…'"),
    ],
)
def test_beginning_of_a_body_that_is_not_json_is_shown(target: ScriptedTarget, body: bytes, came: str) -> None:
    error = error_of(target, "GET", "x", ScriptedResponse(200, body))
    assert isinstance(error, UnexpectedAnswerError)
    assert str(error).startswith(f"{WHERE} answered GET https://target.example.com/dz3uu847/api/v2/x with 200")
    assert f"expected JSON, but got {came}" in str(error)
    assert len(str(error)) < 500


@pytest.mark.parametrize("raw", [[], {}, "text", None, 7, {"dag_id": 7, "is_paused": True}, {"dag_id": "d"}])
def test_json_of_another_form_is_an_error(target: ScriptedTarget, raw: payloads.JSON) -> None:
    target.on("GET", "dags/d", json_response(raw))
    with pytest.raises(UnexpectedAnswerError, match="expected a dag with dag_id, is_paused, but got"):
        target.run(target.client().get_dag("d"))


@pytest.mark.parametrize("status", [200, 500])
def test_response_above_the_maximum_size_is_an_error(target: ScriptedTarget, status: int) -> None:
    error = error_of(target, "POST", "x", ScriptedResponse(status, b'{"a": "' + b"x" * MAX_RESPONSE_BYTES))
    assert isinstance(error, UnexpectedAnswerError)
    assert 'expected at most 32 MiB of JSON, but got \'{"a": "xxx' in str(error)
    assert len(str(error)) < 500


def test_response_of_the_maximum_size_is_read(target: ScriptedTarget) -> None:
    target.on("GET", "x", ScriptedResponse(200, b'"' + b"x" * (MAX_RESPONSE_BYTES - 2) + b'"'))
    assert len(str(target.run(target.client().request("GET", "x")))) == MAX_RESPONSE_BYTES - 2


@pytest.mark.parametrize(
    ("method", "answer", "read"),
    [
        ("DELETE", ScriptedResponse(200), None),
        ("DELETE", ScriptedResponse(204), None),
        ("PATCH", ScriptedResponse(204), None),
        ("DELETE", json_response([1]), [1]),
    ],
)
def test_empty_response_is_none_after_204_or_delete(
    target: ScriptedTarget, method: str, answer: ScriptedResponse, read: object
) -> None:
    target.on(method, "pools/p", answer)
    assert target.run(target.client().request(method, "pools/p")) == read
