"""What holds for every render, and for the template's files before they are rendered."""

import json
import re
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from itertools import product
from pathlib import Path

import pytest
import yaml
from conftest import (
    QUESTIONS,
    REPOSITORY,
    TOOLS,
    Answers,
    Project,
    clean_environment,
    profiles,
    working_tree,
)
from jinja2 import Environment, StrictUndefined

TEMPLATE = REPOSITORY / "template"
compiled = cache(Environment(undefined=StrictUndefined, autoescape=False).from_string)  # noqa: S701  # no web page


@pytest.fixture(params=profiles())
def answers(request: pytest.FixtureRequest) -> Answers:
    profile: Answers = request.param
    return profile


@pytest.fixture
def rendered(render: Callable[..., Project], answers: Answers) -> Project:
    return render(**answers)


def template_files() -> list[Path]:
    return [path.relative_to("template") for path in working_tree("template")]


def every_set_of_choices() -> Iterator[dict[str, object]]:
    """Each combination of what may be chosen, with the answers that are computed from it."""
    options: dict[str, list[object]] = {}
    for name, question in QUESTIONS.items():
        if choices := question.get("choices"):
            values = list(choices.values() if isinstance(choices, dict) else choices)
            if question.get("multiselect"):
                picks = product((False, True), repeat=len(values))
                options[name] = [[value for value, on in zip(values, pick, strict=True) if on] for pick in picks]
            else:
                options[name] = values
    computed = {name: compiled(question["default"]) for name, question in QUESTIONS.items() if "when" in question}
    for choice in product(*options.values()):
        chosen = dict(zip(options, choice, strict=True))
        yield chosen | {name: default.render(chosen) for name, default in computed.items()}


def test_python_is_python_before_it_is_rendered() -> None:
    for path in template_files():
        assert not path.name.endswith(".py.jinja"), path
        if path.suffix == ".py":
            source = (TEMPLATE / path).read_text()
            compile(source, path, "exec")
            assert not re.search(r"\{\{|\{%", source), path


def test_no_two_layers_render_the_same_path() -> None:
    for chosen in every_set_of_choices():
        rendered: Counter[Path] = Counter()
        for path in template_files():
            parts = [compiled(part).render(chosen, _copier_conf={"answers_file": "a"}) for part in path.parts]
            if all(parts):
                rendered[Path(*parts)] += 1
        assert [path for path, times in rendered.items() if times > 1] == [], chosen


def test_nothing_is_left_over(rendered: Project) -> None:
    """No Jinja, no noise at the ends of lines and files, no empty folder."""
    names = "|".join(map(re.escape, QUESTIONS))
    left = re.compile(rf"\{{%|\{{#|(?<!\$)\{{\{{-? *({names}|_copier|toml|markdown)\b")
    for path in rendered.files():
        text = (rendered.path / path).read_text()
        assert not left.search(text), path
        assert not re.search(r"[ \t\r]+$", text, re.MULTILINE), path
        assert text == "" or (text.endswith("\n") and not text.endswith("\n\n")), path
    assert [path for path in rendered.path.rglob("*") if path.is_dir() and not any(path.iterdir())] == []


def test_documents_parse(rendered: Project) -> None:
    readers: dict[str, Callable[[str], object]] = {
        ".json": json.loads,
        ".toml": tomllib.loads,
        ".yaml": lambda text: list(yaml.safe_load_all(text)),
        ".yml": lambda text: list(yaml.safe_load_all(text)),
    }
    read = [
        readers[path.suffix]((rendered.path / path).read_text()) for path in rendered.files() if path.suffix in readers
    ]
    assert read


def test_nothing_that_is_rendered_is_ignored(rendered: Project, tmp_path: Path) -> None:
    """Nor is anything that belongs to one machine or one moment: an update would overwrite it."""
    elsewhere = Project(tmp_path)
    elsewhere.run("git", "init", "--quiet")
    (tmp_path / ".gitignore").write_bytes((rendered.path / ".gitignore").read_bytes())
    paths = [str(path) for path in rendered.files()]
    elsewhere.run("git", "check-ignore", "--no-index", *paths, fails=True)
    names = {path.name for path in rendered.files()}
    assert not names & {".env", "uv.lock", "poetry.lock", "pylock.toml"}
    elsewhere.run("git", "check-ignore", "--no-index", ".env", ".venv/pyvenv.cfg", "src/app/__pycache__/main.pyc")


def test_nothing_of_the_templates_author_leaks(rendered: Project) -> None:
    environment = clean_environment()
    registries = r"[p]y[p]i\.org|[p]ythonhosted|[n]pmjs|[d]ebian\.org"
    private = [environment["GIT_AUTHOR_NAME"], environment["GIT_AUTHOR_EMAIL"], str(REPOSITORY), str(Path.home())]
    leaks = re.compile("|".join([registries, *map(re.escape, private)]), re.IGNORECASE)
    for path in rendered.files():
        text = (rendered.path / path).read_text()
        assert not leaks.search(text), path
        if path.name not in {"README.md", ".copier-answers.yml"}:  # they say where the render came from
            assert "moai" not in text.lower(), path


def test_ruff_has_nothing_to_change(rendered: Project) -> None:
    """Or a formatter would turn every update into conflicts."""
    rendered.run(TOOLS / "ruff", "format", "--no-cache", "--diff")
    rendered.run(TOOLS / "ruff", "check", "--no-cache")


def test_the_licence_is_whole(rendered: Project, answers: Answers) -> None:
    text = (rendered.path / "LICENSE").read_text()
    match answers.get("license", "proprietary"):
        case "Apache-2.0":
            assert text == (REPOSITORY / "LICENSE").read_text()
        case "MIT":
            assert text.startswith("MIT License\n\nCopyright (c) my-service authors\n\nPermission is hereby granted, ")
        case "BSD-3-Clause":
            assert text.startswith(
                "BSD 3-Clause License\n\nCopyright (c) my-service authors\n\nRedistribution and use "
            )
        case _:
            assert text.startswith("Copyright (c) my-service authors. All rights reserved.\n")
