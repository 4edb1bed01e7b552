"""The shell and Django's own commands, as processes."""

import os
import subprocess
import sys
from pathlib import Path

from support import PRODUCTION

ROOT = Path(__file__).parents[1]


def test_shell_knows_every_model(database_url: str) -> None:
    done = subprocess.run(
        [sys.executable, "manage.py", "shell"],
        input="print(User.objects.filter(id__lt=0).first())\n",
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "None"


def test_it_is_ready_to_be_deployed(database_url: str) -> None:
    environment = {name.upper(): value for name, value in PRODUCTION.items()}
    environment["PAYMENTS_SECRET"] = environment["SECRET_KEY"]
    done = subprocess.run(
        [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"],
        env=os.environ | environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_production_serves_hashed_files(database_url: str, tmp_path: Path) -> None:
    environment = {name.upper(): value for name, value in PRODUCTION.items()}
    environment["PAYMENTS_SECRET"] = environment["SECRET_KEY"]
    subprocess.run(
        [sys.executable, ROOT / "manage.py", "collectstatic", "--no-input"],
        env=os.environ | environment,
        cwd=tmp_path,
        capture_output=True,
        timeout=60,
        check=True,
    )
    assert list((tmp_path / ".static" / "admin" / "css").glob("base.????????????.css"))
