from __future__ import annotations

import pickle

import pytest

from astro_provider.api.errors import AstroError, ConnectionConfigError, NotFoundError, TransportError


@pytest.mark.parametrize(
    "error",
    [
        ConnectionConfigError("http_conn", "Host", "it is empty"),
        NotFoundError("no dag", status=404, detail="d", similar=["e"]),
        TransportError("broken", sent=False),
    ],
)
def test_error_can_be_pickled_with_all_attributes(error: AstroError) -> None:
    there = pickle.loads(pickle.dumps(error))
    assert type(there) is type(error)
    assert (str(there), vars(there)) == (str(error), vars(error))
