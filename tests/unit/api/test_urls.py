from __future__ import annotations

from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from astro_provider.api import calls, v2
from astro_provider.api.errors import RequestNotPossible


@given(st.text(min_size=1).filter(lambda name: name not in (".", "..")))
def test_any_id_becomes_one_segment_that_decodes_to_it(name: str) -> None:
    _, segment = calls.get_dag(v2, name).path.split("/")
    assert segment.isascii()
    assert unquote(segment) == name


@pytest.mark.parametrize("name", ["", ".", ".."])
def test_empty_id_and_dot_segment_are_refused(name: str) -> None:
    with pytest.raises(RequestNotPossible, match="cannot be part of a URL"):
        calls.get_dag(v2, name)
