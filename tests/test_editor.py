"""The settings of VS Code, and the development container."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from conftest import Project
from questionnaire import choices

EVERYTHING = "[jobs, vscode]"


def load(project: Project, name: str) -> Any:
    return json.loads((project.path / name).read_text())


@pytest.mark.parametrize("framework", choices("framework"))
def test_launch_settings_run_tasks_and_tests(render: Callable[..., Project], framework: str) -> None:
    project = render(framework=framework, features=EVERYTHING)
    launches = load(project, ".vscode/launch.json")["configurations"]
    tasks = {task["cmd"] for task in project.toml()["tool"]["poe"]["tasks"].values() if "cmd" in task}
    of_app = {f"python -m app {' '.join(launch['args'])}" for launch in launches if launch.get("module") == "app"}
    assert of_app == {"python -m app dev", "python -m app worker"}
    assert of_app <= tasks
    of_tests = [launch for launch in launches if "args" not in launch or launch["module"] == "pytest"]
    assert len(of_tests) == 3
    for launch in of_tests:
        assert "--numprocesses=0" in (*launch.get("args", ()), launch.get("env", {}).get("PYTEST_ADDOPTS"))


def test_worker_is_launched_only_with_jobs(project: Callable[..., Project]) -> None:
    launches = load(project(), ".vscode/launch.json")["configurations"]
    assert "worker" not in {launch["name"] for launch in launches}


@pytest.mark.parametrize("manager", choices("package_manager"))
@pytest.mark.parametrize("version", choices("python_version"))
def test_container_installs_the_project(render: Callable[..., Project], manager: str, version: str) -> None:
    container = load(render(package_manager=manager, python_version=version), ".devcontainer/devcontainer.json")
    assert container["image"].endswith(f":{version}")
    hashed = r"--require-hashes --requirement requirements-tools\.txt"
    tool = hashed if manager == "uv" else r"poetry==\d+\.\d+\.\d+"
    assert re.fullmatch(rf"pip install --user {tool} && {manager} sync", container["postCreateCommand"])


def test_only_shared_editor_files_are_committed(project: Callable[..., Project]) -> None:
    changed = project()
    tracked = set(changed.run("git", "ls-files", ".vscode", ".devcontainer").split())
    names = ("extensions", "launch", "settings")
    assert tracked == {".devcontainer/devcontainer.json", *(f".vscode/{name}.json" for name in names)}
    (changed.path / ".vscode/tasks.json").touch()
    assert changed.run("git", "status", "--porcelain") == ""


def test_without_the_feature_there_are_none(project: Callable[..., Project]) -> None:
    changed = project(features="[example]")
    assert not (changed.path / ".vscode").exists()
    assert not (changed.path / ".devcontainer").exists()
    (changed.path / ".vscode").mkdir()
    (changed.path / ".vscode/settings.json").touch()
    assert changed.run("git", "status", "--porcelain") == ""
