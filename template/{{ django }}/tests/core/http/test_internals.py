"""The undocumented names of django-ninja that core uses. Because of them, pyproject.toml limits its version."""

import re
from importlib.metadata import version
from pathlib import Path

from django.http import HttpRequest
from ninja import NinjaAPI, Router
from ninja.openapi.schema import OpenAPISchema
from ninja.params.models import Form, FormModel

from app import core

DOCUMENTED = {"ninja.decorators", "ninja.errors", "ninja.parser", "ninja.renderers"}

IMPORTED = {
    "ninja.constants.NOT_SET",
    "ninja.openapi.schema.OpenAPISchema",
    "ninja.operation.Operation",
    "ninja.operation.PathView",
    "ninja.params.models",
    "ninja.params.models.QueryModel",
    "ninja.signature.details.is_pydantic_model",
    "ninja.utils.contribute_operation_args",
}


def require(owner: object, *names: str) -> None:
    kind = owner if isinstance(owner, type) else type(owner)
    missing = [name for name in names if not hasattr(owner, name)]
    assert not missing, (
        f"django-ninja {version('django-ninja')} has no {', '.join(missing)} in {kind.__module__}.{kind.__name__}."
        " app.core.http uses it: keep an older version in pyproject.toml."
    )


def things(request: HttpRequest, name: str) -> str:
    return name


def test_internal_names_exist() -> None:
    router = Router()
    require(router, "auth", "path_operations", "tags")
    router.get("/things")(things)
    [view] = router.path_operations.values()
    require(view, "operations")
    [operation] = view.operations
    require(operation, "auth_callbacks", "auth_param", "by_alias", "clone", "methods", "models", "tags", "view_func")
    [query] = operation.models
    require(query, "__ninja_flatten_map__", "__ninja_param_source__")
    require(FormModel, "_map_data_paths", "get_request_data")
    require(Form, "_model")
    require(NinjaAPI, "get_content_type", "validation_error_from_error_contexts")
    document = OpenAPISchema(NinjaAPI(), "")
    require(document, "add_schema_definitions", "operation_security", "request_body", "securitySchemes")


def test_imported_names_are_listed() -> None:
    found = set()
    imports = re.compile(r"^ *from (ninja\.[\w.]+) import (.+)$", re.MULTILINE)
    for path in Path(*core.__path__).rglob("*.py"):
        for module, names in imports.findall(path.read_text("utf-8")):
            found |= {f"{module}.{name.split()[0]}" for name in names.split(", ") if module not in DOCUMENTED}
    assert found == IMPORTED
