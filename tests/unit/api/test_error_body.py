from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from astro_provider.api.error_body import beginning, page_title, reasons
from tests.unit import payloads


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        (b"", "an empty answer"),
        (b" \n ", "an empty answer"),
        (b"Hello", "'Hello'"),
        (b"x" * 200, f"'{'x' * 200}'"),
        (b"x" * 201, f"'{'x' * 200}…'"),
        ("ż".encode() * 500, f"'{'ż' * 200}…'"),
        (b"a" + b" " * 1000, "'a…'"),
        (b"\xff", "'�'"),
        (b"two\nlines", r"'two\nlines'"),
    ],
)
def test_beginning_is_the_first_200_characters(body: bytes, shown: str) -> None:
    assert beginning(body) == shown


@given(st.binary(max_size=3000))
def test_beginning_of_any_body_is_one_short_line(body: bytes) -> None:
    assert len(beginning(body)) <= 4 * 10 * 200
    assert "\n" not in beginning(body)


@pytest.mark.parametrize(
    ("html", "title"),
    [
        ("<html><head><title>Sign in</title>", "Sign in"),
        ("<TITLE lang='en'>\n  Sign\n  in </TITLE>", "Sign in"),
        ("<html><body><h1>502 Bad Gateway</h1>", "502 Bad Gateway"),
        ("<h1 class=x>First</h1><h1>Second</h1>", "First"),
        ("<html><body>Hello", ""),
        ("<title>never closed", ""),
        (f"<title>{'x' * 300}</title>", "x" * 200),
        (f"{' ' * 200_000}<title>Too late</title>", ""),
    ],
)
def test_title_is_the_title_or_first_heading_of_a_page(html: str, title: str) -> None:
    assert page_title(html.encode()) == title


PYDANTIC = [
    {"type": "missing", "loc": ["body", "logical_date"], "msg": "Field required", "input": {}},
    {"type": "extra_forbidden", "loc": ["body", "conf", 0, "x"], "msg": "Extra inputs are not permitted"},
]


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (payloads.v2.error(400, "Dag has import errors"), "Dag has import errors"),
        (payloads.v1.error(400, "'x' is not a date"), "'x' is not a date"),
        ({"title": "Bad Request", "detail": None}, "Bad Request"),
        ({"title": "Bad Request", "detail": ""}, "Bad Request"),
        ({"error": "gone"}, "gone"),
        ({"message": "no"}, "no"),
        ({"detail": PYDANTIC}, "logical_date: Field required; conf.0.x: Extra inputs are not permitted"),
        ({"detail": [{"loc": ["body"], "msg": "No JSON"}]}, "No JSON"),
        ({"detail": [{"msg": "No JSON"}]}, "No JSON"),
        ({"detail": ["one", 2]}, "one; 2"),
        ({"detail": {"reason": "Unique constraint violation", "statement": "hidden"}}, "Unique constraint violation"),
        ({"detail": {"reason": "a", "message": "b"}}, "a; b"),
        ({"detail": {"odd": 1}}, '{"odd": 1}'),
        ({}, ""),
        ([], "'[]'"),
        (7, "'7'"),
    ],
)
def test_reasons_are_extracted_field_by_field(raw: Any, text: str) -> None:
    assert reasons(json.dumps(raw).encode()) == text


@pytest.mark.parametrize(
    ("body", "text"), [(b"", ""), (b"  ", ""), (b"upstream gone", "'upstream gone'"), (b"\xff", "'�'")]
)
def test_reasons_of_a_body_that_is_not_json_are_its_beginning(body: bytes, text: str) -> None:
    assert reasons(body) == text


def test_reasons_of_deeply_nested_json_are_its_beginning() -> None:
    assert reasons(b"[" * 100_000).startswith("'[[[")


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner) | st.dictionaries(st.sampled_from(["detail", "title", "loc", "msg", "reason"]), inner)
        ),
    )
)
def test_reasons_are_extracted_from_any_json(raw: Any) -> None:
    assert isinstance(reasons(json.dumps(raw).encode()), str)


HOSTILE_PAGES = {
    "headings that are never closed": b"<h1>" * 25_000,
    "titles that are never closed": b"<title>" * 15_000,
    "tags that never end": b"<h1 " * 25_000,
    "a tag of blanks": b"<title" + b" " * 100_000,
    "closings without an opening": b"</h1>" * 20_000,
}


@pytest.mark.parametrize("body", HOSTILE_PAGES.values(), ids=HOSTILE_PAGES)
def test_title_of_a_hostile_page_is_found_quickly(body: bytes) -> None:
    began = time.perf_counter()
    page_title(body)
    assert time.perf_counter() - began < 0.2


@given(st.lists(st.sampled_from([b"<title>", b"</title>", b"<h1 a>", b"</H1>", b"<", b"x ", b"\n", b"\xff"])))
def test_the_title_of_any_page_is_one_short_line(parts: list[bytes]) -> None:
    title = page_title(b"".join(parts))
    assert title == " ".join(title.split())[:200]
