from __future__ import annotations

import inspect

import pytest

from astro_provider.api import v1, v2
from astro_provider.api.api_versions import API_VERSIONS, RestApi, other


def test_each_version_is_found_by_its_name_and_has_another() -> None:
    assert {name: api.NAME for name, api in API_VERSIONS.items()} == {"v1": "v1", "v2": "v2"}
    assert (other(v1), other(v2)) == (v2, v1)


@pytest.mark.parametrize("api", [v1, v2])
def test_each_version_has_everything_that_differs(api: object) -> None:
    functions = {name: each for name, each in vars(RestApi).items() if inspect.isfunction(each) and name[0] != "_"}
    assert functions
    for name, function in functions.items():
        expected = [parameter for parameter in inspect.signature(function).parameters if parameter != "self"]
        assert list(inspect.signature(getattr(api, name)).parameters) == expected
    constants = [name for name in RestApi.__annotations__ if name.isupper()]
    assert constants
    assert all(hasattr(api, name) for name in constants)
