"""Dependencies of a render: wheels for each Python, and reserved slugs."""

from collections.abc import Callable

import pytest
from conftest import Project
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from questionnaire import PROFILES, REPOSITORY, choices

# Published without wheels, but pure Python.
WITHOUT_WHEELS = {"pyspark"}
PACKAGES = set((REPOSITORY / "hooks/packages.txt").read_text().split())


def dependencies(project: Project) -> tuple[frozenset[str], ...]:
    """Return the dependencies of each group."""
    document = project.toml()
    metadata = document["project"]
    extras = metadata.get("optional-dependencies", {})
    groups = document["dependency-groups"]
    return (frozenset(metadata["dependencies"]), *map(frozenset, extras.values()), *map(frozenset, groups.values()))


@pytest.mark.deep
@pytest.mark.parametrize("python", choices("python_version"))
def test_dependencies_resolve_with_wheels_only(render: Callable[..., Project], python: str) -> None:
    """For each profile with other dependencies, also for Python versions that are not installed."""
    distinct = {dependencies(project): project for project in (render(**answers) for answers in PROFILES.values())}
    resolve = ["uv", "pip", "compile", "pyproject.toml", "--quiet", "--all-extras", "--only-binary=:all:"]
    resolve += [f"--no-binary={name}" for name in WITHOUT_WHEELS]
    for project in distinct.values():
        groups = project.toml()["dependency-groups"]
        locked = project.run(*resolve, f"--python-version={python}", *(f"--group={group}" for group in groups))
        assert "\npydantic==" in locked


@pytest.mark.deep
def test_dependencies_are_reserved_slugs(service: Project) -> None:
    """The lock lists the packages of all platforms. Add missing names to hooks/packages.txt."""
    lock = service.toml(f"{service.manager}.lock")
    own = service.toml()
    build = {Requirement(line).name for line in own["build-system"]["requires"]}
    needed = {package["name"] for package in lock["package"]} - {own["project"]["name"]} | build
    assert {canonicalize_name(name) for name in needed} - PACKAGES == set()
