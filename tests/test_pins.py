"""Each pinned image and action can be updated by the bots that a repository configures."""

import json
import re
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import Project, working_tree
from questionnaire import REPOSITORY, choices, typed

IMAGE = r"[\w./-]+:v?\d+\.[\w.-]*(?:@sha256:[0-9a-f]{64})?"
PINS = re.compile(
    rf"""(?:^FROM |image: |name: |services: |container: |IMAGE=)["']?({IMAGE})|uses: ([\w./-]+@\S+)""", re.MULTILINE
)
FROM = re.compile(rf"^FROM ({IMAGE})(?: AS \w+)?$", re.MULTILINE)
USES = re.compile(r"uses: ([\w./-]+@\S+)")
TOOL = re.compile(r'"((?:@[\w-]+/[\w-]+@|[a-z][\w-]*[=~]=)v?\d[\w.]*)"')


def pins(repository: Project, paths: set[Path]) -> set[str]:
    texts = [(repository.path / path).read_text(errors="ignore") for path in paths if path.suffix not in {".py", ".md"}]
    return {first or second for text in texts for first, second in PINS.findall(text)}


def composed(repository: Project) -> set[str]:
    services = yaml.safe_load((repository.path / "compose.yaml").read_text())["services"].values()
    return {service["image"] for service in services if "build" not in service}


def moved_by_dependabot(repository: Project) -> set[str]:
    """Read what Dependabot's ecosystems read: no images in workflows, and none in an ARG."""
    moved: set[str] = set()
    for update in yaml.safe_load((repository.path / ".github/dependabot.yml").read_text())["updates"]:
        for directory in update.get("directories", [update.get("directory")]):
            match update["package-ecosystem"]:
                case "docker":
                    assert directory == "/"
                    moved |= set(FROM.findall((repository.path / "Dockerfile").read_text()))
                case "docker-compose":
                    moved |= composed(repository)
                case "github-actions":
                    folder = ".github/workflows" if directory == "/" else directory.strip("/")
                    for path in repository.path.glob(f"{folder}/*.yml"):
                        moved |= set(USES.findall(path.read_text()))
    return moved


def images(document: Any) -> Iterator[str]:
    """Yield the values of `image`, `name` in an image or a service, and `services` in a pipeline."""
    if isinstance(document, dict):
        for key, value in document.items():
            if key in {"image", "name"} and isinstance(value, str):
                yield value
            elif key == "services" and isinstance(value, list):
                yield from (one for one in value if isinstance(one, str))
            yield from images(value)
    elif isinstance(document, list):
        for value in document:
            yield from images(value)


def moved_by_renovate(repository: Project) -> set[str]:
    """Read what the managers read that `config:best-practices` enables."""
    configuration = json.loads((repository.path / "renovate.json").read_text())
    assert configuration["extends"] == ["config:best-practices"]
    assert "enabledManagers" not in configuration
    assert not any(rule.get("enabled") is False for rule in configuration["packageRules"])
    moved = composed(repository) | set(FROM.findall((repository.path / "Dockerfile").read_text()))
    for path in repository.path.glob(".github/**/*.yml"):
        moved |= set(USES.findall(path.read_text()))
        moved |= set(images(yaml.safe_load(path.read_text())))
    for path in [repository.path / ".gitlab-ci.yml", *repository.path.glob(".gitlab/*.yml")]:
        if path.exists():
            moved |= set(images(yaml.safe_load(path.read_text())))
    return moved


@pytest.mark.parametrize("manager", choices("package_manager"))
@pytest.mark.parametrize("ci", ["github", "gitlab"])
def test_bots_update_each_pinned_image_and_action(render: Callable[..., Project], ci: str, manager: str) -> None:
    service = render(ci=ci, package_manager=manager, features=typed(choices("features")))
    pinned = pins(service, service.files())
    assert len([pin for pin in pinned if pin.startswith(("python:", "postgres:"))]) == 2, pinned
    assert pinned - moved_by_renovate(service) == set()
    if ci == "github":
        assert pinned - moved_by_dependabot(service) == set()


def test_bots_update_floors_only_for_security(render: Callable[..., Project]) -> None:
    """Routine updates leave minimum versions alone. In the template, a known vulnerability raises them."""
    ours = json.loads((REPOSITORY / "renovate.json").read_text())
    assert ours["osvVulnerabilityAlerts"] is True
    assert ours["vulnerabilityAlerts"] == {"rangeStrategy": "bump"}
    (rule,) = [rule for rule in ours["packageRules"] if rule.get("matchFileNames") == ["template/pyproject.toml.jinja"]]
    assert rule["rangeStrategy"] == "widen"
    for manager, ecosystem in {"uv": "uv", "poetry": "pip"}.items():
        service = render(package_manager=manager)
        updates = yaml.safe_load((service.path / ".github/dependabot.yml").read_text())["updates"]
        (found,) = [update for update in updates if update["package-ecosystem"] == ecosystem]
        assert found["versioning-strategy"] == "lockfile-only"


def test_bots_update_each_tool_of_this_project() -> None:
    """Dependabot updates pyproject.toml, and Renovate updates versions in tests."""
    updates = yaml.safe_load((REPOSITORY / ".github/dependabot.yml").read_text())["updates"]
    assert [update["directory"] for update in updates if update["package-ecosystem"] == "uv"] == ["/"]
    tools = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["dependency-groups"]["dev"]
    assert [tool for tool in tools if not re.fullmatch(r"[\w-]+==[\w.]+", tool)] == []
    renovate = json.loads((REPOSITORY / "renovate.json").read_text())
    managers = [one for one in renovate["customManagers"] if "/^tests/.+\\.py$/" in one["managerFilePatterns"]]
    read = re.compile("|".join(re.sub(r"\(\?<\w+>", "(?:", one) for it in managers for one in it["matchStrings"]))
    pinned = [pin for path in (REPOSITORY / "tests").glob("*.py") for pin in TOOL.findall(path.read_text())]
    assert len(pinned) > 10
    assert [pin for pin in pinned if not read.search(f'"{pin}"')] == []


def test_dependabot_updates_actions_of_this_project() -> None:
    """Of this project's own workflows; test_ci tests the versions in the template's files."""
    ours = Project(REPOSITORY)
    paths = {path for path in working_tree(".github") if path.suffix == ".yml"}
    assert {pin for pin in pins(ours, paths) if "@" in pin} <= moved_by_dependabot(ours)
