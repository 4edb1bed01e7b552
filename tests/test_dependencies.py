"""Dependencies of a render: wheels for each Python, and reserved slugs."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Project, clean_environment, once
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version
from questionnaire import PROFILES, REPOSITORY, Answers, choices, typed

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


def floors(project: Project) -> dict[str, str]:
    """Return the minimum version of each dependency."""
    lines = [Requirement(line) for group in dependencies(project) for line in group]
    found = {line.name: [one.version for one in line.specifier if one.operator == ">="] for line in lines}
    assert all(len(versions) == 1 for versions in found.values()), found
    return {name: versions[0] for name, versions in found.items()}


ALL = {"features": typed(choices("features"))}


@pytest.mark.parametrize("framework", choices("framework"))
def test_package_managers_have_the_same_floors(render: Callable[..., Project], framework: str) -> None:
    uv, poetry = (floors(render(**ALL, framework=framework, package_manager=name)) for name in ("uv", "poetry"))
    del poetry["uv"]
    assert uv == poetry


@pytest.mark.parametrize("framework", choices("framework"))
def test_upper_bounds_are_for_internals_and_majors(render: Callable[..., Project], framework: str) -> None:
    """Of django-ninja, because core uses its internals; the others have incompatible releases."""
    lines = [Requirement(line) for group in dependencies(render(**ALL, framework=framework)) for line in group]
    bounded = {line.name for line in lines if any("<" in one.operator for one in line.specifier)}
    assert bounded == {"pyspark", *(("django", "django-ninja") if framework == "django" else ())}


@pytest.mark.deep
@pytest.mark.parametrize("framework", choices("framework"))
def test_dependencies_resolve_behind_a_cool_down(render: Callable[..., Project], framework: str) -> None:
    """A company may refuse releases of the last 30 days."""
    service = render(**ALL, framework=framework)
    resolve = ["uv", "pip", "compile", "pyproject.toml", "--quiet", "--exclude-newer=30 days"]
    groups = service.toml()["dependency-groups"]
    assert "\npydantic==" in service.run(*resolve, *(f"--group={group}" for group in groups))


LOWEST = {"fastapi": {"framework": "fastapi"}, "django": {"framework": "django", "package_manager": "poetry"}}


@pytest.mark.deep
@pytest.mark.parametrize("answers", once(LOWEST))
def test_checks_pass_with_minimum_versions(
    render: Callable[..., Project], answers: Answers, request: pytest.FixtureRequest, workshop: Path
) -> None:
    given = {**ALL, **answers}
    path = workshop / f"lowest-{answers['framework']}" / "my-service"
    shutil.copytree(render(**given).path, path)
    manager = given.get("package_manager", "uv")
    environment = request.getfixturevalue("poetry") if manager == "poetry" else clean_environment()
    service = Project(path, environment, manager)
    service.commit("Render")
    service.run(manager, "sync")
    service.run_inside("poe", "lowest")
    service = Project(path, {**environment, "UV_NO_SYNC": "1"}, manager)
    service.run_inside("poe", "check")
    shown = "from importlib.metadata import *; [print(one.name, one.version) for one in distributions()]"
    installed = dict(line.split() for line in service.run_inside("python", "-c", shown).splitlines())
    versions = {canonicalize_name(name): Version(version) for name, version in installed.items()}
    expected = {canonicalize_name(name): Version(version) for name, version in floors(service).items()}
    tested = expected.keys() & versions.keys()
    assert {name: versions[name] for name in tested} == {name: expected[name] for name in tested}
    assert len(tested) > 30


@pytest.mark.deep
def test_engines_work_with_minimum_versions(render: Callable[..., Project], workshop: Path) -> None:
    """CI of a service does not install these groups."""
    path = workshop / "lowest-engines" / "my-service"
    shutil.copytree(render(features="[data]").path, path)
    service = Project(path, clean_environment() | {"UV_NO_SYNC": "1"})
    service.run("uv", "venv")
    given = ("--python", service.python(), "--quiet")
    groups = [f"--group={group}" for group in service.toml()["dependency-groups"]]
    oldest = ("--resolution=lowest-direct", "--only-binary=:all:", "--no-binary=pyspark", "--output-file=lowest.txt")
    service.run("uv", "pip", "compile", "pyproject.toml", *groups, *given, *oldest)
    service.run("uv", "pip", "install", *given, "--requirement=lowest.txt", "--editable=.")
    assert "8 passed" in service.run_inside("poe", "-q", "engines")


@pytest.mark.deep
def test_dependencies_are_reserved_slugs(service: Project) -> None:
    """The lock lists the packages of all platforms. Add missing names to hooks/packages.txt."""
    lock = service.toml(f"{service.manager}.lock")
    own = service.toml()
    build = {Requirement(line).name for line in own["build-system"]["requires"]}
    needed = {package["name"] for package in lock["package"]} - {own["project"]["name"]} | build
    assert {canonicalize_name(name) for name in needed} - PACKAGES == set()
