"""The shell and Django's own commands, as one process of production."""

import os
import subprocess
import sys
from pathlib import Path

from support import production_environment

MANAGE = Path(__file__).parents[1] / "manage.py"
TYPED = """
from django.core.management import call_command
print("user:", User.objects.filter(id__lt=0).first())
call_command("check", deploy=True, fail_level="WARNING")
call_command("collectstatic", interactive=False)
"""


def test_shell_knows_every_model_and_production_is_ready(database_url: str, tmp_path: Path) -> None:
    environment = production_environment()
    done = subprocess.run(
        [sys.executable, MANAGE, "shell"],
        input=TYPED,
        env=os.environ | environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "user: None" in done.stdout.splitlines()
    assert list((tmp_path / ".static" / "admin" / "css").glob("base.????????????.css"))
