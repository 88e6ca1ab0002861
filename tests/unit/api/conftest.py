from __future__ import annotations

import pytest

from tests.unit.target import Target


@pytest.fixture(params=["v1", "v2"])
def either(request: pytest.FixtureRequest) -> Target:
    """A target of either generation."""
    return Target(request.param)
