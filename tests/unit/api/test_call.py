from __future__ import annotations

from tests.unit.scripted_target import ScriptedTarget, json_response


def test_request_has_url_query_body_and_headers(target: ScriptedTarget) -> None:
    """URL, query, body and headers; what a call sets wins over the connection's headers."""
    target.on("POST", "dags/d", json_response({}))
    client = target.client(headers={"X-Team": "red", "content-type": "text/odd", "X-Own": "no"})
    flow = client.request(
        "post",
        "dags/d",
        params={"b": True, "many": ["x", "y"], "none": None, "i": 1},
        body={"ż": 1},
        headers={"X-Own": "yes"},
    )
    assert target.run(flow) == {}
    [received] = target.received
    assert received.target == "/api/v2/dags/d?b=true&many=x&many=y&i=1"
    assert received.json == {"ż": 1}
    assert {name: received.headers[name] for name in ("x-team", "x-own", "content-type", "accept")} == {
        "x-team": "red",
        "x-own": "yes",
        "content-type": "application/json",
        "accept": "application/json",
    }


def test_text_body_is_sent_unchanged_and_no_body_without_a_content_type(target: ScriptedTarget) -> None:
    target.on("POST", "x", json_response({}))
    client = target.client(headers={"Content-Type": "application/json"})
    target.run(client.request("POST", "x", body='{"a":  1}'))
    target.run(client.request("POST", "x"))
    assert [(received.body, received.headers.get("content-type")) for received in target.received] == [
        (b'{"a":  1}', "application/json"),
        (b"", None),
    ]
