"""The OpenAPI document: django-ninja's, with the common responses of all operations."""

import json
from typing import Any, NoReturn

from django.http import HttpRequest, RawPostDataException
from django.urls import get_script_prefix
from ninja import NinjaAPI
from ninja.errors import HttpError, ValidationErrorContext
from ninja.openapi.schema import OpenAPISchema
from ninja.operation import Operation
from ninja.params import models as params
from ninja.parser import Parser
from ninja.renderers import BaseRenderer
from ninja.signature.details import is_pydantic_model
from pydantic_core import to_json

from app.core.http.errors import error_body
from app.core.http.headers import is_json
from app.core.http.openapi.operations import (
    API_KEYS,
    REFERENCE,
    complete,
    describe_token,
    error_schemas,
    name_operations,
    problem_response,
)
from app.core.problems import BadRequest, FieldError, Unprocessable, UnsupportedMediaType


def problem_responses(*statuses: int, also: dict[int, Any] | None = None) -> dict[str, Any]:
    """Return the `openapi_extra` of a route that answers these statuses with an error."""
    return {"responses": {status: problem_response(status) for status in statuses} | (also or {})}


class JSONRenderer(BaseRenderer):
    """Renders JSON with Pydantic: decimals as strings, times in UTC with a `Z`."""

    media_type = "application/json"

    def render(self, request: HttpRequest, data: Any, *, response_status: int) -> bytes:
        return to_json(data)


class JSONParser(Parser):
    """Parses bodies with a JSON content type. Raises UnsupportedMediaType for other bodies."""

    def parse_body(self, request: HttpRequest) -> Any:
        if not is_json(request.method, request.content_type or ""):
            raise UnsupportedMediaType
        try:
            return json.loads(request.body)
        except json.JSONDecodeError:
            raise Unprocessable(FieldError(pointer="/body", message="JSON decode error")) from None
        except (ValueError, RecursionError):  # not UTF-8, a number with thousands of digits, or deep nesting
            raise BadRequest from None


class FormModel(params.FormModel):
    """A form as one schema, which gets all sent fields, so that unknown fields are refused."""

    @classmethod
    def get_request_data(cls, request: HttpRequest, api: NinjaAPI, path_params: dict[str, Any]) -> dict[str, Any]:
        if request.content_type not in {"application/x-www-form-urlencoded", "multipart/form-data"}:
            raise UnsupportedMediaType
        return {name: request.POST.dict() for name in cls.model_fields}

    @classmethod
    def _map_data_paths(cls, data: dict[str, Any]) -> dict[str, Any]:
        return data


class Form(params.Form):  # type: ignore[misc]  # like django-ninja's own
    """Marks the schema of a form: `form: Annotated[TokenForm, Form(...)]`."""

    _model = FormModel


class API(NinjaAPI):
    """NinjaAPI without error handling: errors must reach the transaction, which rolls back, and then `errors.py`."""

    def on_exception(self, request: HttpRequest, exc: Any) -> NoReturn:
        # A middleware has read the form, such as django-ninja's for uploads by PUT, and the route reads JSON.
        if isinstance(exc, RawPostDataException) and not is_json(request.method, request.content_type or ""):
            raise UnsupportedMediaType from None
        # django-ninja wraps errors of the parser: raise the original error. An HttpError of a view stays unchanged.
        parsing = isinstance(exc, HttpError) and exc.message.startswith("Cannot parse request body")
        raise exc.__cause__ if parsing and exc.__cause__ else exc

    def validation_error_from_error_contexts(self, error_contexts: list[ValidationErrorContext[Any]]) -> NoReturn:
        raise Unprocessable.from_pydantic(
            {**error, "loc": _location(context.model, error["loc"])}
            for context in error_contexts
            for error in context.pydantic_validation_error.errors(include_url=False, include_input=False)
        )

    get_content_type = JSONRenderer.media_type.__str__  # without a charset, which JSON does not have

    def get_openapi_operation_id(self, operation: Operation) -> str:
        return f"{operation.view_func.__name__} {id(operation)}"

    def get_openapi_schema(self, **_: Any) -> OpenAPISchema:
        document = Document(self, "")
        models = document["components"]["schemas"]
        models |= error_schemas(error_body())
        for path in document["paths"].values():
            path.pop("head", None)  # every GET answers HEAD
        describe_token(document)
        name_operations(document["paths"])
        for path in document["paths"].values():
            for method, operation in path.items():
                complete(operation, error_body(), method)
                if not operation["parameters"]:
                    del operation["parameters"]
        text = json.dumps(document)
        for name in [name for name in models if f'"{REFERENCE.format(model=name)}"' not in text]:
            del models[name]  # unused: for example, models of query parameters, which are listed one by one
        document["servers"] = [{"url": root}] if (root := get_script_prefix().rstrip("/")) else []
        if not document["servers"]:
            del document["servers"]
        return document


class Document(OpenAPISchema):
    """django-ninja's document, with the schemas of forms, and with the names of security schemes."""

    def request_body(self, operation: Operation) -> dict[str, Any]:
        body: dict[str, Any] = super().request_body(operation)
        for form in (model for model in operation.models if issubclass(model, FormModel)):
            [kind] = [field.annotation for field in form.model_fields.values()]
            schema = kind.model_json_schema(ref_template=REFERENCE)
            self.add_schema_definitions(schema.pop("$defs", {}) | {schema["title"]: schema})
            for content in body["content"].values():
                content["schema"] = {"$ref": REFERENCE.format(model=schema["title"])}
        return body

    def operation_security(self, operation: Operation) -> list[dict[str, Any]] | None:
        named = [scheme for scheme in operation.auth_callbacks if hasattr(scheme, "model")]
        self.securitySchemes |= {scheme.name: dict(scheme.model) for scheme in named}  # type: ignore[attr-defined]
        self.securitySchemes |= API_KEYS
        # An empty requirement makes the other one optional.
        found: list[dict[str, Any]] = [{} for scheme in named if getattr(scheme, "is_optional", False)]
        found += [{scheme.name: []} for scheme in named]  # type: ignore[attr-defined]
        if any(getattr(scheme, "accepts_keys", False) for scheme in named):
            found += [{name: []} for name in API_KEYS]
        return found + (super().operation_security(operation) or []) or None  # security classes of django-ninja


def _location(model: type[params.ParamModel], location: tuple[str | int, ...]) -> tuple[str | int, ...]:
    """Return the location of an error in the request, without the parameter name that the view uses for a schema."""
    source = model.__ninja_param_source__
    first, *rest = location
    if source in {"body", "form"}:
        return ("body", *rest)
    field = model.model_fields.get(str(first))
    return (source, *(rest if field and is_pydantic_model(field.annotation) else location))
