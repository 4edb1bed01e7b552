"""A copy of a rendered service's code, for tests that the template plants into the service."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.core.slices import PACKAGE
from app.core.testing import Execute, Use

ROOT = Path(__file__).parents[3]


class Copy:
    """A copy of the code, with its own database. Each command runs as a process."""

    def __init__(
        self, path: Path, database_url: str, write_models: Callable[..., str], commands: subprocess.Popen[str]
    ) -> None:
        self.path = path
        self.database_url = database_url
        self.write_models = write_models
        self.commands = commands
        shutil.copytree(PACKAGE, path / "src/app")
        shutil.copy(ROOT / "pyproject.toml", path)

    def write_slice(self, name: str, *columns: str, refers_to: str | None = None) -> Path:
        """Write a slice with a table of its name; returns the folder of its migrations."""
        folder = self.path / "src/app" / name
        folder.mkdir(exist_ok=True)
        (folder / "__init__.py").touch()
        (folder / "models.py").write_text(self.write_models(name, *columns, refers_to=refers_to))
        return folder / "migrations"

    def write_text(self, name: str, models: str) -> Path:
        """Write a slice with this text in models.py; returns the folder of its migrations."""
        folder = self.write_slice(name)
        (folder.parent / "models.py").write_text(models)
        return folder

    def folder(self, name: str) -> Path:
        return self.path / "src/app" / name / "migrations"

    def delete_slice(self, name: str) -> None:
        shutil.rmtree(self.path / "src/app" / name)

    def run(self, *arguments: str, entered: str = "", fails: bool = False) -> str:
        """Run `python -m ARGUMENTS` in the copy; returns what it printed, and checks whether it failed."""
        environment = os.environ | {"DATABASE_URL": self.database_url, "PYTHONPATH": str(self.path / "src")}
        texts = self.path / "entered", self.path / "printed"
        for path, text in zip(texts, (entered, ""), strict=True):
            path.write_text(text)
        command = [str(self.path), arguments, environment, *map(str, texts)]
        assert self.commands.stdin
        assert self.commands.stdout
        print(json.dumps(command), file=self.commands.stdin, flush=True)
        code = int(self.commands.stdout.readline())
        printed = texts[1].read_text()
        assert (code != 0) is fails, printed
        assert "Traceback" not in printed, printed
        return printed


@pytest.fixture(scope="session")
def commands() -> Iterator[subprocess.Popen[str]]:
    program = (sys.executable, Path(__file__).with_name("commands.py"))
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process


@pytest.fixture
def own_database(execute: Execute, use: Use, template: str) -> Iterator[str]:
    """The URL of a migrated database."""
    name = f"slices_{os.getpid()}"
    execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
    with use(path=f"/{name}") as url:
        yield url
    execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture
def code(own_database: str, write_models: Callable[..., str], commands: subprocess.Popen[str], tmp_path: Path) -> Copy:
    """A copy of the code, on a migrated database."""
    return Copy(tmp_path, own_database, write_models, commands)


def revisions(folder: Path) -> list[str]:
    return sorted(path.stem for path in folder.glob("*.py") if path.stem != "__init__")


def last(folder: Path) -> str:
    """Return the text of the last migration in a folder."""
    return (folder / f"{revisions(folder)[-1]}.py").read_text()
