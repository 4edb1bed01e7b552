"""The shell and Django's commands, in one process with production settings."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from django.apps import apps
from django.conf import settings

from app.core.testing import production_environment

MANAGE = Path(__file__).parents[2] / "manage.py"
TYPED = """
import logging
import httpx2
from django.apps import apps
from django.conf import settings
from django.core.management import call_command
from django.templatetags.static import static
from app.core.http.application import create_application

logging.getLogger("of.a.library").warning("as production logs")
print("user:", User.objects.filter(id__lt=0).first())
print("models:", sorted(model.__name__ for model in apps.get_models() if globals().get(model.__name__) is model))
call_command("check", deploy=True, fail_level="WARNING")
call_command("collectstatic", interactive=False)
with httpx2.Client(transport=httpx2.WSGITransport(create_application()), base_url="https://test") as client:
    sheet = client.get(static("admin/css/base.css"))
print("sheet:", sheet.status_code, sheet.url.path, sheet.headers["cache-control"])
"""


@pytest.mark.slow
def test_shell_and_checks_work_in_production(database_url: str, tmp_path: Path) -> None:
    environment = production_environment()
    done = subprocess.run(
        [sys.executable, MANAGE, "shell"],
        input=TYPED,
        env=os.environ | environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    printed = done.stdout.splitlines()
    assert "user: None" in printed
    assert [json.loads(line)["logger"] for line in printed if "as production logs" in line] == ["of.a.library"]
    assert f"models: {sorted(model.__name__ for model in apps.get_models())}" in printed
    [sheet] = [line for line in printed if line.startswith("sheet: ")]
    assert re.fullmatch(r"sheet: 200 /static/admin/css/base\.[0-9a-f]{12}\.css max-age=\d{9}, public, immutable", sheet)


@pytest.mark.slow
def test_unknown_settings_module_is_one_sentence(database_url: str) -> None:
    environment = os.environ | {"DJANGO_SETTINGS_MODULE": "nope"}
    done = subprocess.run(
        [sys.executable, "-m", "app", "migrate"], env=environment, capture_output=True, text=True, check=False
    )
    sentence = "DJANGO_SETTINGS_MODULE=nope is not a module: unset it to use app.settings.\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", sentence)


def test_every_silenced_check_names_a_test() -> None:
    page = MANAGE.parent / "docs" / "security.md"
    if page.exists():  # the pages of a project may be deleted
        held = re.findall(r"^\| `(\w+\.\w+)` \|.*`tests/", page.read_text("utf-8"), re.MULTILINE)
        assert sorted(held) == sorted(settings.SILENCED_SYSTEM_CHECKS)
