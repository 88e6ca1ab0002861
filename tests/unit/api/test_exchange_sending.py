"""What is sent again, and where redirects may lead."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from astro_provider.api.deployment import HttpOptions
from astro_provider.api.errors import (
    ConflictError,
    NotAirflowError,
    TargetError,
    TargetUnavailableError,
    TransportError,
)
from tests.unit import answers
from tests.unit.target import TOKEN, Answer, Said, Seen, Target, moved, says
from tests.unit.target_stub import Played

if TYPE_CHECKING:
    from collections.abc import Callable

    from astro_provider.api.client import Client
    from astro_provider.api.flow import Flow

OK = says(answers.v2.dag_run())
BROKEN = TransportError("broken off")
NOT_SENT = TransportError("refused", sent=False)
PATH = {"GET": "dags/d/dagRuns/r", "POST": "dags/d/dagRuns", "PATCH": "dags/d/dagRuns/r"}


def ask(target: Target, method: str, *said: Said, **fields: object) -> object:
    target.on(method, PATH[method], *said)
    return target.run(target.client(**fields).request(method, PATH[method]))


@pytest.mark.parametrize("status", [408, 421, 425, 429, 502, 503, 504])
def test_a_get_is_sent_again_after_what_passes(target: Target, status: int) -> None:
    assert ask(target, "GET", says({}, status), says({}, status), OK) == answers.v2.dag_run()
    assert target.pauses == [1, 3]


def test_a_get_is_sent_again_after_an_answer_that_broke_off(target: Target) -> None:
    ask(target, "GET", BROKEN, OK)
    assert target.pauses == [1]


@pytest.mark.parametrize(("seconds", "sent"), [(29, 3), (60, 2), (130, 1)])
def test_a_get_that_has_taken_long_is_not_sent_again(target: Target, seconds: float, sent: int) -> None:
    """A target that lets a request run into its timeout would hold up a wait for as long again, twice."""

    def slow(seen: Seen) -> Answer:
        target.clock.now += seconds
        raise BROKEN

    with pytest.raises(TransportError):
        ask(target, "GET", slow)
    assert len(target.seen) == sent


@pytest.mark.parametrize(
    ("method", "trouble", "error"),
    [
        ("GET", says({}, 503), TargetUnavailableError),
        ("GET", BROKEN, TransportError),
        ("POST", says({}, 429), TargetUnavailableError),
        ("POST", NOT_SENT, TransportError),
    ],
)
def test_what_does_not_pass_is_an_error_after_three_tries(
    target: Target, method: str, trouble: Answer | TransportError, error: type[Exception]
) -> None:
    with pytest.raises(error):
        ask(target, method, trouble)
    assert (len(target.seen), target.pauses) == (3, [1, 3])


@pytest.mark.parametrize("method", ["POST", "PATCH"])
@pytest.mark.parametrize("trouble", [BROKEN, says({}, 502), says({}, 503), says({}, 504), says({}, 500)])
def test_what_may_have_arrived_is_not_sent_again(target: Target, method: str, trouble: Answer | TransportError) -> None:
    with pytest.raises((TransportError, TargetUnavailableError)):
        ask(target, method, trouble)
    assert (len(target.seen), target.pauses) == (1, [])


@pytest.mark.parametrize("trouble", [NOT_SENT, says({}, 429)])
def test_what_surely_was_not_taken_is_sent_again(target: Target, trouble: Answer | TransportError) -> None:
    assert ask(target, "POST", trouble, OK) == answers.v2.dag_run()
    assert target.pauses == [1]


LOST = [BROKEN, says({}, 502), says({}, 503), says({}, 504)]
IDEMPOTENT: dict[str, Callable[[Client], Flow[Any]]] = {
    "POST dags/d/dagRuns": lambda client: client.trigger_dag_run("d", run_id="derived", idempotent=True),
    "POST dags/d/dagRuns/r/clear": lambda client: client.clear_dag_run("d", "r", only_failed=False),
    "PATCH dags/d/dagRuns/r": lambda client: client.cancel_dag_run("d", "r"),
    "PATCH dags/d": lambda client: client.set_paused("d", paused=True),
    "POST dags/~/dagRuns/~/taskInstances/list": lambda client: client.list_instances_of_tasks("d", "r", ["t"]),
}


@pytest.mark.parametrize("trouble", LOST)
@pytest.mark.parametrize("request_line", IDEMPOTENT)
def test_an_idempotent_request_is_sent_again(request_line: str, trouble: Answer | TransportError) -> None:
    target = Played("v2")
    target.has_run("r", "running")
    method, path = request_line.split()
    target.on(method, path, trouble, target.play)
    target.run(IDEMPOTENT[request_line](target.client()))
    assert target.asked.count(f"{method} /api/v2/{path}") == 2


@pytest.mark.parametrize("trouble", LOST)
@pytest.mark.parametrize("what", ["dagRuns", "dagRuns/~/taskInstances"])
def test_a_poll_is_not_sent_again_as_the_next_one_is_its_repetition(
    what: str, trouble: Answer | TransportError
) -> None:
    target = Played("v2")
    target.on("POST", f"dags/~/{what}/list", trouble, target.play)
    client = target.client()
    dates = (answers.DATE, answers.DATE)
    runs, tasks = client.finished_runs(["d"], *dates), client.finished_tasks(["d"], answers.DATE)
    with pytest.raises((TransportError, TargetUnavailableError)):
        target.run(runs if what == "dagRuns" else tasks)
    assert (len(target.seen), target.pauses) == (1, [])


@pytest.mark.parametrize("trouble", LOST)
def test_a_trigger_whose_run_id_others_may_use_is_not_sent_again(trouble: Answer | TransportError) -> None:
    target = Played("v2")
    target.on("POST", "dags/d/dagRuns", trouble)
    with pytest.raises((TransportError, TargetUnavailableError)):
        target.run(target.client().trigger_dag_run("d", run_id="nightly"))
    assert len(target.seen) == 1


@pytest.mark.parametrize(("trouble", "resent"), [*((lost, True) for lost in LOST), (says({}, 429), False)])
def test_a_conflict_says_whether_an_earlier_sending_may_have_caused_it(
    trouble: Answer | TransportError, resent: bool
) -> None:
    target = Played("v2")
    target.has_run("derived", "running")
    target.on("POST", "dags/d/dagRuns", trouble, target.play)
    with pytest.raises(ConflictError) as caught:
        target.run(target.client().trigger_dag_run("d", run_id="derived", idempotent=True))
    assert caught.value.resent == resent


def test_a_conflict_with_the_first_sending_was_there_before() -> None:
    target = Played("v2")
    target.has_run("derived", "running")
    with pytest.raises(ConflictError) as caught:
        target.run(target.client().trigger_dag_run("d", run_id="derived", idempotent=True))
    assert caught.value.resent is False


@pytest.mark.parametrize("status", [400, 404, 409, 500])
def test_what_would_come_again_is_not_asked_again(target: Target, status: int) -> None:
    with pytest.raises(TargetError):
        ask(target, "GET", says({}, status))
    assert len(target.seen) == 1


@pytest.mark.parametrize(
    ("retry_after", "pause"), [("7", 7), ("3600", 30), ("0", 1), ("Wed, 21 Oct 2026 07:28:00 GMT", 1), ("-5", 1)]
)
def test_a_target_may_say_when_to_come_again_within_reason(target: Target, retry_after: str, pause: float) -> None:
    ask(target, "GET", says({}, 429, Retry_After=retry_after), OK)
    assert target.pauses == [pause]


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("status", [307, 308])
def test_a_redirect_on_the_same_host_is_followed_whole(target: Target, method: str, status: int) -> None:
    target.on(method, "/elsewhere", OK)
    target.on(method, PATH[method], moved(f"{target.url}/elsewhere", status))
    body = None if method == "GET" else {"a": 1}
    assert target.run(target.client().request(method, PATH[method], body=body)) == answers.v2.dag_run()
    first, second = target.seen
    assert (second.method, second.path, second.body) == (method, "/elsewhere", first.body)
    assert second.headers["authorization"] == f"Bearer {TOKEN}"


@pytest.mark.parametrize("location", ["/dz3uu847/elsewhere", "https://target.example.com/dz3uu847/elsewhere"])
@pytest.mark.parametrize("status", [301, 302, 303])
def test_a_redirected_get_is_followed_on_the_same_host(target: Target, location: str, status: int) -> None:
    target.on("GET", "/elsewhere", OK)
    assert ask(target, "GET", moved(location, status)) == answers.v2.dag_run()


@pytest.mark.parametrize("status", [301, 302, 303])
def test_a_post_is_not_turned_into_something_else(target: Target, status: int) -> None:
    target.on("GET", "/elsewhere", OK)
    with pytest.raises(NotAirflowError, match=r"POST .* is redirected to https://target\.example\.com/dz3uu847/else"):
        ask(target, "POST", moved(f"{target.url}/elsewhere", status))
    assert len(target.seen) == 1


def test_the_same_host_may_ask_for_tls() -> None:
    target = Target(url="http://target.example.com")
    target.on("GET", "https://target.example.com/api/v2/dags/d/dagRuns/r", OK)
    secured = moved("https://target.example.com/api/v2/dags/d/dagRuns/r", 301)
    assert ask(target, "GET", secured) == answers.v2.dag_run()


@pytest.mark.parametrize(
    ("url", "location"),
    [
        ("https://target.example.com", "https://login.example.com/"),
        ("https://target.example.com", "//login.example.com/"),
        ("https://target.example.com", "https://target.example.com:8443/"),
        ("https://target.example.com", "https://target.example.com.evil.example.com/"),
        ("https://target.example.com", "https://target.example.com@evil.example.com/"),
        ("https://target.example.com", "http://target.example.com/"),
        ("http://target.example.com:8080", "https://target.example.com/"),
        ("http://target.example.com:8080", "https://target.example.com:8080/"),
        ("https://target.example.com", "ftp://target.example.com/"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_credentials_never_follow_a_redirect_to_another_host(method: str, url: str, location: str) -> None:
    target = Target(url=url)
    with pytest.raises(NotAirflowError, match="is redirected to") as caught:
        ask(target, method, moved(location, 307))
    assert len(target.seen) == 1
    assert "connection 'http_conn'" in str(caught.value)
    assert location.rpartition("@")[2].strip("/").rpartition("//")[2] in str(caught.value)


def test_redirects_in_a_circle_end(target: Target) -> None:
    with pytest.raises(NotAirflowError):
        ask(target, "GET", moved(f"{target.url}/api/v2/{PATH['GET']}"))
    assert len(target.seen) == 4


def test_a_connection_may_forbid_redirects(target: Target) -> None:
    with pytest.raises(NotAirflowError):
        ask(target, "GET", moved(f"{target.url}/elsewhere"), http=HttpOptions(allow_redirects=False))
    assert len(target.seen) == 1


def test_a_redirect_to_a_login_page_hides_its_query_and_says_what_it_means(target: Target) -> None:
    with pytest.raises(NotAirflowError, match="A redirect to a login page means that the token is") as caught:
        ask(target, "GET", moved(f"https://login.example.com/authorize?state={TOKEN}"))
    assert TOKEN not in str(caught.value)
