"""Values that the schemas of an OpenAPI document allow."""

import re
from collections.abc import Iterator
from typing import Any

FORMATS = {
    "email": "ada@example.com",
    "date": "2026-01-31",
    "date-time": "2026-01-31T12:00:00Z",
    "time": "12:00:00Z",
    "duration": "PT1M",
    "uuid": "7b0f6c8e-3f0e-4c59-9d1c-5a3f0d1b2c3e",
    "uri": "https://example.com/",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "password": "correct horse battery staple",
}
TEXTS = ("a", "1", "A", "a1", "a-b", "aa", "AA", "AAA", *FORMATS.values())
"""Candidates for a string with a pattern. If none matches, the schema must name an example."""
DEPTH = 6
"""Maximum depth of an example: a schema may refer to itself."""


class Examples:
    """Make example values for the schemas of a document."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document

    def resolve(self, schema: dict[str, Any]) -> dict[str, Any]:
        """Return the schema that a reference points to."""
        while "$ref" in schema:
            schema = self.document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        return schema

    def of(self, schema: dict[str, Any], depth: int = 0) -> Any:
        """Return a valid value with all optional fields, or None if no value is found."""
        if depth > DEPTH:
            return None
        return next((value for value in self._candidates(self.resolve(schema), depth) if value is not None), None)

    def _candidates(self, schema: dict[str, Any], depth: int) -> Iterator[Any]:
        yield from (schema.get(key) for key in ("example", "const", "default"))
        yield from (schema[key][0] for key in ("examples", "enum") if schema.get(key))
        yield from (self.of(option, depth) for key in ("anyOf", "oneOf") for option in schema.get(key, []))
        if parts := schema.get("allOf"):
            yield self.of({key: value for part in parts for key, value in self.resolve(part).items()}, depth)
        match schema.get("type"):
            case "object":
                fields = {name: self.of(part, depth + 1) for name, part in schema.get("properties", {}).items()}
                yield {name: value for name, value in fields.items() if value is not None}
            case "array":
                item = self.of(schema.get("items", {}), depth + 1)
                yield [] if item is None else [item] * max(1, schema.get("minItems", 1))
            case "integer" | "number":
                least = schema.get("minimum", schema.get("exclusiveMinimum", 0) + 1)
                value = max(least, min(1, schema.get("maximum", 1)))
                yield int(value) if schema["type"] == "integer" else value
            case "boolean":
                yield False
            case "string":
                yield _text(schema)


def _text(schema: dict[str, Any]) -> str | None:
    texts = [FORMATS[schema["format"]]] if schema.get("format") in FORMATS else TEXTS
    long_enough = (text.ljust(schema.get("minLength", 0), text[-1]) for text in texts)
    return next((text for text in long_enough if re.search(schema.get("pattern", ""), text)), None)
