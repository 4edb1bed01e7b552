"""Each slice can be deleted, and the tests of core check a new slice of the user."""

import re
import shutil
from collections.abc import Callable, Iterator

import pytest
from conftest import Project, once
from questionnaire import choices, typed

pytestmark = pytest.mark.deep

ENGINES = {
    f"slices-{framework}": {"framework": framework, "features": typed(choices("features"))}
    for framework in ("fastapi", "django")
}
QUICK = ("pytest", "-q", "--no-header", "-m", "not slow and not engines", "--ignore-glob=*_properties.py")
# Each run is short: a second worker of pytest-xdist would take longer to start than it helps.
MANAGED = (
    "pytest",
    "-q",
    "--no-header",
    "-n0",
    "tests/core/http/test_access.py",
    "tests/core/http/test_attacks.py",
    "tests/core/accounts/test_personal_data.py",
    "tests/core/database/test_migrations.py",
    "tests/core/test_settings.py",
    "tests/core/test_slices.py",
)
# Imports all tests, but runs only those of MANAGED; tests of refused Alembic commands do not depend on slices.
NAMED = " or ".join(path.rpartition("/")[2] for path in MANAGED if path.endswith(".py"))
IMPORTED = (*MANAGED[:4], "-k", f"({NAMED}) and not refused_alembic_command")
NOTES = {
    "fastapi": """
from typing import Annotated

from fastapi import APIRouter, Form, UploadFile, WebSocket
from fastapi.responses import HTMLResponse, PlainTextResponse

from app.core import BaseSchema, PathId, ShortText

router = APIRouter(prefix="/notes")
public = APIRouter()


class Note(BaseSchema):
    text: ShortText
    tags: list[ShortText] = []


@router.put("/{note_id}")
async def replace_note(note_id: PathId, note: Note) -> Note:
    return note


@router.patch("/{note_id}")
async def change_note(note_id: PathId, note: Note) -> Note:
    return note


@router.delete("/{note_id}", status_code=204)
async def delete_note(note_id: PathId) -> None: ...


@router.post("/upload")
async def upload(file: UploadFile, label: Annotated[ShortText, Form()]) -> dict[str, str]:
    return {"label": label, "size": str(file.size)}


@router.get("/export", response_class=PlainTextResponse)
async def export() -> str:
    return "text"


@public.get("/pages/notes", response_class=HTMLResponse)
async def page() -> str:
    return "<p>A page.</p>"


@public.websocket("/notes/live")
async def live(socket: WebSocket) -> None:
    await socket.accept()
    await socket.close()
""",
    "django": """
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from ninja import File, Form, Router, UploadedFile

from app.core import BaseSchema, PathId, ShortText

router = Router()
public = Router()


def says(kind: str) -> dict[str, object]:
    return {"responses": {200: {"description": "OK", "content": {kind: {}}}}}


class Note(BaseSchema):
    text: ShortText
    tags: list[ShortText] = []


@router.post("/notes/upload", response=dict[str, str])
@transaction.atomic
def upload(request: HttpRequest, file: File[UploadedFile], label: Form[ShortText]) -> dict[str, str]:
    return {"label": label, "size": str(file.size)}


@router.get("/notes/export", openapi_extra=says("text/plain"))
def export(request: HttpRequest) -> HttpResponse:
    return HttpResponse("text", content_type="text/plain")


@public.get("/pages/notes", openapi_extra=says("text/html"))
def page(request: HttpRequest) -> HttpResponse:
    return HttpResponse("<p>A page.</p>", content_type="text/html")


@router.put("/notes/{note_id}", response=Note)
@transaction.atomic
def replace_note(request: HttpRequest, note_id: PathId, note: Note) -> Note:
    return note


@router.patch("/notes/{note_id}", response=Note)
@transaction.atomic
def change_note(request: HttpRequest, note_id: PathId, note: Note) -> Note:
    return note


@router.delete("/notes/{note_id}", response={204: None})
@transaction.atomic
def delete_note(request: HttpRequest, note_id: PathId) -> tuple[int, None]:
    return 204, None
""",
}
SETTINGS = """
from pydantic import Field

from app.core import Environment


class Settings(Environment):
    notes_limit: int = Field(default=10, description="notes that a user may have")
"""


@pytest.fixture(params=once(ENGINES))
def service(installed: Callable[..., Project], request: pytest.FixtureRequest) -> Iterator[Project]:
    """Yield an installed service of each framework with all features, and restore it afterwards."""
    service = installed(**request.param)
    yield service
    service.run("git", "reset", "--quiet", "--hard")
    service.run("git", "clean", "--quiet", "--force", "-dx", "src", "tests", "docs")


def slices(service: Project) -> dict[str, set[str]]:
    """Return the remaining slices, each with the slices that it or its tests import."""
    found = {path.parent.name for path in (service.path / "src/app").glob("*/__init__.py")} - {"core"}
    imports: dict[str, set[str]] = {}
    for name in found:
        files = [path for folder in ("src/app", "tests") for path in (service.path / folder / name).rglob("*.py")]
        text = "\n".join(path.read_text() for path in files)
        imports[name] = (set(re.findall(r"^\s*from (?:app|tests)\.(\w+)", text, re.MULTILINE)) & found) - {name}
    return imports


def test_suite_passes_after_each_deleted_slice(service: Project) -> None:
    shutil.rmtree(service.path / "docs")
    for page in ("AGENTS.md", "CONTRIBUTING.md", "SECURITY.md"):
        (service.path / page).unlink()
    deleted = []
    while left := slices(service):
        name = min(left.keys() - set().union(*left.values()))
        for folder in ("src/app", "tests"):
            shutil.rmtree(service.path / folder / name)
        deleted.append(name)
        # Import all tests, and run those that inspect the slices of the project. The whole suite runs at the end.
        printed = service.run_inside(*IMPORTED)
        assert re.search(r"\d\d passed, \d+ deselected", printed), f"after {deleted}: {printed}"
    assert len(deleted) >= 6
    service.run_inside("poe", "check")


def test_managed_tests_check_an_own_slice(service: Project) -> None:
    framework = "django" if (service.path / "manage.py").exists() else "fastapi"
    folder = service.path / "src/app/notes"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "settings.py").write_text(SETTINGS)
    routes = folder / "routes.py"
    routes.write_text(NOTES[framework])

    printed = service.run_inside(*MANAGED, fails=True)
    said = (
        "GET /api/v1/pages/notes answers without a token. If that is meant, "
        'add to tests/notes/access.toml, under [public]: "GET /api/v1/pages/notes" = "the reason".'
    )
    assert said in printed
    assert "\n1 failed, " in printed

    access = service.path / "tests/notes/access.toml"
    access.parent.mkdir()
    line = re.findall(r'"GET /api/v1/pages/notes" = "the reason"', printed)[0]
    access.write_text(f"[public]\n{line}\n")
    service.run_inside(*QUICK, "tests/core")
    service.run_inside(*MANAGED, "-m", "slow")

    access.write_text(f"[public]\n{line}\n[admin]\n" + '"PUT /api/v1/notes/{note_id}" = "a mistake"\n')
    printed = service.run_inside(*MANAGED[:5], fails=True)
    assert "PUT /api/v1/notes/{note_id} (src/app/notes) accepts a token without the scope 'admin'" in printed
