"""A copy of a rendered service's code, for tests that the template plants into the service."""

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
    """A copy of the code, whose commands run as processes on the database of DATABASE_URL."""

    def __init__(self, path: Path, write_models: Callable[..., str]) -> None:
        self.path = path
        self.write_models = write_models
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

    def run(self, *arguments: str, entered: str | None = None, fails: bool = False) -> str:
        """Run `python -m ARGUMENTS` in the copy; returns what it printed, and checks whether it failed."""
        environment = os.environ | {"PYTHONPATH": str(self.path / "src")}
        done = subprocess.run(
            [sys.executable, "-m", *arguments],
            cwd=self.path,
            env=environment,
            input=entered,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
            check=False,
        )
        assert (done.returncode != 0) is fails, done.stdout
        assert "Traceback" not in done.stdout, done.stdout
        return done.stdout


@pytest.fixture
def code(execute: Execute, use: Use, template: str, write_models: Callable[..., str], tmp_path: Path) -> Iterator[Copy]:
    """A copy of the code, on a migrated database."""
    database = f"slices_{os.getpid()}"
    execute(f'CREATE DATABASE "{database}" TEMPLATE "{template}"')
    with use(path=f"/{database}"):
        yield Copy(tmp_path, write_models)
    execute(f'DROP DATABASE "{database}" WITH (FORCE)')


def revisions(folder: Path) -> list[str]:
    return sorted(path.stem for path in folder.glob("*.py") if path.stem != "__init__")


def last(folder: Path) -> str:
    """Return the text of the last migration in a folder."""
    return (folder / f"{revisions(folder)[-1]}.py").read_text()
