"""Links to the service's own routes."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

from fastapi import Request


def reverse(
    request: Request, name: str, *, query: Mapping[str, Any] | None = None, fragment: str = "", **path: Any
) -> str:
    """The address of the route called `name`, below this service's root: path, query and fragment, encoded."""
    url = str(request.app.url_path_for(name, **path))
    if query:
        url += f"?{urlencode(query)}"
    if fragment:
        url += f"#{quote(fragment)}"
    return url
