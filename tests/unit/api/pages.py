"""Serves the pages of a list."""

from __future__ import annotations

from typing import Any

from tests.unit.scripted_target import (
    ReceivedRequest,
    ScriptedResponse,
    ScriptedTarget,
    json_response,
)


def serve_pages(
    target: ScriptedTarget, path: str, key: str, items: list[Any], *, at_most: int = 100, with_total: bool = True
) -> None:
    """Serve a list as Airflow does: in pages of at most ``at_most`` rows, whatever the limit in the request."""

    def serve(received: ReceivedRequest) -> ScriptedResponse:
        limit, offset = (int(received.query[name][0]) for name in ("limit", "offset"))
        body = target.payloads.collection(key, *items[offset : offset + min(limit, at_most)], total=len(items))
        if not with_total:
            del body["total_entries"]
        return json_response(body)

    target.on("GET", path, serve)
