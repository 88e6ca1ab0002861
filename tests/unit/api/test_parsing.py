from __future__ import annotations

import json
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from astro_provider.api import v1, v2
from astro_provider.api.parsing import Unexpected, collection_key, collection_reader, mapping, parse_json
from tests.unit import payloads


def as_it_is(raw: Any) -> Any:
    return raw


def test_object_is_returned_unchanged() -> None:
    raw = {"name": "p", "slots": 1, "more": None}
    assert mapping(raw, "a pool", name=str, slots=int) is raw


@pytest.mark.parametrize(
    "raw", [None, [], "x", 1, {}, {"name": 1, "slots": 1}, {"name": "p"}, {"name": "p", "slots": "1"}]
)
def test_missing_key_or_other_type_is_named(raw: Any) -> None:
    with pytest.raises(Unexpected, match=r"^a pool with name, slots$"):
        mapping(raw, "a pool", name=str, slots=int)


def test_object_without_required_keys_is_named_alone() -> None:
    with pytest.raises(Unexpected, match=r"^the cleared run$"):
        mapping([], "the cleared run")


@pytest.mark.parametrize(
    ("total", "read"), [({"total_entries": 7}, 7), ({}, 2), ({"total_entries": None}, 2), ({"total_entries": "7"}, 2)]
)
def test_page_has_the_number_of_all_rows(total: dict[str, Any], read: int) -> None:
    assert collection_reader("pools", as_it_is)({"pools": [1, 2], **total}) == ([1, 2], read)


@pytest.mark.parametrize("raw", [None, [], {}, {"pools": None}, {"pools": {}}, {"dags": []}])
def test_json_that_is_not_a_page_is_refused(raw: Any) -> None:
    with pytest.raises(Unexpected, match=r"^a collection of pools with pools$"):
        collection_reader("pools", as_it_is)(raw)


def test_invalid_row_is_refused() -> None:
    with pytest.raises(Unexpected, match=r"^a pool with name$"):
        collection_reader("pools", partial(mapping, what="a pool", name=str))({"pools": [{"name": "a"}, {}]})


def test_key_of_an_unknown_collection_is_found() -> None:
    assert collection_key({"assets": [], "total_entries": 0, "next": None}) == "assets"


@pytest.mark.parametrize(
    "raw", [[], {"assets": []}, {"total_entries": 1}, {"assets": [], "others": [], "total_entries": 0}]
)
def test_json_that_is_not_a_collection_is_refused(raw: Any) -> None:
    with pytest.raises(Unexpected, match=r"^a collection"):
        collection_key(raw)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999"])
def test_nan_and_infinite_numbers_become_null(number: str) -> None:
    assert parse_json(f'{{"a": [{number}, 1.5, -2e3]}}'.encode()) == {"a": [None, 1.5, -2000.0]}


@given(
    st.recursive(st.none() | st.floats() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))
)
def test_whatever_is_parsed_can_be_stored_as_json(raw: Any) -> None:
    json.dumps(parse_json(json.dumps(raw).encode()), allow_nan=False)


@pytest.mark.parametrize("api_version", [v1, v2])
@pytest.mark.parametrize("kind", ["dag_run", "task_instance"])
@pytest.mark.parametrize("date", ["tomorrow", "", 7, {}, "2026-13-01T00:00:00Z", "9" * 100_000])
def test_malformed_date_of_one_row_does_not_affect_others(api_version: Any, kind: str, date: Any) -> None:
    make = getattr(payloads.for_version(api_version.NAME), kind)
    dates = ("logical_date", "end_date", *(["execution_date"] if api_version is v1 else []))
    rows = {"rows": [make(**dict.fromkeys(dates, date)), make()], "total_entries": 2}
    (odd, even), _ = collection_reader("rows", getattr(api_version, kind))(rows)
    assert (odd["logical_date"], odd["end_date"], odd["state"]) == (None, None, "success")
    assert (even["logical_date"], even["end_date"]) == (payloads.DATE, payloads.DATE)
