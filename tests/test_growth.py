"""A service grows as its README describes: first a slice of the user, then a feature of the template."""

import ast
import json
import re
import shutil
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from conftest import COPIER, Project
from questionnaire import BARE, PROFILES, choices, holds_python

pytestmark = pytest.mark.deep

FEATURES = choices("features")
# Frameworks with a profile that has no code of features. tests/test_service.py runs the slow tests of that profile, so
# this file skips them. tests/test_own_api.py and tests/test_update_runs.py run them with a slice of the user.
CHECKED_BARE = {
    given.get("framework", "fastapi")
    for given in PROFILES.values()
    if not any(map(holds_python, re.findall(r"\w+", given.get("features", "example"))))
}
STEP = re.compile(
    r"^\d+\. [^`]*`(?P<path>(?:src|tests)/[^`]+\.py)`(?P<rest>.*?)```python\n(?P<code>.*?)```", re.MULTILINE | re.DOTALL
)


@pytest.fixture(
    params=[
        pytest.param(framework, marks=pytest.mark.xdist_group(f"growing-{framework}"))
        for framework in ("fastapi", "django")
    ]
)
def service(
    render: Callable[..., Project],
    install: Callable[[Project], Project],
    workshop: Path,
    request: pytest.FixtureRequest,
) -> Iterator[Project]:
    """Yield a service of each framework without features, with its environment."""
    path = workshop / "growing" / "my-service"
    shutil.copytree(render(**BARE, framework=request.param).path, path)
    service = Project(path)
    service.commit("Render")
    yield install(service)
    shutil.rmtree(path.parent)


def slice_of_the_readme(service: Project) -> dict[str, str]:
    """Return the files that the reader of the README writes."""
    readme = (service.path / "README.md").read_text()
    section = readme[readme.index("## Add a slice") :]
    files = {step["path"]: textwrap.dedent(step["code"]) for step in STEP.finditer(section)}
    assert [Path(path).name for path in files][:2] == ["models.py", "schemas.py"]
    return files


def test_slice_of_the_user_survives_added_features(service: Project) -> None:
    for name, code in slice_of_the_readme(service).items():
        path = service.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(code)
    service.run_inside("poe", "revision", "notes")
    service.run_inside("poe", "fmt")
    framework = yaml.safe_load((service.path / ".copier-answers.yml").read_text())["framework"]
    if framework in CHECKED_BARE:
        for check in (["ruff", "check"], ["mypy"], ["lint-imports"], ["poe", "test"]):
            service.run_inside(*check)
    else:
        service.run_inside("poe", "check")
    service.commit("Add notes")

    service.run(COPIER, "update", "--defaults", "--quiet", f"--data=features={json.dumps(FEATURES)}")
    service.run("uv", "sync")
    # The development database already has the notes; the test database is new.
    service.run_inside("poe", "migrate")
    for check in (["ruff", "check"], ["mypy"], ["lint-imports"], ["pytest", "-q", "-m", "not slow and not engines"]):
        service.run_inside(*check)
    service.run("git", "diff", "--exit-code", "--", "src/app/notes", "tests/notes")
    service.commit("Add all that there is")

    if framework == "fastapi":
        # A column that the user adds to a table of the template: its migration runs after that of the table.
        models = service.path / "src/app/orders/models.py"
        models.write_text(models.read_text().replace("    paid_at:", "    note: Mapped[str | None]\n    paid_at:"))
        service.run_inside("poe", "revision", "a note on orders")
        assert list(models.parent.glob("migrations/orders_0002_a_note_on_orders.py"))
        service.run_inside("pytest", "-q", "-n0", "tests/core/database/test_migrations.py", "tests/orders")
        service.run("git", "reset", "--quiet", "--hard")
        service.run("git", "clean", "--quiet", "--force", "src")

    # Remove the features, check that their tables stay, then drop the tables. The slice `notes` must not change.
    without_features(service)
    said = service.run_inside("poe", "-q", "migrate")
    assert "Traceback" not in said
    if framework == "fastapi":
        line = said.splitlines()[-1]
        gone = "core_jobs, core_outbox, orders, payments, products, profiles, sales"
        assert line == f"Deleted slices (their tables stay until you drop them): {gone}"
    service.run("git", "reset", "--quiet", "--hard")
    for command in dropping(service, framework):
        service.run_inside(*command)
    without_features(service)
    service.run_inside("poe", "migrate")
    service.run_inside("pytest", "-q", "-n0", "tests/core/database/test_migrations.py", "tests/notes")


def without_features(service: Project) -> None:
    service.run(COPIER, "update", "--defaults", "--quiet", "--vcs-ref=:current:", "--data=features=[]")
    assert not (service.path / "src/app/orders/models.py").exists()


def dropping(service: Project, framework: str) -> Iterator[list[str]]:
    """Yield the commands of docs/updating.md that drop the tables of all features."""
    page = (service.path / "docs/updating.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| ((?:`\w+`(?:, )?)+) \|$", page, re.MULTILINE)
    assert {name for name, _ in rows} == set(FEATURES) - {"kubernetes", "vscode"}
    command = "alembic downgrade SLICE@base" if framework == "fastapi" else "python manage.py migrate SLICE zero"
    assert f"`{command}`" in page
    for _, slices in rows:
        yield from (command.replace("SLICE", name).split() for name in re.findall(r"\w+", slices))


def test_package_manager_changes_in_both_directions(
    render: Callable[..., Project], poetry: dict[str, str], workshop: Path
) -> None:
    """With the commands of docs/updating.md."""
    path = workshop / "changing" / "my-service"
    shutil.copytree(render(**BARE).path, path)
    service = Project(path, poetry)
    service.run("uv", "lock", "--quiet")
    service.commit("Render")
    page = (path / "docs/updating.md").read_text()
    for manager, proof in (("poetry", "poetry check --lock"), ("uv", "uv lock --check")):
        service.run(
            COPIER, "update", "--defaults", "--quiet", "--vcs-ref=:current:", f"--data=package_manager={manager}"
        )
        [line] = re.findall(rf"^rm -rf .*{manager} sync$", page, re.MULTILINE)
        service.run("bash", "-ec", line)
        service.run(*proof.split())
        assert " passed" in service.run(manager, "run", "pytest", "tests/core/http/test_health.py")
        service.commit(f"Change to {manager}")
    shutil.rmtree(path.parent)


def test_broken_slice_is_one_sentence_at_start(service: Project) -> None:
    notes = service.path / "src/app/notes"
    notes.mkdir()
    (notes / "__init__.py").touch()
    (notes / "routes.py").write_text("from app.nothing import router\n")
    printed = service.run_inside("poe", "-q", "serve", fails=True)
    (line,) = [line for line in printed.splitlines() if "notes" in line]
    assert line.startswith("The slice 'notes' does not load: ModuleNotFoundError: No module named 'app.nothing'")
    assert "Traceback" not in printed


@pytest.mark.parametrize("framework", choices("framework"))
def test_first_endpoint_takes_at_most_18_concepts(render: Callable[..., Project], framework: str) -> None:
    """Counts the names of core in the slice of the README without its tests, and the router."""
    files = slice_of_the_readme(render(framework=framework))
    trees = [ast.parse(code) for path, code in files.items() if path.startswith("src/")]
    imports = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    concepts = {alias.name for node in imports if node.module == "app.core" for alias in node.names} | {"router"}
    assert 10 <= len(concepts) <= 18, sorted(concepts)
