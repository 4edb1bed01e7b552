"""A release changes a sample slice: the update reports it to the owner, who can take the change."""

import json
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import COPIER, Project, release, working_tree
from questionnaire import CONFIGURATION, REPOSITORY
from release import SAMPLES, Promises, samples

pytestmark = pytest.mark.deep

SAMPLE = "{{ example }}/src/app/products/schemas.py"
CORE = "src/app/core/retries.py"
PAGE = (REPOSITORY / "template/docs/updating.md").read_text()


@pytest.fixture
def releases(template: Path, tmp_path: Path) -> Callable[[str, str], Project]:
    """Release the template with one changed file, as CONTRIBUTING.md describes."""
    origin = Project(shutil.copytree(template, tmp_path / "template", ignore=shutil.ignore_patterns(".git")))

    def releases(version: str, path: str = "", line: str = "") -> Project:
        if path:
            changed = origin.path / "template" / path
            changed.write_text(f"{changed.read_text()}{line}")
        log = origin.path / "CHANGELOG.md"
        text = log.read_text()
        if "## Unreleased" not in text:
            log.write_text(text.replace("\n## ", "\n## Unreleased\n\n- A change.\n\n## ", 1))
        if not (origin.path / ".git").exists():
            origin.commit("Begin")
        origin.run(sys.executable, "tests/release.py", version)
        release(origin.path, f"v{version}")
        return origin

    return releases


def test_recorded_samples_are_slices_of_features() -> None:
    found = samples(CONFIGURATION, [path.relative_to("template") for path in working_tree("template")])
    assert {f"/src/app/{name}" for name in found} == {path for path in Promises.now().brought if "src/app" in path}


def test_update_names_a_changed_sample(releases: Callable[..., Project], tmp_path: Path) -> None:
    origin = releases("1.0.0")
    project = Project(tmp_path / "project")
    project.path.mkdir()
    project.run(COPIER, "copy", "--defaults", "--quiet", origin.path, ".")
    project.commit("Render")

    releases("1.1.0", CORE, "\n\n# fixed\n")
    said = project.run(COPIER, "update", "--defaults")
    assert "Take a change" not in said
    assert "# fixed" in (project.path / CORE).read_text(), "a fix in core arrives"
    project.commit("Update")

    releases("1.2.0", SAMPLE, "\n\n# changed\n")
    releases("1.3.0", CORE, "\n\n# again\n")
    mine = project.path / "src/app/products/schemas.py"
    mine.write_text("# mine\n" + mine.read_text())
    project.commit("Edit a sample")
    said = project.run(COPIER, "update", "--defaults")
    assert re.search(
        r"so this update did not change them: products\..*Your previous release is v1\.1\.0\.", said, re.DOTALL
    )
    assert "# changed" not in mine.read_text()
    project.commit("Update")

    [recipe] = re.findall(r"## Take a change of a sample\n.*?```sh\n(.*?)```", PAGE, re.DOTALL)
    recipe = recipe.replace("v1.2.0", "v1.1.0").replace("v1.4.0", "v1.3.0").replace("orders", "products")
    project.run("bash", "-ec", recipe.replace("uvx copier", str(COPIER)))
    assert mine.read_text().startswith("# mine\n")
    assert mine.read_text().endswith("# changed\n")

    project.commit("Take the change")
    assert "Take a change" not in project.run(COPIER, "update", "--defaults")


def test_record_of_samples_has_feature_and_version() -> None:
    for name, sample in json.loads(SAMPLES.read_text()).items():
        assert sample.keys() == {"feature", "digest", "version"}, name
