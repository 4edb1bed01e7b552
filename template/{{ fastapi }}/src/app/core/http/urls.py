"""URLs of the service's own routes."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

from fastapi import Request


def reverse(
    request: Request, name: str, *, query: Mapping[str, Any] | None = None, fragment: str = "", **path: Any
) -> str:
    """Return the path of the route `name`, with an encoded query and fragment."""
    url = f"{request.scope.get('root_path', '')}{request.app.url_path_for(name, **path)}"
    if query:
        url += f"?{urlencode(query)}"
    if fragment:
        url += f"#{quote(fragment)}"
    return url
