"""The redirect layer: which redirects are followed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

if TYPE_CHECKING:
    from astro_provider.api.flow import Request, Response

MAX_REDIRECTS = 3
"""Redirects that are followed for one request."""


def redirect_url(request: Request, response: Response) -> str | None:
    """
    Return the URL that a response redirects to.

    :param request: the request
    :param response: the response to it
    :return: an absolute URL, or the unchanged ``Location`` if it is not a URL; ``None`` if the response is no redirect
    """
    location = response.headers.get("location")
    if not 300 < response.status < 400 or not location:
        return None
    try:
        return urljoin(request.url, location)
    except ValueError:
        return location


def redirected(request: Request, response: Response, url: str) -> Request | None:
    """
    Return the request that follows a redirect.

    Only redirects on the same host are followed, because the request has credentials. A redirect from http to https is
    one of them. Requests other than GET are repeated only for 307 and 308, which keep method and body.

    :param request: the request
    :param response: the response to it
    :param url: the URL that it redirects to
    :return: the next request; ``None`` if the redirect must not be followed
    """
    try:
        here, there = urlsplit(request.url), urlsplit(url)
        same_host = here.hostname == there.hostname and (
            (here.scheme, here.port) == (there.scheme, there.port)
            or (here.scheme, there.scheme, here.port, there.port) == ("http", "https", None, None)
        )
    except ValueError:  # the location is not a URL
        return None
    followable = request.method == "GET" or response.status in (307, 308)
    return replace(request, url=url) if same_host and followable else None
