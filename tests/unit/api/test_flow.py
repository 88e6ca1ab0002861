from __future__ import annotations

import pytest

from astro_provider.api.errors import TransportError
from astro_provider.api.flow import Flow, Pause, Request, Response, resume
from astro_provider.api.memory import Memory

REQUEST = Request("GET", "https://x.example.com", {})


def test_a_request_never_shows_its_headers_or_body() -> None:
    request = Request("GET", "https://x.example.com", {"Authorization": "Bearer abc"}, b"abc")
    assert "abc" not in repr(request)
    assert "abc" not in repr(Memory(token="abc"))


def test_a_flow_is_resumed_with_a_response_an_error_or_nothing() -> None:
    lost, response = TransportError("connection lost"), Response(200, {}, b"")
    resumed_with: list[object] = []

    def flow() -> Flow[str]:
        resumed_with.append((yield Pause(1)))
        try:
            yield REQUEST
        except TransportError as error:
            resumed_with.append(error)
        resumed_with.append((yield REQUEST))
        return "done"

    running = flow()
    assert [resume(running, outcome) for outcome in (None, None, lost)] == [Pause(1), REQUEST, REQUEST]
    with pytest.raises(StopIteration) as end:
        resume(running, response)
    assert (end.value.value, resumed_with) == ("done", [None, lost, response])
