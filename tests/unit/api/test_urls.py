from __future__ import annotations

from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from astro_provider.api import calls, v2
from astro_provider.api.errors import RequestNotPossible


@given(st.text(min_size=1).filter(lambda name: name not in (".", "..")))
def test_any_id_is_one_segment_and_comes_back(name: str) -> None:
    _, segment = calls.get_dag(v2, name).path.split("/")
    assert segment.isascii()
    assert unquote(segment) == name


@pytest.mark.parametrize("name", ["", ".", ".."])
def test_an_id_that_would_be_a_direction_is_refused(name: str) -> None:
    with pytest.raises(RequestNotPossible, match="cannot be part of a URL"):
        calls.get_dag(v2, name)
