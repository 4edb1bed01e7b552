"""The development loop of installed renders: `poe dev` reloads what is changed, and applies what is migrated."""

import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import httpx2
import pytest
from conftest import Project, once
from questionnaire import engines
from test_contract import free_port

pytestmark = pytest.mark.deep

ROUTES = {
    "fastapi": """
from fastapi import APIRouter
from app.core import ReadOnly
from app.widgets.models import Widget
from sqlalchemy import func, select

public = APIRouter()


@public.get("/widgets")
async def count(db: ReadOnly) -> str:
    return f"{WORD} {await db.scalar(select(func.count()).select_from(Widget))}"
""",
    "django": """
from django.db import connection
from django.http import HttpRequest
from ninja import Router

public = Router()


@public.get("/widgets")
def count(request: HttpRequest) -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM widgets")
        return f"{WORD} {cursor.fetchone()[0]}"
""",
}
MODELS = {
    "fastapi": """
from app.core import Base
from sqlalchemy.orm import Mapped, mapped_column


class Widget(Base):
    __tablename__ = "widgets"

    id: Mapped[int] = mapped_column(primary_key=True)
""",
    "django": """
from django.db import models


class Widget(models.Model):
    class Meta:
        db_table = "widgets"
""",
}


class Developed:
    """A running `poe dev`, and the folder of a slice that is written meanwhile."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self.slice = project.path / "src/app/widgets"
        self.address = f"http://127.0.0.1:{free_port()}"
        environment = {**project.environment, "PORT": self.address.rpartition(":")[2]}
        self.said = project.path.parent / "dev.log"
        with self.said.open("w") as output:
            command = (project.python(), "-m", "app", "dev")
            self.process = subprocess.Popen(
                command, cwd=project.path, env=environment, stdout=output, stderr=subprocess.STDOUT
            )

    def serves(self, path: str, said: str) -> None:
        """Wait until the path is answered with this text."""
        end = time.monotonic() + 300
        while time.monotonic() < end:
            try:
                last = httpx2.get(self.address + path, timeout=30).text
            except httpx2.HTTPError as error:
                last = str(error)
            if said in last:
                return
            time.sleep(0.02)
        pytest.fail(f"{path} answers {last}\n{self.said.read_text()}")

    def write(self, name: str, text: str) -> None:
        self.slice.mkdir(exist_ok=True)
        (self.slice / "__init__.py").touch()
        (self.slice / name).write_text(text.lstrip())


@pytest.fixture(params=once(engines()))
def developed(installed: Callable[..., Project], request: pytest.FixtureRequest) -> Iterator[Developed]:
    service = Developed(installed(**request.param))
    try:
        yield service
    finally:
        service.process.send_signal(signal.SIGINT)
        service.process.wait(timeout=60)
        shutil.rmtree(service.slice, ignore_errors=True)


def test_dev_server_reloads_code_and_models(developed: Developed) -> None:
    framework = "django" if (developed.project.path / "manage.py").exists() else "fastapi"
    routes, models = (kind[framework] for kind in (ROUTES, MODELS))
    developed.serves("/health/live", "ok")

    developed.write("models.py", models)
    developed.write("routes.py", routes.replace("{WORD}", "first"))
    written = developed.project.run_inside("python", "-m", "app", "revision", "Add widgets")
    assert re.search(r"^Wrote src/app/widgets/migrations/\S+\.py$", written, re.MULTILINE)
    developed.serves("/api/v1/widgets", "first 0")

    developed.write("routes.py", routes.replace("{WORD}", "second").replace("return", "return ("))
    developed.write("routes.py", routes.replace("{WORD}", "third"))
    developed.serves("/api/v1/widgets", "third 0")

    migration = next((developed.slice / "migrations").glob("*0001*.py"))
    assert "widgets" in migration.read_text()


def test_error_of_broken_code_is_the_response(developed: Developed) -> None:
    developed.serves("/health/live", "ok")
    elsewhere = developed.project.path / "widgets"
    elsewhere.mkdir()
    (elsewhere / "__init__.py").touch()
    (elsewhere / "routes.py").write_text("def broken(:\n")
    elsewhere.rename(developed.slice)  # the watcher reports the folder, and not its files
    sentence = "The slice 'widgets' does not load: SyntaxError: "
    developed.serves("/health/live", sentence)
    said = developed.said.read_text()
    assert sentence in said
    assert "Traceback" not in said
    shutil.rmtree(developed.slice)
    developed.serves("/health/live", "ok")


def test_shells_open_the_development_database(developed: Developed) -> None:
    developed.serves("/health/ready", "ok")
    python = developed.project.python()
    selected = developed.project.run(python, "-m", "app", "db", "--tuples-only", "-c", "SELECT count(*) FROM users")
    assert selected.strip().isdigit()


@pytest.mark.parametrize("answers", once(engines()))
def test_tests_run_with_debugger_and_from_their_folder(
    installed: Callable[..., Project], answers: dict[str, str]
) -> None:
    service = installed(**answers)
    assert " passed" in service.run_inside("pytest", "-q", "--pdb", "tests/core/test_settings.py")
    python, folder = service.python(), service.path / "tests"
    assert " passed" in replace(service, path=folder).run(
        python, "-m", "pytest", "-q", "--numprocesses=0", "core/test_settings.py", "core/accounts/test_user_storage.py"
    )
    assert not (folder / ".postgres").exists(), "one server serves every folder"
