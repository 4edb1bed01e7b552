"""The configuration in docs/vm.md and docs/cloud.md works."""

import re
import subprocess
import textwrap
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Project
from questionnaire import choices

FEATURES = ["[example,jobs]", "[]"]

pytestmark = [
    pytest.mark.deep,
    pytest.mark.parametrize("framework", choices("framework")),
    pytest.mark.parametrize("features", FEATURES),
]


def block(page: Path, language: str, containing: str) -> str:
    """Return the code block of a page that contains a text."""
    blocks = re.findall(rf"^ *```{language}\n(.*?)^ *```$", page.read_text(), re.MULTILINE | re.DOTALL)
    [found] = [found for found in blocks if containing in found]
    return textwrap.dedent(found)


def documented(project: Project) -> set[str]:
    return set(re.findall(r"^#?([A-Z_]+)=", (project.path / ".env.example").read_text(), re.MULTILINE))


def test_vm_settings_exist_and_are_complete(render: Callable[..., Project], framework: str, features: str) -> None:
    project = render(framework=framework, features=features)
    block_of_settings = block(project.path / "docs/vm.md", "sh", "ENVIRONMENT=")
    settings = dict(line.split("=", 1) for line in block_of_settings.splitlines())
    assert settings.keys() <= documented(project)
    required = {"ALLOWED_HOSTS", "DATABASE_URL", "SECRET_KEY", "SMTP_URL", "MAIL_FROM"}
    assert settings.keys() >= required | ({"PAYMENTS_SECRET"} if "example" in features else set())
    assert settings["TRUSTED_PROXIES"] in block(project.path / "docs/vm.md", "caddyfile", "reverse_proxy")


def test_systemd_unit_is_valid(render: Callable[..., Project], framework: str, features: str, tmp_path: Path) -> None:
    project = render(framework=framework, features=features)
    unit = block(project.path / "docs/vm.md", "ini", "[Service]")
    program = re.findall(r"^ExecStart=(\S+)", unit, re.MULTILINE)[0]
    assert f"{program} -m app migrate" in (project.path / "docs/vm.md").read_text().replace("\\\n", "")
    (tmp_path / "service@8000.service").write_text(unit)
    checked = subprocess.run(
        ["systemd-analyze", "verify", tmp_path / "service@8000.service"], capture_output=True, text=True, check=False
    )
    # The program is not installed here.
    assert [line for line in checked.stderr.splitlines() if program not in line] == []


def test_fly_configuration_names_commands_and_settings(
    render: Callable[..., Project], framework: str, features: str
) -> None:
    project = render(framework=framework, features=features)
    fly = tomllib.loads(block(project.path / "docs/cloud.md", "toml", "[http_service]"))
    assert fly["env"].keys() <= documented(project)
    commands = re.findall(r"^\| `(\w+)", (project.path / "docs/container.md").read_text(), re.MULTILINE)
    assert {fly["deploy"]["release_command"], *fly.get("processes", {}).values()} <= set(commands)
    assert ("worker" in fly.get("processes", {})) == ("jobs" in features)
    assert fly["kill_signal"] == "SIGTERM", "Fly sends SIGINT by default"
    assert f"EXPOSE {fly['http_service']['internal_port']}\n" in (project.path / "Dockerfile").read_text()
    assert fly["http_service"]["checks"][0]["path"] == "/health/ready"
