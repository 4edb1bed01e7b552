"""Routes of the OpenAPI document, example requests, and the declarations of `access.toml`.

The tests of every route use this module, so that they also cover the slices of a project.
"""

import asyncio
import re
import tomllib
from collections.abc import Awaitable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import httpx2
import pytest

from tests.core.http.examples import Examples

TESTS = Path(__file__).parents[2]
JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data"
RESPONSE_SECONDS = 30
Place = tuple[str | int, ...]
"""The place of a value in a request: `("query", "page")`, `("body", "lines", 0, "note")`."""


class Route(NamedTuple):
    """One operation of the OpenAPI document, and the slice (or `core`) that defines it."""

    method: str
    path: str
    owner: str
    operation: dict[str, Any]
    document: dict[str, Any]

    @property
    def name(self) -> str:
        """The name in `access.toml`, such as `GET /api/v1/users`."""
        return f"{self.method} {self.path}"

    @property
    def where(self) -> str:
        """The route and its folder, for failure messages."""
        return f"{self.name} (src/app/{self.owner})"

    @property
    def asks_for_a_token(self) -> bool:
        schemes = self.operation.get("security", [])
        # An empty scheme makes the token optional.
        return bool(schemes) and all({"token", "key"} & scheme.keys() for scheme in schemes)

    @property
    def ends(self) -> bool:
        """True if the response ends: an event stream does not."""
        return not any("text/event-stream" in kinds for kinds in self.media_types.values())

    @property
    def media_types(self) -> dict[str, set[str]]:
        """The documented media types of each status."""
        return {status: set(found.get("content", {})) for status, found in self.operation["responses"].items()}

    @property
    def body_type(self) -> str | None:
        kinds = self.operation.get("requestBody", {}).get("content", {})
        return next((kind for kind in (JSON, FORM, MULTIPART, *kinds) if kind in kinds), None)

    def example(self) -> dict[str, Any]:
        """Return valid example values for all documented parameters and for the body."""
        examples = Examples(self.document)
        found: dict[str, Any] = {"path": {}, "query": {}, "header": {}, "cookie": {}}
        for parameter in self.operation.get("parameters", []):
            value = parameter.get("example", examples.of(parameter["schema"]))
            if value is not None:
                found[parameter["in"]][parameter["name"]] = value
        if kind := self.body_type:
            found["body"] = examples.of(self.operation["requestBody"]["content"][kind].get("schema", {}))
        return found

    def url(self, values: Mapping[str, Any] | None = None) -> str:
        """Return the path with these values, or with those of the example."""
        values = self.example()["path"] if values is None else values
        return re.sub(r"{(\w+)}", lambda found: quote(str(values.get(found[1], "1")), safe=""), self.path)

    async def send(
        self, client: httpx2.AsyncClient, headers: Mapping[str, str], values: dict[str, Any] | None = None
    ) -> httpx2.Response:
        """Send a request with these values, or with those of the example; return the response."""
        values = values or self.example()
        sent = {name: str(value) for name, value in values["header"].items()} | dict(headers)
        if values["cookie"]:
            sent["Cookie"] = "; ".join(f"{name}={value}" for name, value in values["cookie"].items())
        url, query = self.url(values["path"]), values["query"]
        content = self._content(values["body"]) if "body" in values else {}
        sent |= content.pop("headers", {})
        return await self.response(client.request(self.method, url, params=query, headers=sent, **content))

    async def response(self, sent: Awaitable[httpx2.Response]) -> httpx2.Response:
        """Await a whole response. If the response does not end, the test fails with advice."""
        try:
            async with asyncio.timeout(RESPONSE_SECONDS):
                return await sent
        except TimeoutError:
            pytest.fail(
                f"{self.where} does not end within {RESPONSE_SECONDS} seconds. If it is a stream of events, name the "
                "media type text/event-stream among the responses of its route: the tests then leave it out."
            )

    def _content(self, body: Any) -> dict[str, Any]:
        """Return the client's arguments that send `body` in the media type of the route."""
        match self.body_type:
            case "application/json":
                return {"json": body}
            case "application/x-www-form-urlencoded":
                return {"data": body}
            case "multipart/form-data":
                schema = Examples(self.document).resolve(self.operation["requestBody"]["content"][MULTIPART]["schema"])
                fields = {name: str(schema["properties"].get(name)) for name in body}
                files = {name for name, found in fields.items() if re.search("'(binary|contentMediaType)'", found)}
                return {"files": {name: ("a.txt" if name in files else None, str(body[name])) for name in body}}
            case kind:
                return {"content": str(body), "headers": {"Content-Type": kind or ""}}


def routes_of(document: dict[str, Any], served: Mapping[str, str]) -> list[Route]:
    """Return the routes of the document. `served` maps the name of a route to its slice."""
    return [
        Route(method.upper(), path, served.get(f"{method.upper()} {path}", "core"), operation, document)
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    ]


def schemas(document: dict[str, Any], part: Any) -> Iterator[dict[str, Any]]:
    """Yield every object schema in `part` of the document, including referenced schemas."""
    seen: set[str] = set()
    parts = [part]
    while parts:
        match parts.pop():
            case {"$ref": str(reference)} if reference not in seen:
                seen.add(reference)
                parts.append(document["components"]["schemas"][reference.rpartition("/")[2]])
            case dict(found):
                if isinstance(found.get("properties"), dict):
                    yield found
                parts.extend(found.values())
            case list(found):
                parts.extend(found)


def error_type(document: dict[str, Any]) -> str:
    """Return the media type of error responses."""
    [kind] = document["paths"]["/health/live"]["get"]["responses"]["500"]["content"]
    return str(kind)


class Declared(NamedTuple):
    file: str
    table: str
    route: str


def declarations(folder: Path = TESTS) -> list[Declared]:
    """Return all lines of `tests/*/access.toml`. A table is `public` (no token needed) or a scope."""
    return [
        Declared(f"tests/{path.parent.name}/{path.name}", table, route)
        for path in sorted(folder.glob("*/access.toml"))
        for table, routes in tomllib.loads(path.read_text("utf-8")).items()
        for route in routes
    ]
