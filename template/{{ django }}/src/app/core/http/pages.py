"""Django's middleware for pages: those of the admin, of the project and of other apps."""

from functools import cache
from typing import Any

from django.conf import settings as django_settings
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.messages.middleware import MessageMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.middleware.common import CommonMiddleware
from django.middleware.csrf import CsrfViewMiddleware

from app.core.config import API_PREFIX
from app.core.http.headers import DOCS, PROBES
from app.core.slices import find_slices


@cache
def api_prefixes() -> tuple[str, ...]:
    """Return the prefixes of the API's paths. All other paths are pages."""
    prefixes = {API_PREFIX, *(found.prefix for found in find_slices())}
    return (*(f"{prefix}/" for prefix in prefixes), PROBES, DOCS, "/openapi.json")


def is_page(request: HttpRequest) -> bool:
    """Return whether the path belongs to the admin or to other pages, not to the API."""
    return not request.path_info.startswith(api_prefixes())


class _PagesOnly:
    """Runs a middleware of Django only for pages. The API reads no cookies, and is faster without the middleware."""

    def __init__(self, get_response: Any) -> None:
        super().__init__(get_response)  # type: ignore[call-arg]
        # Django wraps the next middleware in a function. If the next one is also for pages, a request of the API skips
        # both in one step.
        following: Any = getattr(get_response, "__wrapped__", None)
        self.api_response: Any = following.api_response if isinstance(following, _PagesOnly) else get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if is_page(request):
            response: HttpResponseBase = super().__call__(request)  # type: ignore[misc]
        else:
            response = self.api_response(request)
        return response


class Common(_PagesOnly, CommonMiddleware):
    """Redirects, for example, `/blog` to `/blog/`."""


class Sessions(_PagesOnly, SessionMiddleware):
    def process_request(self, request: HttpRequest) -> None:
        """Ignore a cookie that cannot be a session key: PostgreSQL would refuse some characters, such as NUL."""
        if not request.COOKIES.get(django_settings.SESSION_COOKIE_NAME, "0").isalnum():
            del request.COOKIES[django_settings.SESSION_COOKIE_NAME]
        super().process_request(request)


class Csrf(_PagesOnly, CsrfViewMiddleware):
    pass


class Authentication(_PagesOnly, AuthenticationMiddleware):
    """Sets `request.user` for pages. For routes of the API, `identity.py` sets it to the user of the token."""


class Messages(_PagesOnly, MessageMiddleware):
    pass


def page_headers() -> list[tuple[str, str]]:
    """Return headers of HTML pages that replace those of the API. Django's CSRF check of forms needs a Referer."""
    policy = "; ".join(" ".join([directive, *sources]) for directive, sources in django_settings.SECURE_CSP.items())
    return [("Content-Security-Policy", policy), ("Referrer-Policy", "same-origin")]
