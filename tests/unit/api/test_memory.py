from __future__ import annotations

from dataclasses import replace

from astro_provider.api.client import client_of
from astro_provider.api.memory import Memory, memory_of
from tests.unit.connections import read


def test_clients_of_the_same_deployment_share_a_memory() -> None:
    one, other = read(password="hidden-1"), read(password="hidden-1", conn_id="other")
    assert client_of(one).memory is client_of(other).memory is memory_of(one)


def test_another_token_or_url_has_another_memory() -> None:
    deployment = read(password="hidden-1")
    others = [read(password="hidden-2"), replace(deployment, url="https://x.example.com")]
    assert not [other for other in others if memory_of(other) is memory_of(deployment)]


def test_a_memory_does_not_show_its_token() -> None:
    assert "hidden-1" not in repr(Memory(token="hidden-1"))
