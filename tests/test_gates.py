"""Each gate of a render fails with a planted fault, reports the fault, and passes without it."""

import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
import yaml
from conftest import Project, once
from questionnaire import engines
from test_growth import slice_of_the_readme

pytestmark = pytest.mark.deep

RANDOM = "0123456789abcdefghijABCDEFGHIJ012345"


@pytest.fixture(params=once(engines()))
def service(installed: Callable[..., Project], request: pytest.FixtureRequest) -> Project:
    return installed(**request.param)


@contextmanager
def planted(service: Project, files: Mapping[str, str | bytes]) -> Iterator[None]:
    """Add these files to the service and to git."""
    try:
        for name, content in files.items():
            path = service.path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        service.run("git", "add", "--force", "--", *files)
        yield
    finally:
        service.run("git", "rm", "--force", "--quiet", "--ignore-unmatch", "--", *files)
        service.run("git", "clean", "--force", "-dx", "--quiet", "src", "tests")
        assert service.run("git", "status", "--porcelain", "--untracked-files=no") == ""


def gates(service: Project) -> list[str]:
    """Return the commands of `poe check`."""
    tasks = service.toml()["tool"]["poe"]["tasks"]
    return [step["cmd"] for step in tasks["check"]["sequence"]]


MODULE = '"""A planted module."""\n'
FAULTS: dict[str, list[tuple[dict[str, str], str]]] = {
    "ruff format --check": [
        ({"src/app/planted.py": f"{MODULE}\nTOTAL  =  1\n"}, r"unformatted: .*\n --> src/app/planted\.py")
    ],
    "ruff check": [
        ({"src/app/planted.py": f"{MODULE}\nimport os\n"}, r"F401 .*`os` imported but unused"),
        ({"src/app/planted.py": f"{MODULE}\nprint(1)\n"}, r"T201 .*`print` found"),
        (
            {"src/app/planted.py": f'{MODULE}\nimport subprocess\n\nsubprocess.run("ls *", shell=True, check=True)\n'},
            r"S602 .*`shell=True`",
        ),
    ],
    "mypy": [
        ({"src/app/planted.py": f'{MODULE}\nTOTAL: int = "1"\n'}, r"src/app/planted\.py:3: error: Incompatible types")
    ],
    "lint-imports": [
        (
            {
                "src/app/core/planted.py": f"{MODULE}\nimport app.planted\n",
                "src/app/planted/__init__.py": MODULE,
            },
            r"app\.core\.planted -> app\.planted",
        ),
        (
            {
                "src/app/planted/__init__.py": MODULE,
                "src/app/planted/service.py": f"{MODULE}\nimport app.core.accounts.auth.service\n",
            },
            r"app\.planted\.service -> app\.core\.accounts\.auth\.service",
        ),
        (
            {
                "src/app/planted/__init__.py": MODULE,
                "src/app/planted/service.py": MODULE,
                "src/app/other/__init__.py": MODULE,
                "src/app/other/service.py": f"{MODULE}\nimport app.planted.service\n",
            },
            r"app\.other\.service -> app\.planted\.service",
        ),
        (
            {
                "src/app/planted/__init__.py": MODULE,
                "src/app/planted/routes.py": MODULE,
                "src/app/planted/service.py": f"{MODULE}\nimport app.planted.routes\n",
            },
            r"app\.planted\.service -> app\.planted\.routes",
        ),
    ],
    "pytest --cov": [],  # tested separately below
}


def test_faults_cover_each_gate(service: Project) -> None:
    assert gates(service) == list(FAULTS)


@pytest.mark.parametrize("gate", [gate for gate, faults in FAULTS.items() if faults])
def test_planted_fault_is_reported(service: Project, gate: str) -> None:
    for files, message in FAULTS[gate]:
        with planted(service, files):
            assert re.search(message, service.run_inside(*shlex.split(gate), fails=True))
    service.run_inside(*shlex.split(gate))


def test_check_fails_if_a_gate_fails(service: Project) -> None:
    for files, message in FAULTS["ruff format --check"]:
        with planted(service, files):
            assert re.search(message, service.run_inside("poe", "check", fails=True))


def test_failure_and_warning_are_reported(service: Project) -> None:
    """In one run with a passing test. The slow test runs only in `poe check`."""
    tests = """
        import warnings

        import pytest

        @pytest.mark.slow
        def test_that_is_slow() -> None:
            assert 2 == 3

        def test_that_fails() -> None:
            assert 1 == 2

        def test_that_warns() -> None:
            warnings.warn("old", DeprecationWarning)

        def test_that_passes() -> None:
            assert 1 == 1
    """
    source = re.sub("^ {8}", "", tests, flags=re.MULTILINE)
    with planted(service, {"tests/test_planted.py": source}):
        everything, quick = (
            service.run_inside(*command, "tests/test_planted.py", fails=True)
            for command in (["pytest"], ["poe", "test"])
        )
    named = [
        ("test_that_fails", "assert 1 == 2"),
        ("test_that_is_slow", "assert 2 == 3"),
        ("test_that_warns", "DeprecationWarning: old"),
    ]
    for said, expected in ((everything, named), (quick, [named[0], named[2]])):
        found = re.findall(r"^FAILED tests/test_planted\.py::(\w+) - (.*)$", said, re.MULTILINE)
        assert sorted(found) == expected
        assert "1 passed" in said


def test_missing_migration_is_reported(service: Project) -> None:
    """Plant the example slice of the README without its last step, the migration."""
    with planted(service, slice_of_the_readme(service)):
        check = ("pytest", "--numprocesses=0", "tests/core/database", "-k", "test_models_and_migrations_agree")
        said = service.run_inside(*check, fails=True)
    assert re.search(
        r"^FAILED tests/core/database/test_migrations\.py::test_models_and_migrations_agree", said, re.MULTILINE
    )
    assert "notes" in said


def test_uncovered_code_is_reported(service: Project) -> None:
    """With the gate's own command and configuration, but one test module, to save time."""
    module = f"""{MODULE}

def size(number: int) -> str:
    if number > 9:
        words = ["one", "two"]
        words.append("three")
        return words[-1]
    return "small"
"""
    test = "from app.planted import size\n\n\ndef test_size() -> None:\n    assert size(1) == 'small'\n"
    configuration = (service.path / "pyproject.toml").read_text()
    of_one_module = configuration.replace('source_pkgs = ["app"]', 'source_pkgs = ["app.planted"]').replace(
        'source_dirs = ["src/app"]', "source_dirs = []"
    )
    assert of_one_module.count('"app.planted"') == of_one_module.count("source_dirs = []") == 1
    gate = ("pytest", "--cov", "--cov-config=planted.toml", "tests/test_planted.py")
    files = {"src/app/planted.py": module, "tests/test_planted.py": test, "planted.toml": of_one_module}
    with planted(service, files):
        said = service.run_inside(*gate, fails=True)
        assert re.search(r"^src/app/planted\.py .* 6-8", said, re.MULTILINE)
        assert re.search(r"Required test coverage of \d+(\.\d+)?% not reached", said)
        (service.path / "tests/test_planted.py").write_text(f"{test}    assert size(10) == 'three'\n")
        assert "Required test coverage of" in service.run_inside(*gate)


def secrets() -> list[str]:
    """Return one secret of each kind, made here so that this file contains none."""
    key = RANDOM[:16].upper()
    return [
        f"AKIA{key}",
        f"AIza{RANDOM[:35]}",
        f"ghp_{RANDOM}",
        f"glpat-{RANDOM[:20]}",
        f"pypi-{RANDOM}",
        f"sk_live_{RANDOM}",
        f"sk-{RANDOM}",
        f"xoxb-{RANDOM}",
        ".".join([f"eyJ{RANDOM}", f"eyJ{RANDOM}", RANDOM]),
        f"SECRET_KEY={RANDOM}",
    ]


OFFENCES: dict[str, dict[str, str | bytes]] = {
    "check-added-large-files": {"planted/large.bin": b"\0" * 600_000},
    "check-case-conflict": {"planted/same.txt": "", "planted/SAME.txt": ""},
    "check-illegal-windows-names": {"planted/aux.txt": ""},
    "check-json": {"planted/broken.json": "{\n"},
    "check-toml": {"planted/broken.toml": "a =\n"},
    "check-yaml": {"planted/broken.yaml": "a: [\n"},
    "end-of-file-fixer": {"planted/no-end.txt": "no end"},
    "mixed-line-ending": {"planted/endings.bat": b"a\r\nb\n"},
    "trailing-whitespace": {"planted/trailing.txt": "a \n"},
    "conflict-markers": {"planted/conflict.txt": "<<<<<<< before updating\nmine\n"},
    "rejected-edits": {"planted/module.py.rej": "@@ -1 +1 @@\n-theirs\n+mine\n"},
    "detect-private-key": {"planted/key.txt": f"-----BEGIN RSA {'PRIVATE KEY'}-----\n"},
    "secret-files": {"planted/.env": "A=1\n", "planted/.env.production": "A=1\n", "planted/id_rsa": ""},
    "secrets": {f"planted/secret-{kind}.txt": f"{secret}\n" for kind, secret in enumerate(secrets())},
    "ruff-check": {"planted/unused.py": "def added(to=[]):\n    return to\n"},
    "ruff-format": {"planted/unformatted.py": "a   =  1\n"},
}


def hooks(service: Project) -> list[dict[str, Any]]:
    repositories = yaml.safe_load((service.path / ".pre-commit-config.yaml").read_text())["repos"]
    return [hook for repository in repositories for hook in repository["hooks"]]


def test_git_hooks_report_planted_faults(service: Project) -> None:
    names = [hook.get("alias", hook["id"]) for hook in hooks(service)]
    assert names == list(OFFENCES)
    files = {path: content for offence in OFFENCES.values() for path, content in offence.items()}
    with planted(service, files):
        said = service.run_inside("prek", "run", "--all-files", fails=True)
    heading = re.compile(r"^.+?\.{3,}(?:\(.*\))?(Passed|Failed|Skipped)$", re.MULTILINE)
    _, *reports = heading.split(said)
    assert reports[::2] == ["Failed"] * len(names), said
    for name, report in zip(names, reports[1::2], strict=True):
        unnamed = [path for path in OFFENCES[name] if path not in report]
        assert not unnamed or "1 file reformatted" in report, report
    service.run_inside("prek", "run", "--all-files")


def test_git_hooks_accept_a_large_lock(service: Project) -> None:
    lock = service.path / f"{service.manager}.lock"
    before = lock.read_bytes()
    lock.write_bytes(before + b"# a package\n" * 60_000)
    try:
        service.run("git", "add", "--force", lock.name)
        said = service.run_inside("prek", "run", "check-added-large-files", "--files", lock.name)
    finally:
        service.run("git", "reset", "--quiet", lock.name)
        lock.write_bytes(before)
    assert "Failed" not in said


def test_commit_with_a_secret_is_refused(service: Project) -> None:
    service.run_inside("prek", "install")
    before = service.run("git", "rev-parse", "HEAD")
    try:
        with planted(service, {"src/app/planted.txt": f"{secrets()[0]}\n"}):
            said = service.run_inside("git", "commit", "--message", "Leak", fails=True)
    finally:
        service.run_inside("prek", "uninstall")
    assert re.search(r"^no keys and tokens\.+Failed$", said, re.MULTILINE)
    assert service.run("git", "rev-parse", "HEAD") == before
