"""Reading templated fields after rendering."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest

from astro_provider.tasks.rendered import as_bool, as_choice, as_text, is_template, rendered_id, stored_value


@pytest.mark.parametrize(("value", "text"), [("d", "d"), (123, "123"), (1.5, "1.5"), (True, "True")])
def test_id_is_read_as_text(value: object, text: str) -> None:
    assert rendered_id("external_dag_id", value) == text


@pytest.mark.parametrize("nothing", [None, "", " ", "None", " None "])
def test_empty_id_is_refused(nothing: str | None) -> None:
    with pytest.raises(ValueError, match=f"external_dag_id was rendered to {nothing!r}: it names nothing"):
        rendered_id("external_dag_id", nothing)


@pytest.mark.parametrize("several", [["d"], ("d",), {"d"}, {"d": 1}])
def test_collection_is_refused_as_an_id(several: Any) -> None:
    with pytest.raises(ValueError, match="external_dag_id must be text, but was rendered to"):
        rendered_id("external_dag_id", several)


def test_optional_text_is_text_or_none() -> None:
    assert [as_text(value) for value in (7, "", None, "None")] == ["7", "", None, None]


@pytest.mark.parametrize(("value", "later"), [("{{ x }}", True), ("{% if x %}", True), ("x", False), (None, False)])
def test_jinja_text_is_a_template(value: object, later: bool) -> None:
    assert is_template(value) is later


@pytest.mark.parametrize(("value", "read"), [(True, True), ("Yes", True), (1, True), ("false", False), (0, False)])
def test_bool_is_read_from_text_and_numbers(value: object, read: bool) -> None:
    assert as_bool("wait_for_completion", value) is read


@pytest.mark.parametrize("value", [None, "", "maybe", 2])
def test_other_values_are_refused_as_a_bool(value: object) -> None:
    with pytest.raises(ValueError, match="wait_for_completion must be true or false, not"):
        as_bool("wait_for_completion", value)


@pytest.mark.parametrize("value", [None, "", "no", 7])
def test_value_outside_of_the_choices_is_refused(value: object) -> None:
    assert as_choice("if_paused", "fail", ("fail", "skip")) == "fail"
    with pytest.raises(ValueError, match="if_paused must be one of fail, skip, not"):
        as_choice("if_paused", value, ("fail", "skip"))


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        (None, None),
        ("{{ ds }}", "{{ ds }}"),
        (datetime(2026, 1, 1, tzinfo=timezone.utc), "2026-01-01T00:00:00+00:00"),
        (("a", "{{ ds }}"), ["a", "{{ ds }}"]),
    ],
)
def test_fields_are_stored_as_json_values(value: Any, stored: Any) -> None:
    assert stored_value(value) == stored
