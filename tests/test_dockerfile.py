"""The Dockerfile and compose.yaml of each kind of render, without building: tests/test_container.py builds."""

import re
import subprocess
from collections.abc import Callable
from itertools import product
from typing import Any

import pytest
import yaml
from conftest import TOOLS, Project
from questionnaire import BARE, Answers, choices

KINDS = [
    {"framework": framework, "package_manager": manager, "python_version": python}
    for framework, manager, python in product(("fastapi", "django"), ("uv", "poetry"), choices("python_version"))
]


def named(kind: dict[str, str]) -> str:
    return "-".join(kind.values())


@pytest.fixture(params=KINDS, ids=named)
def kind(request: pytest.FixtureRequest) -> dict[str, str]:
    kind: dict[str, str] = request.param
    return kind


@pytest.mark.deep
def test_hadolint_finds_nothing(render: Callable[..., Project], kind: dict[str, str]) -> None:
    render(**kind).run(TOOLS / "hadolint", "--no-color", "Dockerfile")


@pytest.mark.deep
def test_base_image_has_the_exact_python_version(render: Callable[..., Project], kind: dict[str, str]) -> None:
    text = (render(**kind).path / "Dockerfile").read_text()
    pinned = rf"^FROM python:{re.escape(kind['python_version'])}\.\d+-slim-\w+(?:@sha256:[0-9a-f]{{64}})? AS base$"
    assert len(re.findall(pinned, text, re.MULTILINE)) == 1
    first, *others = re.findall(r"^FROM (\S+)", text, re.MULTILINE)
    assert first.startswith("python:")
    assert others == ["base", "base"]


def test_package_managers_share_the_final_stage(render: Callable[..., Project]) -> None:
    """Both package managers give the same final stage."""
    last = {
        (render(**kind).path / "Dockerfile").read_text().rpartition("\nFROM ")[2]
        for kind in KINDS
        if kind["python_version"] == "3.13"
    }
    assert len(last) == 1


def test_compose_and_ci_use_one_postgresql(render: Callable[..., Project]) -> None:
    """GitHub's workflow reads compose.yaml: Dependabot does not update images in workflows."""
    service = render(ci="gitlab")
    image = yaml.safe_load((service.path / "compose.yaml").read_text())["services"]["database"]["image"]
    assert re.fullmatch(r"postgres:\d+\.\d+-\w+@sha256:[0-9a-f]{64}", image)
    assert re.findall(r"postgres:\S+@sha256:\S+", (service.path / ".gitlab-ci.yml").read_text()) == [image]
    workflow = yaml.safe_load((render().path / ".github/workflows/ci.yml").read_text())
    assert workflow["jobs"]["check"]["services"]["postgres"]["image"] == "${{ needs.versions.outputs.postgres }}"


COMPOSED = {"example": {}, "bare": {"framework": "django", **BARE}, "jobs": {"features": "[example, jobs]"}}


@pytest.mark.parametrize("answers", COMPOSED.values(), ids=COMPOSED)
class TestCompose:
    @pytest.fixture
    def compose(self, render: Callable[..., Project], answers: Answers) -> dict[str, Any]:
        text = (render(**answers).path / "compose.yaml").read_text()
        compose: dict[str, Any] = yaml.safe_load(text)
        return compose

    def test_compose_secrets_have_no_default(self, compose: dict[str, Any], answers: Answers) -> None:
        chosen = answers.get("features", "[example]")
        secrets = {"POSTGRES_PASSWORD", "SECRET_KEY", "SMTP_URL", "MAIL_FROM"}
        secrets |= {"PAYMENTS_SECRET"} if "example" in chosen else set()
        found = set()
        for service in compose["services"].values():
            for name, value in service["environment"].items():
                for variable, otherwise in re.findall(r"\$\{(\w+)(.*?)\}", value):
                    assert otherwise.startswith(":?") or (name, variable) == ("DATABASE_URL", "POSTGRES_PASSWORD")
                    found.add(variable)
                assert name not in secrets or value.startswith("${")
        assert found == secrets

    def test_compose_migrates_before_serving(self, compose: dict[str, Any], answers: Answers) -> None:
        services = compose["services"]
        assert services["migrate"]["command"] == ["migrate"]
        assert services["migrate"]["depends_on"] == {"database": {"condition": "service_healthy"}}
        assert services["service"]["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}
        assert "restart" not in services["migrate"]
        assert ("worker" in services) == ("jobs" in answers.get("features", ""))
        if worker := services.get("worker"):
            assert worker["depends_on"] == {"migrate": {"condition": "service_completed_successfully"}}
            assert worker["command"] == ["worker"]
            assert "entrypoint" not in worker, "the entry point of the image is the command line"
            assert worker["healthcheck"] == {"disable": True}, "the check of the image needs a port"
        for name in ("database", "service"):
            assert services[name]["healthcheck"]["test"][0] == "CMD"

    def test_compose_service_is_read_only_and_unprivileged(self, compose: dict[str, Any]) -> None:
        for name in compose["services"].keys() - {"database"}:
            service = compose["services"][name]
            assert service["read_only"] is True
            assert service["cap_drop"] == ["ALL"]
            assert service["security_opt"] == ["no-new-privileges:true"]
        assert compose["services"]["service"]["ports"] == ["127.0.0.1:8000:8000"]


def test_build_context_is_minimal(project: Callable[..., Project]) -> None:
    """Read with git, because its patterns have the same rules."""
    service = project()
    patterns = (service.path / ".dockerignore").read_text()
    (service.path / ".git/info/exclude").write_text(patterns.replace("*\n", "/*\n", 1))
    seen = {
        "pyproject.toml",
        "uv.lock",
        "poetry.lock",
        "requirements-tools.txt",
        "README.md",
        "LICENSE",
        "src/app/core/config.py",
    }
    hidden = {".env", ".git", ".copier-answers.yml", ".venv/x", "tests/conftest.py", "Dockerfile", "dist/x.whl"}
    asked = ("git", "check-ignore", "--no-index", "--stdin")
    done = subprocess.run(
        asked, cwd=service.path, input="\n".join(sorted(seen | hidden)), capture_output=True, text=True, check=False
    )
    assert set(done.stdout.splitlines()) == hidden
