"""The redirect layer: which redirects are followed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

if TYPE_CHECKING:
    from astro_provider.api.flow import Request, Response

MAX_REDIRECTS = 3


def redirect_url(request: Request, response: Response) -> str | None:
    """
    Return where an answer redirects to.

    :param request: the request
    :param response: its answer
    :return: an absolute URL, or what was sent in place of one; ``None`` if it is no redirect
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
    Follow a redirect within the Deployment's own host only: credentials must go to no other.

    :param request: the request
    :param response: its answer
    :param url: where it redirects to
    :return: the next request; ``None`` if the redirect must not be followed
    """
    try:
        here, there = urlsplit(request.url), urlsplit(url)
        same_host = here.hostname == there.hostname and (
            (here.scheme, here.port) == (there.scheme, there.port)
            or (here.scheme, there.scheme, here.port, there.port) == ("http", "https", None, None)
        )
    except ValueError:  # it is no URL
        return None
    followable = request.method == "GET" or response.status in (307, 308)
    return replace(request, url=url) if same_host and followable else None
