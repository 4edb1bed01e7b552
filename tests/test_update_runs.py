"""Untouched and edited projects are updated over a release that changes all of core, and still run.

The updated project passes its own checks on a database with rows of the old release.
"""

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import COPIER, TOOLS, Project, data, release
from questionnaire import choices, typed
from test_contract import PASSWORD, serve, stop
from test_growth import slice_of_the_readme

pytestmark = pytest.mark.deep

PUBLIC = {"jobs", "mail", "pipeline"}
"""Packages of core with a public `__init__`: they keep their path, and their modules move."""

KEPT = {"__init__", "__main__", "commands", "settings", "testing", "urls"}
"""Modules of core that are public, or have a path that a project's tools contain."""

DETAIL, NEW_DETAIL = "The e-mail address or the password is wrong.", "This log-in failed."

FEATURES = "[example, jobs]"

SLICES = ("notes", "bills", "carts", "plans", "tasks")


def packages(template: Path) -> set[str]:
    folders = {path.parent for path in template.rglob("*.py") if "core" in path.parts and "src" in path.parts}
    return {folder.name for folder in folders if folder.parent.name == "core"} - {"migrations"}


def moved(template: Path) -> dict[str, str]:
    """Return a new path for each module of core, dotted, below `app.core`."""
    new: dict[str, str] = {}
    for path in template.rglob("src/app/core/**/*.py"):
        *folders, module = path.with_suffix("").parts[path.parts.index("core") + 1 :]
        if "migrations" in folders:
            continue
        if folders and folders[0] not in PUBLIC:
            new[folders[0]] = f"{folders[0]}_2"
        elif module not in KEPT | {"apps", "models", "jobs"}:
            new[".".join([*folders, module])] = ".".join([*folders, f"{module}_2"])
    return new


def move_core(template: Path) -> None:
    """Rename every package and module of core that is not public."""
    new = moved(template)
    for old in sorted(new, key=len, reverse=True):
        for path in list(template.rglob(f"src/app/core/{old.replace('.', '/')}")):
            path.rename(path.with_name(f"{path.name}_2"))
        for path in list(template.rglob(f"src/app/core/{old.replace('.', '/')}.py")):
            path.rename(path.with_name(f"{path.stem}_2.py"))
    names = "|".join(re.escape(old) for old in sorted(new, key=len, reverse=True))
    dotted = re.compile(rf"(?<=app\.core\.)({names})(?!\w)")
    slashed = re.compile(rf"(?<=src/app/core/)({names.replace(r'\.', '/')})(?=[/.])")
    imported = re.compile(r"(?m)^(\s*)from app\.core(\.\w+)? import (.+)$")

    def whole(match: re.Match[str]) -> str:
        package = (match[2] or "")[1:]
        parts = []
        for part in match[3].split(", "):
            name, _, alias = part.partition(" as ")
            found = new.get(f"{package}.{name}" if package else name)
            parts.append(f"{found.rpartition('.')[2]} as {alias or name}" if found else part)
        return f"{match[1]}from app.core{match[2] or ''} import {', '.join(parts)}"

    [config] = template.rglob("src/app/core/config_2.py")
    config.write_text(config.read_text().replace('"http" / "about.toml"', '"http_2" / "about.toml"'))
    for path in template.rglob("*"):
        if path.is_file() and path.suffix in {".py", ".jinja", ".md", ".yaml", ".yml", ".toml"}:
            text = path.read_text()
            changed = imported.sub(whole, text) if path.suffix == ".py" else text
            changed = slashed.sub(lambda match: new[match[0].replace("/", ".")].replace(".", "/"), changed)
            changed = dotted.sub(lambda match: new[match[0]], changed)
            if path.name == "__init__.py":
                changed = move_lazy_names(changed, path.parent.name, new)
            if changed != text:
                path.write_text(changed)


def move_lazy_names(text: str, package: str, new: dict[str, str]) -> str:
    """Rename the modules in the lazy facades of core and of its public packages."""
    if package == "core":
        names = "|".join(re.escape(old) for old in sorted(new, key=len, reverse=True))
        return re.sub(rf'(?<=")({names})(?=[".])', lambda match: new[match[0]], text)
    if package in PUBLIC:
        return re.sub(
            r'(?<=")\w+(?=": \[)', lambda match: new.get(f"{package}.{match[0]}", match[0]).rpartition(".")[2], text
        )
    return text


def lock_users(template: Path) -> None:
    """Add a column to the users of core, with its migration, in both engines. It is NOT NULL: old rows get a value."""
    fastapi, django = (template / f"{{{{ {framework} }}}}/src/app/core" for framework in ("fastapi", "django"))
    [models] = fastapi.glob("accounts*/models*.py")
    plant(models, "    is_active:", "    locked: Mapped[bool] = mapped_column(server_default=false())\n    is_active:")
    *_, last = sorted(fastapi.glob("accounts*/migrations/*.py"))
    revision = re.findall(r'^revision = "(\w+)"', last.read_text(), re.MULTILINE)[0]
    last.with_name("0099_planted.py").write_text(
        f'''"""Lock users.

Revision ID: planted
Revises: {revision}
"""

import sqlalchemy as sa
from alembic import op

revision = "planted"
down_revision = "{revision}"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("users", sa.Column("locked", sa.Boolean(), server_default=sa.false(), nullable=False))


def downgrade() -> None:
    op.drop_column("users", "locked")
'''
    )
    [models] = django.glob("accounts*/models*.py")
    plant(models, "    is_active =", "    locked = BooleanField(default=False, db_default=False)\n    is_active =")
    *_, last = sorted(django.glob("accounts*/migrations/0*.py"))
    last.with_name("0099_planted.py").write_text(
        f"""from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("core_accounts", "{last.stem}"),
    ]

    operations = [
        migrations.AddField(
            model_name="user",
            name="locked",
            field=models.BooleanField(db_default=False, default=False),
        ),
    ]
"""
    )


def another_log_in(template: Path) -> None:
    """Refuse the log-in of locked users, with a new detail, in both frameworks and their tests."""
    checks = {"fastapi": "user.is_active else None", "django": "and user.is_active:"}
    for framework, check in checks.items():
        [service] = (template / f"{{{{ {framework} }}}}").rglob("src/app/core/accounts/auth/service.py")
        plant(service, check, check.replace("user.is_active", "user.is_active and not user.locked"))
    paths = [path for path in template.rglob("*.py") if DETAIL in path.read_text()]
    assert {path.name for path in paths} >= {"access.py", "test_auth.py"}
    for path in paths:
        path.write_text(path.read_text().replace(DETAIL, NEW_DETAIL))


def plant(path: Path, before: str, after: str) -> None:
    text = path.read_text()
    assert before in text, f"{path.name}: {before}"
    path.write_text(text.replace(before, after, 1))


@pytest.fixture(scope="session")
def two_releases(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Release the working tree, and then a release that moves and changes all of core."""
    folder = tmp_path_factory.mktemp("moving") / "template"
    origin = Project(shutil.copytree(template, folder, ignore=shutil.ignore_patterns(".git")))
    release(folder, "v1.0.0")
    lock_users(folder / "template")
    another_log_in(folder / "template")
    move_core(folder / "template")
    origin.run(
        TOOLS / "ruff", "check", "--quiet", "--no-cache", "--isolated", "--select=I", "--fix", *IMPORTS, "template"
    )
    origin.run(TOOLS / "ruff", "format", "--quiet", "--no-cache", "--isolated", "--line-length=120", "template")
    release(folder, "v1.1.0")
    return origin


IMPORTS = ("--line-length=120", "--config=src=['.', 'src']", "--config=lint.isort.known-first-party=['app', 'tests']")


@pytest.fixture(
    params=[
        pytest.param(framework, marks=pytest.mark.xdist_group(f"updated-{framework}"))
        for framework in ("fastapi", "django")
    ]
)
def service(
    two_releases: Project, install: Callable[[Project], Project], workshop: Path, request: pytest.FixtureRequest
) -> Iterator[Project]:
    """Return an untouched project of the older release."""
    path = workshop / f"updated-{request.param}" / "my-service"
    service = Project(path)
    path.mkdir(parents=True)
    given = data({"framework": request.param, "features": FEATURES})
    service.run(COPIER, "copy", "--defaults", "--quiet", "--vcs-ref=v1.0.0", *given, two_releases.path, ".")
    service = install(service)
    service.commit("Render")
    yield service
    shutil.rmtree(path.parent)


def edit(service: Project) -> None:
    """Write five slices, use the files that are the user's, and give profiles a column."""
    framework = "django" if (service.path / "manage.py").exists() else "fastapi"
    for name in SLICES:
        for file, code in slice_of_the_readme(service).items():
            own = service.path / file.replace("notes", name)
            own.parent.mkdir(parents=True, exist_ok=True)
            words = code.replace("notes", name).replace("note", name[:-1])
            own.write_text(words.replace("Notes", name.title()).replace("Note", name[:-1].title()))
    wire(service, framework)
    profiles = service.path / "src/app/profiles"
    plant(profiles / "models.py", "    time_zone", f"    {COMPANY[framework]}\n    time_zone")
    schemas = profiles / "schemas.py"
    for field in ("time_zone: TimeZone | None = None", "time_zone: str | None\n"):
        plant(
            schemas,
            f"    {field}",
            f"    {field.replace('time_zone', 'company').replace('TimeZone', 'ShortText')}\n    {field}",
        )
    with (service.path / "src/app/notes/listeners.py").open("a") as text:
        text.write(LISTENER[framework])
    plant(service.path / "src/app/notes/listeners.py", "erased\n", "erased, registered\n")
    service.run_inside("poe", "revision", "own tables")
    service.run_inside("poe", "fmt")
    changed = service.run("git", "status", "--porcelain", "src/app/profiles").split()[1::2]
    assert len(changed) == 3, "models, schemas and a migration"
    service.commit("Add slices")


COMPANY = {
    "fastapi": "company: Mapped[str | None] = mapped_column(Text)",
    "django": "company = CharField(max_length=200, null=True, blank=True)",
}

LISTENER = {
    "fastapi": '''

@registered.connect
async def keep_first_note(session: WriteSession, user: User) -> None:
    """Keep a note for a new user."""
    await NoteRepository(session).create({"user_id": user.id, "text": "Welcome"})
''',
    "django": '''

@receiver(registered)
def keep_first_note(user: User, **_: Any) -> None:
    """Keep a note for a new user."""
    NoteRepository().create({"user_id": user.id, "text": "Welcome"})
''',
}

ADMIN = '''"""Notes in the admin."""

from django.contrib import admin

from app.notes.models import Note


@admin.register(Note)
class NoteAdmin(admin.ModelAdmin):
    """Notes."""

    list_display = ("text", "user")
'''


MAIN = '''"""The application: core's, with a middleware of our own."""

from fastapi import FastAPI
from starlette.middleware.gzip import GZipMiddleware

from app.core import Settings
from app.core import create_app as create_core_app


def create_app(settings: Settings | None = None) -> FastAPI:
    """Return the application, which compresses long answers."""
    app = create_core_app(settings)
    app.add_middleware(GZipMiddleware, minimum_size=100_000)
    return app
'''

SETTINGS = '''"""The settings of core, and three applications of others."""

from app.core.settings import *

INSTALLED_APPS += ["allauth", "allauth.account", "debug_toolbar", "django_filters"]
MIDDLEWARE += ["allauth.account.middleware.AccountMiddleware", "debug_toolbar.middleware.DebugToolbarMiddleware"]
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*", "password2*"]
'''

URLS = '''"""The URLs of core, and the pages of others."""

from debug_toolbar.toolbar import debug_toolbar_urls
from django.urls import include, path

from app.core.urls import *

urlpatterns += [path("accounts/", include("allauth.urls")), *debug_toolbar_urls()]
'''

APPLICATIONS = ("django-allauth", "django-debug-toolbar", "django-filter")


def wire(service: Project, framework: str) -> None:
    """Use the user's files for their purpose."""
    app = service.path / "src/app"
    if framework == "fastapi":
        (app / "main.py").write_text(MAIN)
    else:
        (app / "settings.py").write_text(SETTINGS)
        (app / "urls.py").write_text(URLS)
        (app / "notes/admin.py").write_text(ADMIN)
        service.run("uv", "add", "--quiet", *APPLICATIONS)
        with (service.path / "pyproject.toml").open("a") as text:
            text.write('\n[[tool.mypy.overrides]]\nmodule = ["allauth.*"]\nignore_missing_imports = true\n')


PROFILE = {"display_name": "Ada", "phone": None, "locale": "en", "time_zone": "UTC"}


def fill(service: Project, **profile: str) -> None:
    """Register Ada with a profile, on the older release."""
    live = serve(service, "dev")
    try:
        live.register("ada")
        made = live.client.put("/api/v1/users/me/profile", json=PROFILE | profile, headers=live.headers("ada"))
        assert made.status_code == 201, made.text
    finally:
        stop(live)


def update(service: Project, *options: str) -> None:
    service.run(COPIER, "update", "--defaults", "--quiet", *options)
    assert service.run("git", "diff", "--diff-filter=U", "--name-only") == "", "no conflict"
    assert not list((service.path / "src/app/core/http").rglob("*.py"))
    service.run("uv", "sync", "--quiet")


def check_accounts(service: Project, **profile: str) -> None:
    """Log in to the newer release, which has migrated the tables, and find the profile of the older release."""
    live = serve(service, "dev")
    try:
        wrong = {"grant_type": "password", "username": "ada@example.com", "password": "not the password"}
        assert live.client.post("/api/v1/auth/token", data=wrong).json()["detail"] == NEW_DETAIL
        ada = live.headers("ada")
        found = live.client.get("/api/v1/users/me/profile", headers=ada).json()
        assert found == PROFILE | profile
        live.register("grace")
        if profile:
            notes = live.client.get("/api/v1/notes", headers=live.headers("grace")).json()
            assert [note["text"] for note in notes["items"]] == ["Welcome"], "of the project's own listener"
        assert service.run_inside("python", "-c", LOCK).splitlines()[-1] == "[('ada', False), ('grace', False)]"
        locked = {"grant_type": "password", "username": "ada@example.com", "password": PASSWORD}
        assert live.client.post("/api/v1/auth/token", data=locked).json()["detail"] == NEW_DETAIL
        assert live.log_in("grace")
    finally:
        stop(live)


LOCK = """
import os
from app.core.database_2.embedded import ensure_database

ensure_database()
import psycopg

with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
    print(connection.execute("SELECT name, locked FROM users ORDER BY id").fetchall())
    connection.execute("UPDATE users SET locked = true WHERE id = 1")
"""


def managed(project: Project) -> dict[Path, bytes]:
    folders = [project.path / folder for folder in ("src/app/core", "tests/core", "docs")]
    paths = [path for folder in folders for path in folder.rglob("*") if "__pycache__" not in path.parts]
    return {path.relative_to(project.path): path.read_bytes() for path in paths if path.is_file()}


def test_untouched_project_needs_no_manual_step(service: Project, two_releases: Project, tmp_path: Path) -> None:
    """After the update, the template's files equal those of a new project. The edited project runs `poe check`."""
    fill(service)
    update(service)
    framework = "django" if (service.path / "manage.py").exists() else "fastapi"
    new = Project(tmp_path / "my-service")
    given = data({"framework": framework, "features": FEATURES})
    Project(tmp_path).run(COPIER, "copy", "--defaults", "--quiet", *given, two_releases.path, new.path)
    updated, expected = managed(service), managed(new)
    assert {path for path in updated | expected if updated.get(path) != expected.get(path)} == set()
    check_accounts(service)
    check_itself(service, "-m", "not slow")


def test_slices_of_the_user_pass_after_core_moves(service: Project) -> None:
    """Includes models and the facade. Rows of the older release stay in the database."""
    edit(service)
    fill(service, company="Analytical Engines")
    features = typed(choices("features"))
    update(service, f"--data=features={features}")
    wiring = [f"src/app/{name}.py" for name in ("main", "settings", "urls")]
    own = [f"{folder}/{name}" for folder in ("src/app", "tests") for name in (*SLICES, "profiles")]
    service.run("git", "diff", "--exit-code", "--", *own, *wiring)
    check_accounts(service, company="Analytical Engines")
    check_itself(service, "-m", "not engines")


def check_itself(service: Project, *of_pytest: str) -> None:
    service.run_inside("ruff", "check")
    service.run_inside("mypy")
    service.run_inside("lint-imports")
    service.run_inside("pytest", "-q", *of_pytest)
