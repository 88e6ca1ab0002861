from __future__ import annotations

from contextlib import suppress
from datetime import date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from astro_provider.api.dates import NOW, iso, iso_or_now, parse_date
from astro_provider.api.errors import UnexpectedAnswerError

WARSAW_IN_WINTER = timezone(timedelta(hours=1))


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (None, None),
        ("", None),
        ("  ", None),
        ("None", None),
        (" None ", None),
        ("2026-01-31T06:00:00Z", "2026-01-31T06:00:00+00:00"),
        (" 2026-01-31T06:00:00+01:00\n", "2026-01-31T06:00:00+01:00"),
        ("2026-01-31T06:00:00", "2026-01-31T06:00:00+00:00"),
        ("2026-01-31", "2026-01-31T00:00:00+00:00"),
        ("2026-01-31 06:00:00.123456+00:00", "2026-01-31T06:00:00.123456+00:00"),
        (datetime(2026, 1, 31, 6), "2026-01-31T06:00:00+00:00"),
        (datetime(2026, 1, 31, 6, tzinfo=WARSAW_IN_WINTER), "2026-01-31T06:00:00+01:00"),
    ],
)
def test_date_is_accepted_in_every_form_that_templates_render(
    value: datetime | str | None, written: str | None
) -> None:
    assert iso("logical_date", value) == written


@pytest.mark.parametrize(
    ("value", "read"),
    [("now", NOW), (" now ", NOW), (None, None), ("None", None), ("2026-01-31", "2026-01-31T00:00:00+00:00")],
)
def test_now_stays_as_it_is(value: str | None, read: str | None) -> None:
    assert iso_or_now("logical_date", value) == read


@pytest.mark.parametrize("text", ["now", "tomorrow", "2026-13-01", "{{ logical_date }}", "none", "31.01.2026", "Z"])
def test_invalid_date_is_refused_with_the_name_of_its_parameter(text: str) -> None:
    with pytest.raises(ValueError, match=r"^run_after: .* is no ISO 8601 date, such as 2026-01-31T06:00:00Z$"):
        iso("run_after", text)


@given(st.datetimes(timezones=st.just(timezone.utc) | st.just(WARSAW_IN_WINTER)))
def test_date_keeps_its_moment(date: datetime) -> None:
    written = iso("logical_date", date)
    assert written is not None
    assert datetime.fromisoformat(written) == date
    assert iso("logical_date", written) == written


def test_date_object_without_a_time_is_refused() -> None:
    with pytest.raises(ValueError, match="run_after: expected a datetime or ISO 8601 text, got date"):
        iso("run_after", date(2026, 1, 31))  # type: ignore[arg-type]  # what a user may pass


@given(st.text() | st.datetimes().map(str) | st.from_regex(r"\d{1,5}-\d\d-\d\dT\d\d:\d\d:\d\d.*"))
def test_date_of_a_target_is_parsed_or_an_unexpected_answer(text: str) -> None:
    with suppress(UnexpectedAnswerError):
        assert parse_date(text).tzinfo is not None
