from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from astro_provider.api.credentials import AuthorizationHeader, ClientCredentials, Login
from astro_provider.api.deployment import Deployment, HttpOptions
from astro_provider.api.sanitize import (
    CONTINUATION,
    hide_secrets,
    might_contain,
    plain,
    secrets_in_data,
    without_secrets,
)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", ""),
        ("zażółć 🎉", "zażółć 🎉"),
        ("one\ntwo", "one\n    two"),
        ("one\r\n\r\n  two  \n", "one\n      two"),
        ("one\u2028two\x85three\x0bfour\x1cfive", "one\n    two\n    three\n    four\n    five"),
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07text", "text"),
        ("\x1b]8;;http://x\x1b\\link", "link"),
        ("over\rwritten", "over\n    written"),
        ("a\tb\xa0c", "a b c"),
        ("\x1bc\x08\x00\x9b", r"\x1bc\x08\x00\x9b"),
        ("\u202egnp.exe", r"\u202egnp.exe"),
    ],
)
def test_text_is_made_safe_to_print(text: str, shown: str) -> None:
    assert plain(text) == shown


@given(st.text() | st.text(alphabet="\x1b[]0;mA\n\r\x07\\\x9b ab"))
def test_text_cannot_forge_a_line_or_move_the_cursor(text: str) -> None:
    first, *further = plain(text).split("\n")
    assert first.isprintable()
    assert all(line.isprintable() and line.startswith(CONTINUATION) for line in further)
    assert plain(plain(text)).split() == plain(text).split()


@pytest.mark.parametrize("text", ["\x1b[" * 50_000, "\x1b]" * 50_000, "\x1b[" + "0" * 100_000, "\n" * 100_000])
def test_hostile_text_is_sanitized_quickly(text: str) -> None:
    import time

    began = time.perf_counter()
    plain(text)
    assert time.perf_counter() - began < 1


def deployment(credentials: Any, **fields: Any) -> Deployment:
    return Deployment("http_conn", "https://target.example.com", credentials, **fields)


@pytest.mark.parametrize(
    ("target", "hidden", "kept"),
    [
        (deployment(AuthorizationHeader("Bearer abc-secret")), ["abc-secret", "Bearer abc-secret"], ["Bearer"]),
        (deployment(ClientCredentials("my-client", "my-secret")), ["my-secret"], ["my-client"]),
        (deployment(Login("somebody", "pass word")), ["pass word", "pass+word"], ["somebody"]),
        (deployment(Login("admin", "admin")), ["YWRtaW46YWRtaW4="], ["admin"]),
        (
            deployment(None, headers={"X-Api-Key": "key-12345", "X-Team": "warehouse", "Cookie": "session=1"}),
            ["key-12345", "session=1"],
            ["warehouse"],
        ),
        (
            deployment(None, http=HttpOptions(proxies={"https": "http://me:proxy-pass@proxy.example.com"})),
            ["proxy-pass"],
            ["proxy.example.com"],
        ),
    ],
)
def test_secrets_are_removed_from_data(target: Deployment, hidden: list[str], kept: list[str]) -> None:
    secrets = secrets_in_data(target)
    data: dict[str, Any] = {"note": [*hidden, *kept], "conf": dict.fromkeys(hidden, 1)}
    shown = json.dumps(without_secrets(data, secrets))
    assert not [text for text in hidden if text in shown]
    assert [text for text in kept if text not in shown] == []


def test_only_long_secrets_are_replaced_in_ids() -> None:
    """A password can be a word that is part of a dag id."""
    run = {"dag_id": "warehouse", "dag_run_id": "of-warehouse-with-a-long-token", "note": "warehouse"}
    assert without_secrets(run, ["with-a-long-token", "warehouse"]) == {  # type: ignore[arg-type]  # a dict of texts
        "dag_id": "warehouse",
        "dag_run_id": "of-warehouse-***",
        "note": "***",
    }


@given(
    st.recursive(
        st.none() | st.integers() | st.text() | st.just("a-longer-sécret/value"),
        lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.just("a-longer-sécret/value"), inner),
    )
)
def test_secret_in_data_is_found_with_any_json_escapes(raw: Any) -> None:
    secrets = ["a-longer-sécret/value"]
    holds = "a-longer-sécret/value" in json.dumps(raw, ensure_ascii=False)
    for body in (json.dumps(raw), json.dumps(raw, ensure_ascii=False), json.dumps(raw).replace("/", "\\/")):
        assert might_contain(body.encode(), secrets) or not holds
    cleaned = without_secrets(raw, secrets)
    assert "a-longer-sécret/value" not in json.dumps(cleaned, ensure_ascii=False)
    assert cleaned == raw or holds


@given(st.permutations(["token", "token-of", "token-of-the-connection"]))
def test_secret_that_contains_another_one_is_replaced_as_a_whole(secrets: list[str]) -> None:
    assert hide_secrets("sent token-of-the-connection", secrets) == "sent ***"
