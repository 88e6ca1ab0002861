from __future__ import annotations

import pytest

from astro_provider.api.template_values import is_empty


@pytest.mark.parametrize("value", [None, "", "  \n", "None", " None "])
def test_none_and_a_template_without_a_value_are_empty(value: object) -> None:
    assert is_empty(value)


@pytest.mark.parametrize("value", ["none", "x", 0, False, [], {}])
def test_other_values_are_not_empty(value: object) -> None:
    assert not is_empty(value)
