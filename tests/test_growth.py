"""A service that grows as its README says: a slice of its own, and a feature of the template that is added later."""

import json
import re
import shutil
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from conftest import COPIER, Project, clean_environment
from questionnaire import BARE, choices

pytestmark = pytest.mark.deep

FEATURES = choices("features")
STEP = re.compile(
    r"^\d+\. [^`]*`(?P<path>(?:src|tests)/[^`]+\.py)`(?P<rest>.*?)```python\n(?P<code>.*?)```", re.MULTILINE | re.DOTALL
)


@pytest.fixture(
    params=[
        pytest.param(framework, marks=pytest.mark.xdist_group(f"growing-{framework}"))
        for framework in ("fastapi", "django")
    ]
)
def service(render: Callable[..., Project], workshop: Path, request: pytest.FixtureRequest) -> Iterator[Project]:
    """A service of each framework without the example, with its environment."""
    path = workshop / "growing" / "my-service"
    shutil.copytree(render(**BARE, framework=request.param).path, path)
    types = {"MYPY_CACHE_DIR": str(workshop / f"types-{request.param}")}
    service = Project(path, clean_environment() | types)
    service.commit("Render")
    service.run("uv", "sync")
    yield service
    shutil.rmtree(path.parent)


def slice_of_the_readme(service: Project) -> dict[str, str]:
    """The files that it says to write."""
    readme = (service.path / "README.md").read_text()
    section = readme[readme.index("## Add a slice") :]
    files = {step["path"]: textwrap.dedent(step["code"]) for step in STEP.finditer(section)}
    assert [Path(path).name for path in files][:2] == ["models.py", "schemas.py"]
    return files


def test_a_slice_of_ones_own_and_then_more_of_the_template(service: Project) -> None:
    for name, code in slice_of_the_readme(service).items():
        path = service.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(code)
    service.run_inside("poe", "revision", "notes")
    service.run_inside("poe", "fmt")
    service.run_inside("poe", "check")
    service.commit("Add notes")

    service.run(COPIER, "update", "--defaults", "--quiet", f"--data=features={json.dumps(FEATURES)}")
    service.run("uv", "sync")
    # The tables of development have the notes already; those of the tests are made from nothing.
    service.run_inside("poe", "migrate")
    service.run_inside("poe", "check")
    service.run("git", "diff", "--exit-code", "--", "src/app/notes", "tests/notes")
    service.commit("Add all that there is")

    framework = yaml.safe_load((service.path / ".copier-answers.yml").read_text())["framework"]
    if framework == "fastapi":
        # A column of one's own in a table of the template's: its migration comes after the table's, from nothing too.
        models = service.path / "src/app/orders/models.py"
        models.write_text(models.read_text().replace("    paid_at:", "    note: Mapped[str | None]\n    paid_at:"))
        service.run_inside("poe", "revision", "a note on orders")
        service.run_inside("pytest", "-q", "tests/test_migrations.py", "tests/orders")
        service.run("git", "reset", "--quiet", "--hard")
        service.run("git", "clean", "--quiet", "--force", "src")

    # Without the tables of what goes, as the page says; the notes stay.
    without_features(service)
    if framework == "fastapi":
        said = service.run_inside("poe", "-q", "migrate", fails=True)
        assert "Traceback" not in said
        sentence = said.splitlines()[-1]
        assert sentence.startswith("The migrations do not fit the database: Can't locate revision identified by ")
    service.run("git", "reset", "--quiet", "--hard")
    for command in dropping(service, framework):
        service.run_inside(*command)
    without_features(service)
    service.run_inside("poe", "migrate")
    service.run_inside("pytest", "-q", "tests/test_migrations.py", "tests/notes")


def without_features(service: Project) -> None:
    service.run(COPIER, "update", "--defaults", "--quiet", "--vcs-ref=:current:", "--data=features=[]")
    assert not (service.path / "src/app/orders/models.py").exists()


def dropping(service: Project, framework: str) -> Iterator[list[str]]:
    """What docs/updating.md says of the tables of each feature."""
    page = (service.path / "docs/updating.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| `(.+?)` \| `(.+?)`(.*) \|$", page, re.MULTILINE)
    assert {name for name, *_ in rows} == set(FEATURES) - {"kubernetes"}
    for _, alembic, manage, applications in rows:
        if framework == "fastapi":
            yield alembic.split()
        elif "APP" in manage:
            yield from (manage.replace("APP", name).split() for name in re.findall(r"`(\w+)`", applications))
        else:
            yield manage.split()


def test_the_package_manager_changes_and_changes_back(
    render: Callable[..., Project], poetry: dict[str, str], workshop: Path
) -> None:
    """By what docs/updating.md says is to be done after the update."""
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
        assert " passed" in service.run(manager, "run", "pytest", "tests/test_health.py")
        service.commit(f"Change to {manager}")
    shutil.rmtree(path.parent)


def test_a_mistake_in_a_slice_is_one_sentence_at_the_start(service: Project) -> None:
    notes = service.path / "src/app/notes"
    notes.mkdir()
    (notes / "__init__.py").touch()
    (notes / "routes.py").write_text("from app.nothing import router\n")
    printed = service.run_inside("poe", "-q", "serve", fails=True)
    (line,) = [line for line in printed.splitlines() if "notes" in line]
    assert line.startswith("The slice 'notes' does not load: ModuleNotFoundError: No module named 'app.nothing'")
    assert "Traceback" not in printed
