"""The layers that send a call: authorisation, redirects and retries."""

from __future__ import annotations

import time
from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING, TypeVar

from astro_provider.api.call import Call
from astro_provider.api.credentials import TokenCredentials
from astro_provider.api.error_messages import redirect_refused
from astro_provider.api.flow import Pause, Request
from astro_provider.api.redirects import MAX_REDIRECTS, redirect_url, redirected
from astro_provider.api.reply import Reply
from astro_provider.api.responses import is_token_refused
from astro_provider.api.retries import Resends, send_with_retries
from astro_provider.api.sanitize import hide_secrets
from astro_provider.api.tokens import FETCH_CHECK_SECONDS, naming_source, read_token

if TYPE_CHECKING:
    from collections.abc import Callable

    from astro_provider.api.api_versions import RestApi
    from astro_provider.api.deployment import Deployment
    from astro_provider.api.flow import Flow
    from astro_provider.api.memory import Memory

T = TypeVar("T")


class Sender:
    """
    Sends calls to one Deployment.

    :param deployment: the target
    :param memory: what the process has learned about the target; updated by responses
    :param clock: returns the time, in seconds since the epoch
    """

    def __init__(self, deployment: Deployment, memory: Memory, clock: Callable[[], float] = time.time) -> None:
        self.deployment = deployment
        self.memory = memory
        self.clock = clock
        self._former_secrets: tuple[str, ...] = ()

    def hide_secrets(self, text: str) -> str:
        """Replace every credential in a text that the target sent."""
        return hide_secrets(text, (*self.deployment.secrets, *self._fetched_secrets()))

    def _fetched_secrets(self) -> tuple[str, ...]:
        """Return the credentials that were or are in use, but are not in the current connection."""
        return (*self._former_secrets, *filter(None, [self.memory.token]))

    def _send_authorised(self, call: Call[T], api: RestApi) -> Flow[Reply]:
        """Send a call with credentials; once more with a new token if the target refuses a fetched token."""
        authorization = yield from self._authorization(api)
        reply = yield from self._send(call.request(self.deployment, api, authorization))
        fetched = isinstance(self.deployment.credentials, TokenCredentials) and authorization is not None
        if fetched and str(authorization).startswith("Bearer ") and is_token_refused(reply.response):
            if authorization == f"Bearer {self.memory.token}":  # otherwise another flow has fetched a new one already
                self.memory.token = None
            authorization = yield from self._authorization(api)
            reply = yield from self._send(call.request(self.deployment, api, authorization))
        return reply

    def _authorization(self, api: RestApi) -> Flow[str | None]:
        credentials = self.deployment.credentials
        if credentials is None:
            return None
        authorization = credentials.authorization(api.NAME)
        if authorization is None and isinstance(credentials, TokenCredentials):
            return f"Bearer {(yield from self._token(credentials))}"
        return authorization

    def _token(self, credentials: TokenCredentials) -> Flow[str]:
        """Return a token. If several flows of the process need one at the same time, one of them fetches it for all."""
        memory = self.memory
        while not memory.token or memory.token_expires <= self.clock():
            fetch, is_own = memory.fetches.join(self.clock())
            if is_own:
                with fetch:
                    fetch.token = memory.token = yield from self._fetch_token(credentials, memory)
            while not fetch.is_over(self.clock()):
                yield Pause(FETCH_CHECK_SECONDS)
            if fetch.error is not None:
                raise fetch.error
            if fetch.token is not None:  # even if it expires at once
                return fetch.token
        return memory.token

    def _fetch_token(self, credentials: TokenCredentials, memory: Memory) -> Flow[str]:
        fetching = credentials.token_request(self.deployment)
        headers = {**fetching.headers, "Accept": "application/json"}
        with naming_source(fetching.source):
            reply = yield from self._send(Request("POST", fetching.url, headers, fetching.body, idempotent=True))
        credentials.check_token_reply(reply, fetching.source)
        with naming_source(fetching.source):
            call = Call(
                method="POST",
                path=fetching.url,
                read=read_token,
                about="token request",
                returns_credentials=True,
            )
            token, seconds = reply.read(call, self.clock())
        memory.token_expires = self.clock() + seconds
        return token

    def _send(self, request: Request) -> Flow[Reply]:
        """Send a request with retries, and follow redirects."""
        resends = Resends(request, self.clock)
        for followed in count():
            response = yield from send_with_retries(request, resends)
            reply = Reply(
                self.deployment,
                self._fetched_secrets(),
                request,
                replace(response, resent=resends.might_be_handled),
            )
            url = redirect_url(request, response)
            if url is None:
                break
            allowed = followed < MAX_REDIRECTS and self.deployment.http.allow_redirects
            following = redirected(request, response, url) if allowed else None
            if following is None:
                raise redirect_refused(reply, url)
            request = following
        return reply
