"""The calls for XComs. The contract tests check the paths and parameters themselves."""

from __future__ import annotations

from typing import Any

import pytest

from astro_provider.api import v1, v2, xcom_calls
from astro_provider.api.deployment import Deployment
from astro_provider.api.flow import MAX_RESPONSE_BYTES
from astro_provider.api.parsing import Unexpected
from tests.unit.api.test_calls import ENCODED, ODD

DEPLOYMENT = Deployment("c", "https://target.example.com", None)


@pytest.mark.parametrize(
    ("call", "path"),
    [
        (xcom_calls.get_xcom(v2, "d", ODD, ODD, ODD, None), f"{ENCODED}/xcomEntries/{ENCODED}"),
        (xcom_calls.list_xcoms(v2, {}, "d", ODD, ODD, "k"), f"{ENCODED}/xcomEntries"),
        (xcom_calls.list_mapped_instances(v2, {}, "d", ODD, ODD), f"{ENCODED}/listMapped"),
    ],
)
def test_ids_are_percent_encoded_into_paths(call: Any, path: str) -> None:
    assert call.path == f"dags/d/dagRuns/{ENCODED}/taskInstances/{path}"


def test_value_is_requested_as_json() -> None:
    v1_call, v2_call = (xcom_calls.get_xcom(api, "d", "r", "t", "k", 3) for api in (v1, v2))
    assert v1_call.params == {"stringify": False, "map_index": 3}
    assert v2_call.params == {"map_index": 3}
    assert xcom_calls.get_xcom(v1, "d", "r", "t", "k", None, as_text=True).params == {"map_index": None}


def test_size_of_the_response_is_limited() -> None:
    assert xcom_calls.get_xcom(v2, "d", "r", "t", "k", None).max_bytes == MAX_RESPONSE_BYTES
    assert xcom_calls.get_xcom(v2, "d", "r", "t", "k", None, max_bytes=9).request(DEPLOYMENT, v2, None).max_bytes == 9


def test_list_is_filtered_by_key_and_has_no_values() -> None:
    call = xcom_calls.list_xcoms(v2, {"limit": 2, "offset": 4}, "d", "r", "~", "k")
    assert call.params == {"xcom_key": "k", "limit": 2, "offset": 4}
    row = {"task_id": "t", "map_index": -1, "key": "k"}
    assert call.read({"xcom_entries": [row], "total_entries": 1}) == ([row], 1)
    with pytest.raises(Unexpected, match="an XCom with task_id, map_index"):
        call.read({"xcom_entries": [{"task_id": "t"}], "total_entries": 1})
