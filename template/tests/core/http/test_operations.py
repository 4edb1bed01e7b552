"""Operations of the OpenAPI document."""

from typing import Any

import pytest

from app.core.http.headers import is_json
from app.core.http.openapi.operations import complete, name_operations
from app.core.problems import Problem
from tests.core.http.api import Route

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
    complete(operation, Problem)
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
    complete(operation, Problem)
    assert operation["responses"].keys() == statuses | {"200"}


def test_patch_is_documented_as_merge_patch() -> None:
    body: dict[str, Any] = {"content": {"application/json": {"schema": {}}}}
    operation: dict[str, Any] = {**DERIVED, "responses": {"412": {}}, "requestBody": body}
    complete(operation, Problem, "patch")
    assert body["content"].keys() == {"application/json", "application/merge-patch+json"}
    assert [parameter["name"] for parameter in operation["parameters"]] == ["If-Match"]


@pytest.mark.parametrize(
    ("method", "media_type", "expected"),
    [
        ("POST", "application/json", True),
        ("POST", "application/vnd.example+json", True),
        ("POST", "text/json", False),
        ("PATCH", "application/json", True),
        ("PATCH", "application/merge-patch+json", True),
        ("PATCH", "application/json-patch+json", False),
    ],
)
def test_patch_reads_only_merge_patches(method: str, media_type: str, *, expected: bool) -> None:
    assert is_json(method, media_type) is expected


def test_operations_have_names_of_functions() -> None:
    def named(*ids: str) -> list[str]:
        paths = {
            f"/api/v1/{number}": {"post": {"operationId": operation_id}} for number, operation_id in enumerate(ids)
        }
        name_operations(paths)
        return [path["post"]["operationId"] for path in paths.values()]

    assert named("create x", "list y") == ["create", "list"]
    assert named("create x", "create y") == ["create_post_api_v1_0", "create_post_api_v1_1"]
    assert named("create", "create y") == ["create", "create_post_api_v1_1"], "the project's own id stays"


def test_operations_of_core_are_described(routes: list[Route]) -> None:
    core = [route for route in routes if route.owner == "core"]
    summaries = {route.name: route.operation["summary"] for route in core}
    assert {name: text for name, text in summaries.items() if not 2 <= len(text.split()) <= 5} == {}
    parameters = [(route.name, found) for route in core for found in route.operation.get("parameters", ())]
    assert len(parameters) > 10
    assert [
        (name, found["name"]) for name, found in parameters if found["in"] != "path" and not found.get("description")
    ] == []
