"""The metadata of the provider, compared with Airflow's schemas and with the package."""

from __future__ import annotations

import importlib
import json
from importlib.metadata import entry_points, version
from pathlib import Path
from typing import Any

import airflow
import jsonschema
import pytest

import astro_provider
from astro_provider import get_provider_info

INFO: dict[str, Any] = get_provider_info()


def schema(name: str) -> dict[str, Any]:
    found = next(path for folder in airflow.__path__ if (path := Path(folder) / name).exists())
    read: dict[str, Any] = json.loads(found.read_text())
    return read


def test_metadata_matches_the_schema_of_airflow() -> None:
    described = schema("provider_info.schema.json")
    jsonschema.validate(INFO, described)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**INFO, "connection-types": [{"connection-type": "astro"}]}, described)


def test_metadata_matches_the_schema_of_airflows_own_providers() -> None:
    described = schema("provider.yaml.schema.json")
    # What only the providers in Airflow's own repository have.
    described["required"] = [name for name in described["required"] if name in INFO]
    jsonschema.validate(INFO, described)


def test_airflow_knows_every_key_of_the_metadata() -> None:
    known = schema("provider_info.schema.json")["properties"].keys() | schema("provider.yaml.schema.json")["properties"]
    assert set(INFO) - set(known) == set()


def test_metadata_can_be_written_as_json() -> None:
    assert json.loads(json.dumps(INFO)) == INFO


def test_version_is_the_installed_one() -> None:
    assert INFO["versions"] == [astro_provider.__version__] == [version("airflow-provider-astro")]


def test_airflow_finds_the_provider() -> None:
    found = [
        entry for entry in entry_points(group="apache_airflow_provider") if entry.value.startswith("astro_provider")
    ]
    assert [entry.load()() for entry in found] == [INFO]


@pytest.mark.parametrize("kind", ["operators", "sensors", "hooks", "triggers"])
def test_every_module_is_listed_and_exists(kind: str) -> None:
    listed = [name for entry in INFO[kind] for name in entry["python-modules"]]
    folder = Path(astro_provider.__file__).parent / kind
    # Modules that users do not import by name.
    ours = {
        "astro_provider.hooks.base",
        "astro_provider.hooks.http",
        "astro_provider.hooks.http_requests",
        "astro_provider.hooks.http_aiohttp",
        "astro_provider.hooks.astro_async",
        "astro_provider.hooks.lookup",
        "astro_provider.operators.waiting",
        "astro_provider.sensors.base",
        "astro_provider.sensors.poke_interval",
        "astro_provider.sensors.waiting",
        "astro_provider.triggers.endings",
        "astro_provider.triggers.events",
        "astro_provider.triggers.shared_wait",
        "astro_provider.triggers.task_trigger",
    }
    there = {f"astro_provider.{kind}.{path.stem}" for path in folder.glob("*.py") if path.stem != "__init__"}
    assert set(listed) == there - ours
    for name in listed:
        importlib.import_module(name)


def test_classes_in_the_metadata_exist() -> None:
    named = (
        [entry["hook-class-name"] for entry in INFO["connection-types"]] + INFO["extra-links"] + INFO["notifications"]
    )
    for name in named:
        module, _, attribute = name.rpartition(".")
        assert isinstance(getattr(importlib.import_module(module), attribute), type)


def test_connection_type_is_that_of_the_hook() -> None:
    from astro_provider.hooks.astro import AstroHook

    assert [entry["connection-type"] for entry in INFO["connection-types"]] == [AstroHook.conn_type]


def test_integration_has_one_name() -> None:
    used = {entry["integration-name"] for kind in ("operators", "sensors", "hooks", "triggers") for entry in INFO[kind]}
    assert used == {entry["integration-name"] for entry in INFO["integrations"]}
