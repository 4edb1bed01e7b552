"""Properties of all renders, and of the template's files before rendering."""

import re
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from hashlib import sha256
from itertools import combinations, product
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import COPIER, TOOLS, Project, clean_environment, once, release, working_tree
from documents import read
from jinja2 import Environment, StrictUndefined
from questionnaire import (
    DEFAULTS,
    FACTORS,
    FLIPS,
    HOSTILE,
    QUESTIONS,
    QUICK,
    RENDERS,
    REPOSITORY,
    ROWS,
    RUN,
    TEXTS,
    Levels,
    answers,
    choices,
    label,
    typed,
)

TEMPLATE = REPOSITORY / "template"
compiled = cache(Environment(undefined=StrictUndefined, autoescape=False).from_string)  # noqa: S701  # no web page


@pytest.fixture(params=once(RENDERS, quick=QUICK))
def levels(request: pytest.FixtureRequest) -> Levels:
    """Each row of the covering array, and each single choice."""
    row: Levels = request.param
    return row


@pytest.fixture
def rendered(render: Callable[..., Project], levels: Levels) -> Project:
    return render(**answers(levels))


def template_files() -> list[Path]:
    return [path.relative_to("template") for path in working_tree("template")]


def every_set_of_choices() -> Iterator[dict[str, object]]:
    """Yield each combination of choices with its computed answers."""
    chosen = {factor: levels for factor, levels in FACTORS.items() if factor not in TEXTS}
    layers = {
        part[3:-3] for path in template_files() for part in path.parts if part.startswith("{{")
    } & QUESTIONS.keys()
    computed = {name: compiled(QUESTIONS[name]["default"]) for name in layers}
    for levels in product(*chosen.values()):
        picked = dict(zip(chosen, levels, strict=True))
        several = {
            name: [option for option in choices(name) if picked[f"{name}.{option}"] == "on"]
            for name, question in QUESTIONS.items()
            if question.get("multiselect")
        }
        given: dict[str, object] = {**picked, **several}
        yield given | {name: default.render(given) for name, default in computed.items()}


def test_covering_array_has_each_pair_of_answers() -> None:
    for (one, levels), (other, more) in combinations(FACTORS.items(), 2):
        pairs = {(row[one], row[other]) for row in ROWS}
        assert pairs == set(product(levels, more)), (one, other)
    assert all(row in RENDERS.values() for row in [*ROWS, *FLIPS])


def test_answers_are_parsed_as_typed(rendered: Project, levels: Levels) -> None:
    stored = yaml.safe_load((rendered.path / ".copier-answers.yml").read_text())
    assert levels_of(stored) == levels


def levels_of(stored: Mapping[str, Any]) -> Levels:
    """Return the levels of stored answers."""
    found: Levels = {}
    for factor in FACTORS:
        name, _, option = factor.partition(".")
        if option:
            found[factor] = "on" if option in stored[name] else "off"
        elif name in TEXTS:
            found[name] = "hostile" if stored[name] == HOSTILE[name] else "default"
        else:
            found[name] = stored[name]
    return found


def test_template_python_is_valid() -> None:
    for path in template_files():
        assert not path.name.endswith(".py.jinja"), path
        if path.suffix == ".py":
            source = (TEMPLATE / path).read_text()
            compile(source, path, "exec")
            assert not re.search(r"\{\{|\{%", source), path


@pytest.mark.deep
def test_misspelt_variable_stops_the_render(template: Path, tmp_path: Path) -> None:
    clone = Project(shutil.copytree(template, tmp_path / "template"))
    (clone.path / "template/README.md.jinja").write_text("# {{ projet_name }}\n")
    clone.commit("Misspell")
    said = clone.run(COPIER, "copy", "--defaults", "--vcs-ref=HEAD", clone.path, tmp_path / "out", fails=True)
    assert "'projet_name' is undefined" in said
    assert not (tmp_path / "out").exists()


@pytest.mark.deep
def test_quick_copier_does_as_copier(template: Path, tmp_path: Path) -> None:
    """Compare renders and updates. One file has a mode that git stores, but the folder does not show."""
    found: dict[str, str] = {}
    programs: dict[str, list[str | Path]] = {"quick": [COPIER], "real": [sys.executable, "-m", "copier"]}
    origin = Project(shutil.copytree(template, tmp_path / "template"))
    for name, program in programs.items():
        service = Project(tmp_path / name / "my-service")
        service.path.mkdir(parents=True)
        service.run(*program, "copy", "--defaults", "--quiet", "--vcs-ref=v0.0.1", origin.path, ".")
        service.commit("Render")
        service.run("git", "config", "core.fileMode", "false")
        if not found:
            (origin.path / "template/SECURITY.md.jinja").chmod(0o755)
            release(origin.path, "v0.0.2")
        service.run(*program, "update", "--defaults", "--quiet", f"--data=features={typed(choices('features'))}")
        service.run("git", "add", "--all")
        found[name] = service.run("git", "ls-files", "--stage")
    assert found["quick"] == found["real"]
    assert re.search(r"^100755 .*SECURITY.md$", found["quick"], re.MULTILINE)


@pytest.mark.deep
def test_layers_render_distinct_paths() -> None:
    files = template_files()
    parts = {part for path in files for part in path.parts}
    for chosen in every_set_of_choices():
        names = {part: compiled(part).render(chosen, _copier_conf={"answers_file": "a"}) for part in parts}
        rendered = Counter(
            str(Path(*(names[part] for part in path.parts))).removesuffix(".jinja")
            for path in files
            if all(names[part] for part in path.parts)
        )
        assert [path for path, times in rendered.items() if times > 1] == [], chosen


def test_render_leaves_no_template_syntax(rendered: Project) -> None:
    """Also no trailing blanks or blank lines, and no empty folders."""
    names = "|".join(map(re.escape, QUESTIONS))
    left = re.compile(rf"\{{%|\{{#|(?<!\$)\{{\{{-? *({names}|_copier|toml|markdown)\b")
    for path in rendered.files():
        text = (rendered.path / path).read_text()
        assert not left.search(text), path
        assert not re.search(r"[ \t\r]+$", text, re.MULTILINE), path
        assert text == "" or (text.endswith("\n") and not text.endswith("\n\n")), path
    assert [path for path in rendered.path.rglob("*") if path.is_dir() and not any(path.iterdir())] == []


def test_folders_of_core_are_small(rendered: Project) -> None:
    """About a dozen entries in a folder of core, and two dozen in core itself."""
    core = Path("src/app/core")
    found: dict[Path, set[str]] = {}
    for path in rendered.files():
        if path.is_relative_to(core) and path.name != "__init__.py":
            for folder in path.relative_to(core).parents:
                found.setdefault(folder, set()).add(path.relative_to(core / folder).parts[0])
    sizes = {folder: len(entries) for folder, entries in found.items()}
    assert sizes.pop(Path()) <= 24
    assert {folder: size for folder, size in sizes.items() if size > 16} == {}


def test_rendered_files_are_valid(rendered: Project) -> None:
    for path in rendered.files():
        read(path, (rendered.path / path).read_text())


def test_gitignore_matches_no_rendered_file(rendered: Project, tmp_path: Path) -> None:
    """Also no file of one machine or one moment: an update would overwrite it."""
    elsewhere = Project(tmp_path)
    elsewhere.run("git", "init", "--quiet")
    (tmp_path / ".gitignore").write_bytes((rendered.path / ".gitignore").read_bytes())
    paths = [str(path) for path in rendered.files()]
    elsewhere.run("git", "check-ignore", "--no-index", *paths, fails=True)
    names = {path.name for path in rendered.files()}
    assert not names & {".env", "uv.lock", "poetry.lock", "pylock.toml"}
    elsewhere.run("git", "check-ignore", "--no-index", ".env", ".venv/pyvenv.cfg", "src/app/__pycache__/main.pyc")


def test_template_author_is_not_in_the_render(rendered: Project) -> None:
    environment = clean_environment()
    registries = r"[p]y[p]i\.org|[p]ythonhosted|[n]pmjs|[d]ebian\.org"
    private = [environment["GIT_AUTHOR_NAME"], environment["GIT_AUTHOR_EMAIL"], str(REPOSITORY), str(Path.home())]
    leaks = re.compile("|".join([registries, *map(re.escape, private)]), re.IGNORECASE)
    for path in rendered.files():
        text = (rendered.path / path).read_text()
        assert not leaks.search(text), path
        if path.name not in {"README.md", ".copier-answers.yml"}:  # they name the template's source
            assert "moai" not in text.lower(), path


def test_dependencies_are_sorted(rendered: Project) -> None:
    """`uv add` keeps a sorted list sorted. In an unsorted list it appends, and two additions would conflict."""
    document = rendered.toml()
    for lines in (document["project"]["dependencies"], *document["dependency-groups"].values()):
        assert lines == sorted(lines)


def test_ruff_accepts_the_render(rendered: Project) -> None:
    """Otherwise a formatter would turn every update into conflicts."""
    rendered.run(TOOLS / "ruff", "format", "--no-cache", "--diff")
    rendered.run(TOOLS / "ruff", "check", "--no-cache")


# SHA-256 of the words of each text, without its title and copyright line.
LICENCES = {
    "Apache-2.0": "0ffddef9e48f8a09aed5caf2d44f7ba1c1be2d9b8e0a6f693b1635b2d5566645",
    "MIT": "fe2a9817987f862eaced948f0468c7f51d2fedfc48c5c505b246a49a3870e9a5",
    "BSD-3-Clause": "70435d703f5e4bdca9a1fa6b9291501b0dd850d2ad5457b491ce936217b1e063",
}


def test_licence_text_is_complete(rendered: Project) -> None:
    text = (rendered.path / "LICENSE").read_text()
    given = yaml.safe_load((rendered.path / ".copier-answers.yml").read_text())
    holder, licence = f"Copyright (c) {given['author_name']}", given["license"]
    if licence == "proprietary":
        assert text.startswith(f"{holder}\nAll rights reserved.\n")
        return
    if licence != "Apache-2.0":
        title, said, text = text.split("\n\n", 2)
        assert (title.replace(" 3-", "-3-"), said) == (f"{licence} License", holder)
    assert sha256(" ".join(text.split()).encode()).hexdigest() == LICENCES[licence]


@pytest.mark.deep
def test_untested_choices_change_no_code(render: Callable[..., Project]) -> None:
    """Choices that change code or dependencies are factors of the profiles: installed and tested."""
    default = code(render())
    for levels in FLIPS:
        if not any(levels[factor] != DEFAULTS[factor] for factor in RUN):
            assert code(render(**answers(levels))) == default, label(levels)


def code(project: Project) -> tuple[dict[Path, bytes], object]:
    """Return the service's modules and dependencies, without `scripts`, which have their own tests."""
    document = project.toml()
    files = [path for path in project.files() if path.suffix == ".py" and path.parts[0] != "scripts"]
    modules = {path: (project.path / path).read_bytes() for path in files}
    return modules, (document["project"]["dependencies"], document["dependency-groups"], document["build-system"])
