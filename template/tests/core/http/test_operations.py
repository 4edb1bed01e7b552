"""Operations of the OpenAPI document."""

from typing import Any

import pytest

from app.core.http.operations import complete

DERIVED = {"operationId": "list_notes", "summary": "List Notes"}


@pytest.mark.parametrize(
    ("given", "summary", "description"),
    [
        ({"description": "List your notes."}, "List your notes", None),
        ({"description": "List your\nnotes. The newest is first."}, "List your notes", "The newest is first."),
        ({"description": "notes"}, "List Notes", "notes"),
        ({}, "List Notes", None),
        (
            {"summary": "All notes", "description": "List notes. Newest first."},
            "All notes",
            "List notes. Newest first.",
        ),
    ],
)
def test_summary_is_the_first_sentence(given: dict[str, Any], summary: str, description: str | None) -> None:
    operation = {**DERIVED, "responses": {}, **given}
    complete(operation)
    assert (operation["summary"], operation.get("description")) == (summary, description)


@pytest.mark.parametrize(
    ("given", "statuses"),
    [
        ({}, {"400", "500", "503"}),
        ({"tags": ["health"]}, {"400", "500"}),
        ({"security": [{"token": []}], "parameters": [{}]}, {"400", "401", "422", "500", "503"}),
        ({"requestBody": {}}, {"400", "413", "415", "422", "500", "503"}),
    ],
)
def test_common_errors_are_documented(given: dict[str, Any], statuses: set[str]) -> None:
    operation = {**DERIVED, "responses": {200: {}}, **given}
    complete(operation)
    assert operation["responses"].keys() == statuses | {"200"}
