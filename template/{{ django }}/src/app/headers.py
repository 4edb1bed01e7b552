"""The security headers, which every response carries."""

from collections.abc import Callable, Mapping
from typing import Any

from app.config import Settings

ADMIN = "/admin/"

SECURITY_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "accelerometer=(), camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
# The documentation page loads Swagger UI from its network and starts it with a line of its own. Development only.
DOCS_POLICY = (
    "default-src 'none'; script-src https://cdn.jsdelivr.net 'unsafe-inline'; style-src https://cdn.jsdelivr.net;"
    " img-src data: https://django-ninja.dev; connect-src 'self';"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
# The administration has pages, with scripts and styles of its own, and forms that it knows by where they come from.
ADMIN_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self';"
    " form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
PAGES = {
    "/docs": {"Content-Security-Policy": DOCS_POLICY},
    ADMIN: {"Content-Security-Policy": ADMIN_POLICY, "Referrer-Policy": "same-origin"},
}

type StartResponse = Callable[..., Any]


class SecurityHeaders:
    """Adds what a response does not say itself. To the plain list: to Django's headers it takes many times as long."""

    def __init__(self, settings: Settings) -> None:
        own = SECURITY_HEADERS
        if settings.production:
            own = own | {"Strict-Transport-Security": "max-age=63072000; includeSubDomains"}
        self.headers = _by_lower_name(own)
        self.pages = {prefix: _by_lower_name(own | page) for prefix, page in PAGES.items()}
        self.prefixes = tuple(self.pages)

    def around(self, path: str, start_response: StartResponse) -> StartResponse:
        """`start_response` for a request of this path."""
        own = self.headers
        if path.startswith(self.prefixes):
            own = next(page for prefix, page in self.pages.items() if path.startswith(prefix))

        def start(status: str, headers: list[tuple[str, str]], *error: Any) -> Any:
            said = {name.lower() for name, _ in headers}
            return start_response(status, headers + [header for name, header in own if name not in said], *error)

        return start


def _by_lower_name(headers: Mapping[str, str]) -> list[tuple[str, tuple[str, str]]]:
    return [(name.lower(), (name, value)) for name, value in headers.items()]
