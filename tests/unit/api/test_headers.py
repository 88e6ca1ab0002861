from __future__ import annotations

import pytest

from astro_provider.api.headers import header_problem, header_text


@pytest.mark.parametrize(("name", "value"), [("X-Team", "red"), ("x_1!", 7), ("X-Empty", ""), ("X-Blank", " a ")])
def test_a_header_that_can_be_sent_has_no_problem(name: str, value: object) -> None:
    assert header_problem(name, value) is None


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("X Team", "hidden-1", "is no name of a header"),
        ("", "hidden-1", "is no name of a header"),
        ("Content-Length", "7", "depends on each request"),
        ("transfer-encoding", "chunked", "depends on each request"),
        ("X-Team", ["hidden-1"], "expected a text, got list"),
        ("X-Team", {"hidden-1": 1}, "expected a text, got dict"),
        ("X-Team", "hidden-1\nX-Evil: 1", "line break or a non-ASCII character"),
        ("X-Team", "hidden-1 ż", "line break or a non-ASCII character"),
    ],
)
def test_a_header_that_cannot_be_sent_has_a_problem_without_its_value(name: str, value: object, problem: str) -> None:
    found = header_problem(name, value)
    assert problem in str(found)
    assert "hidden-1" not in str(found)


def test_a_value_is_sent_as_text_without_blanks_around_it() -> None:
    assert [header_text(value) for value in (" a b ", 7)] == ["a b", "7"]
