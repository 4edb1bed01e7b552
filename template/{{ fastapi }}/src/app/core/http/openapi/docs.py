"""`/docs` in development: Swagger UI from an installed package, so that the page works offline."""

from importlib.util import find_spec

from fastapi import FastAPI, Request
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse
from fastapi.staticfiles import StaticFiles

from app.core.http.headers import DOCS

FILES = ("fastapi_offline", "static")


def add_docs(app: FastAPI) -> None:
    """Add the page if the development dependency with Swagger UI is installed."""
    if not find_spec(FILES[0]):
        return

    async def docs(request: Request) -> HTMLResponse:
        root = request.scope.get("root_path", "")
        return get_swagger_ui_html(
            openapi_url=f"{root}{app.openapi_url}",
            title=app.title,
            swagger_js_url=f"{root}{DOCS}/swagger-ui-bundle.js",
            swagger_css_url=f"{root}{DOCS}/swagger-ui.css",
            swagger_favicon_url=f"{root}{DOCS}/favicon.png",
        )

    app.add_route(DOCS, docs, include_in_schema=False)
    app.mount(DOCS, StaticFiles(packages=[FILES]))
