"""An option that is not chosen leaves no file, dependency, variable, task, module or word."""

import ast
import re
import sys
from collections.abc import Callable, Iterator
from functools import cache

import pytest
from conftest import Project, once
from packaging.requirements import Requirement
from questionnaire import DEFAULTS, FACTORS, RENDERS, TEXTS, Levels, answers

pytestmark = pytest.mark.deep

type Option = tuple[str, str]  # a factor and its level

# Names of options that are common words: only the rendered names of the option are searched.
ORDINARY = {"data", "example", "jobs", "none", "proprietary", "3.13", "3.14", "3.15"}
TELLING = {
    ("features.example", "on"): {"orders", "products", "payments", "profiles", "supplier"},
    ("features.jobs", "on"): {"jobs/"},
    ("features.data", "on"): {"orders", "pipeline/", "sales/"},
}

# These files mention unchosen options: other licences, how to change an answer, patterns of secrets.
SPEAKING = {".copier-answers.yml", ".pre-commit-config.yaml", "LICENSE", "docs/updating.md"}
# These files are the same for all options and check which exist.
SPEAKING |= {
    ".dockerignore",
    "renovate.json",
    "scripts/template_update.py",
    "src/app/core/mail/sending.py",
    "tests/core/accounts/test_registered.py",
    "tests/core/observability/test_telemetry.py",
}
# These are not traces either: the source of the password list, a logger, ignored variables, telemetry of both.
NAMED = re.compile(
    r"Django and SecLists \(MIT\)|uvicorn\.access|\.vscode/|websockets=False"
    r"|\bUVICORN\|DJANGO\b|(?i:opentelemetry)"
)


def options() -> list[Option]:
    """Return all options, which can also be off."""
    chosen = [(factor, level) for factor in FACTORS if factor not in TEXTS for level in FACTORS[factor]]
    return [(factor, level) for factor, level in chosen if level != "off"]


def defined(tree: ast.AST) -> Iterator[str]:
    """Yield distinctive names: classes, variables of settings, and imported packages."""
    for node in ast.walk(tree):
        match node:
            case ast.ClassDef(name=name, body=body):
                if re.search(r"[a-z][A-Z]", name):
                    yield name
                if name.endswith("Settings"):
                    fields = [field.target for field in body if isinstance(field, ast.AnnAssign)]
                    yield from (field.id.upper() for field in fields if isinstance(field, ast.Name))
            case ast.Import(names=names):
                yield from {alias.name.split(".")[0] for alias in names} - sys.stdlib_module_names
            case ast.ImportFrom(module=str(module), level=0):
                yield from {module.split(".")[0]} - sys.stdlib_module_names


def brought(project: Project) -> set[tuple[str, str]]:
    """Return the contents of a render as (kind, name)."""
    document = project.toml()
    wanted = [document["project"]["dependencies"], *document["dependency-groups"].values()]
    found = {("dependency", Requirement(line).name) for lines in wanted for line in lines}
    found |= {("tool", name) for name in document["tool"]}
    found |= {("task", f"poe {name}") for name in document["tool"]["poe"]["tasks"]}
    variables = re.findall(r"^#(\w+)=", (project.path / ".env.example").read_text(), re.MULTILINE)
    found |= {("variable", name) for name in variables}
    # Tests import these helpers by name, like packages.
    helpers = {path.stem for path in project.files() if str(path.parent) == "tests"}
    for path in project.files():
        places = [path, *path.parents][:-1]
        found |= {("place", str(place)) for place in places if len(place.parts) > 1}
        if path.suffix == ".py":
            found |= {("module", ".".join(place.with_suffix("").parts[1:])) for place in places if len(place.parts) > 2}
            names = set(defined(ast.parse((project.path / path).read_text())))
            found |= {("defined", name) for name in names - helpers}
    return found


@pytest.fixture(scope="session")
def words(render: Callable[..., Project]) -> Callable[[Option], set[str]]:
    """Return the words of an option: its name, and names that appear only in renders with this option."""

    @cache
    def rendered(option: Option) -> set[tuple[str, str]]:
        return brought(render(**answers(DEFAULTS | dict([option]))))

    @cache
    def words(option: Option) -> set[str]:
        factor, level = option
        name = factor.rpartition(".")[2] if level == "on" else level
        others = [rendered((factor, other)) for other in FACTORS[factor] if other != level]
        own = {word for _, word in rendered(option).difference(*others)}
        return own | ({name} - ORDINARY) | TELLING.get(option, set())

    return words


@pytest.fixture(params=once(RENDERS))
def levels(request: pytest.FixtureRequest) -> Levels:
    row: Levels = request.param
    return row


def test_unchosen_option_leaves_no_trace(
    render: Callable[..., Project], words: Callable[[Option], set[str]], levels: Levels
) -> None:
    project = render(**answers(levels))
    on = {word for option in options() if option in levels.items() for word in words(option)}
    off = {word: option for option in options() if option not in levels.items() for word in words(option) - on}
    left = []
    for path in project.files():
        if str(path) not in SPEAKING:
            text = f"{path}\n{NAMED.sub('', (project.path / path).read_text())}"
            said = parts(text)
            left += [
                f"{path}: {word} of {off[word]}" for word in off if parts(word) <= said and whole(word).search(text)
            ]
    assert left == [], "\n".join(left)


def parts(text: str) -> frozenset[str]:
    return frozenset(re.findall(r"\w+", text.lower()))


@cache
def whole(word: str) -> re.Pattern[str]:
    """Match a whole word. Lower-case words match any case: FastAPI, Poetry."""
    return re.compile(rf"(?<!\w){re.escape(word)}(?!\w)", re.IGNORECASE if word.islower() else re.NOFLAG)


def test_each_option_has_a_searchable_word(words: Callable[[Option], set[str]]) -> None:
    """The traces of an option are found by a word. Only the options of ORDINARY have no word."""
    assert {level for factor, level in options() if not words((factor, level))} <= ORDINARY
