"""The English of the template and of what it renders: plain words, short sentences, short commit subjects."""

import re
import subprocess
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from conftest import Project, working_tree
from documents import MARKDOWN
from questionnaire import REPOSITORY, choices, typed

# A word that makes a reader stop, and the field's word for it.
REPLACEMENTS = {
    r"told": "logged, reported, set, given",
    r"whoever|whosoever": "a noun: the caller, the owner, a client",
    r"nobody('s)?|somebody('s)?": "a noun, or a passive: 'is not read'",
    r"whose": "with, or a sentence of its own",
    r"mend(s|ed|ing)?": "fix",
    r"(?<!there )is no|(?<!there )are no": "is not, are not",
    r"stands? in(?! for)": "is in",
    r"at once": "concurrently, immediately",
    r"letters?": "e-mail",
    r"administration|administrators?": "admin",
    r"kernel": "core",
    r"rooms?": "module, package",
    r"crowds?": "many clients, a burst of requests",
    r"for ever|henceforth|thereof|whence|deeds?": "a modern word",
}
# The start of a docstring, comment or sentence that makes a question word its subject.
BEGINNING = re.compile(r'(?:"""|(?<!#)# |[.!?] )(What|Who|Whoever|Whose|Whether|Where) (?!.*\?)[a-z]')
# Exceptions: the path, the text around the word, the reason.
ALLOWED = [
    (
        "*",
        r"(lower-case|upper-case|capital|Latin|base|ascii) letters?\b(?! of)|letters and digits",
        "the alphabet",
    ),
    ("tests/test_prose.py", r".*", "this list"),
    ("render/docs/*", r"`tests/[\w /]+\.py::[\w ]+`", "names of tests: held where they are defined"),
    ("hooks/answers.jinja", r"LETTER|a letter(,| or digit)", "the alphabet, and names of Unicode characters"),
    ("tests/test_answers.py", r"letters?", "letters of names"),
]

LONGEST_SENTENCE = 30  # words
LONGEST_SUBJECT = 72  # characters, of a commit
MOST_WORDS = 9_500

OWN = (
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "copier.yml",
    "pyproject.toml",
    "renovate.json",
    "hooks",
    "tests",
    "benchmarks",
    ".ci",
    ".github",
)
# The texts of others, and pictures.
UNREAD = {"LICENSE", "packages.txt", "common_passwords.txt", "docs.png", "questions.svg"}


def is_allowed(path: str, text: str, found: re.Match[str]) -> bool:
    return any(
        fnmatchcase(path, glob)
        and any(span.start() <= found.start() < span.end() for span in re.finditer(context, text))
        for glob, context, _ in ALLOWED
    )


def forbidden_words(path: str, text: str) -> Iterator[str]:
    """Each as `path:line: word (replacement)`. Names count too: `_` separates words."""
    for number, line in enumerate(text.replace("_", " ").splitlines(), 1):
        for pattern, better in REPLACEMENTS.items():
            for found in re.finditer(rf"\b({pattern})\b", line, re.IGNORECASE):
                if not is_allowed(path, line, found):
                    yield f"{path}:{number}: {found[0]!r} ({better})"
        for found in BEGINNING.finditer(line):
            if not is_allowed(path, line, found):
                yield f"{path}:{number}: {found[1]!r} (begin with the subject)"


def long_sentences(path: str, text: str) -> Iterator[str]:
    """Of a Markdown page, without its code blocks. Inline code is one word."""
    for block in MARKDOWN.parse(text):
        if block.type != "inline":
            continue
        parts = [
            {"code_inline": "code", "softbreak": " ", "hardbreak": ". "}.get(child.type, child.content)
            for child in block.children or []
        ]
        for sentence in re.split(r"(?<=[.!?])[\s)]+", "".join(parts)):
            if (words := len(re.findall(r"\w[\w'/.-]*", sentence))) > LONGEST_SENTENCE:
                yield f"{path}:{(block.map or [0])[0] + 1}: {words} words: {sentence[:60]}…"


def readable(root: Path, paths: list[Path], prefix: str = "") -> Iterator[tuple[str, str]]:
    for path in paths:
        name = f"{prefix}{path.as_posix()}"
        if path.name not in UNREAD:
            yield name, (root / path).read_text()


@pytest.fixture(scope="module")
def pages(render: Callable[..., Project]) -> list[tuple[str, str]]:
    """Return path and text of each checked file: the template's own files, and those of two renders with all layers."""
    everything = typed(choices("features"))
    first = render(framework="fastapi", features=everything)
    second = render(framework="django", features=everything, package_manager="poetry", ci="gitlab")
    rendered = [
        page for project in (first, second) for page in readable(project.path, sorted(project.files()), "render/")
    ]
    own = [path for path in working_tree() if path.as_posix().startswith(OWN)]
    return [*readable(REPOSITORY, own), *sorted(set(rendered))]


def test_words_are_plain(pages: list[tuple[str, str]]) -> None:
    assert len(pages) > 100
    assert [line for path, text in pages for line in forbidden_words(path, text)] == []


def test_sentences_of_pages_are_short(pages: list[tuple[str, str]]) -> None:
    markdown = [(path, text) for path, text in pages if path.endswith(".md")]
    assert len(markdown) > 15
    assert [line for path, text in markdown for line in long_sentences(path, text)] == []


@pytest.mark.parametrize("framework", choices("framework"))
def test_pages_of_a_default_render_are_short(render: Callable[..., Project], framework: str) -> None:
    project = render(framework=framework)
    words = {
        path: len(re.findall(r"\S*\w\S*", (project.path / path).read_text()))
        for path in project.files()
        if path.suffix == ".md"
    }
    assert len(words) > 12
    assert sum(words.values()) <= MOST_WORDS, words


def test_readme_states_the_sizes_of_a_default_render(render: Callable[..., Project]) -> None:
    """The sizes in README may differ from the render by a tenth."""
    project = render(framework="fastapi")
    [sizes] = re.findall(
        r"default\s+FastAPI\s+render\s+has(.+?)\.\s+Updates", (REPOSITORY / "README.md").read_text(), re.DOTALL
    )
    files = [path for path in project.files() if path.suffix == ".py"]
    lines = {
        folder: sum(
            len((project.path / path).read_text().splitlines()) for path in files if path.as_posix().startswith(folder)
        )
        for folder in ("src/app/", "src/app/core/", "tests/", "tests/core/")
    }
    stated = [int(number.replace(",", "")) for number in re.findall(r"\d[\d,]*\d", sizes)]
    assert stated == pytest.approx([len(files), *lines.values()], rel=0.1), lines


def test_each_exception_is_needed(pages: list[tuple[str, str]]) -> None:
    held = "\n".join(text.replace("_", " ") for _, text in pages)
    assert [context for _, context, reason in ALLOWED if not reason or not re.search(context, held)] == []


@pytest.mark.parametrize("framework", choices("framework"))
def test_log_events_are_documented(render: Callable[..., Project], framework: str) -> None:
    project = render(framework=framework, features=typed(choices("features")))
    page = (project.path / "docs/observability.md").read_text()
    core = [path for path in project.files() if path.as_posix().startswith("src/app/core/")]
    logged = r'(?:log|get_logger\(\))\.(?:info|warning|error)\(\s*"([^"]+)"'
    events = {event for path in core for event in re.findall(logged, (project.path / path).read_text())}
    assert len(events) > 10
    assert sorted(event for event in events if f"`{event}`" not in page) == []


def subjects() -> list[str]:
    """Of the commits since this file was added. In a shallow clone: since its oldest commit."""

    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout

    added = git("log", "--diff-filter=A", "--format=%H", "--", "tests/test_prose.py").split()
    return git("log", "--no-merges", "--format=%s", f"{added[-1]}..HEAD").splitlines() if added else []


def test_commit_subjects_are_short() -> None:
    assert [subject for subject in subjects() if len(subject) > LONGEST_SUBJECT] == []


@pytest.mark.parametrize(
    "planted",
    [
        "# The caller is told that the key is no key.",
        "def test_whoever_waits(): ...",
        "The letter goes out.",
        "Both run at once.",
        "help = 'Create an administrator'",
        "The reason stands in the log.",
        "A slice whose tables are empty.",
        '"""What the service reads."""',
        "# Where the log is kept, is a setting.",
        "Read it. What is wrong is refused.",
    ],
)
def test_planted_word_is_found(planted: str) -> None:
    assert next(forbidden_words("render/AGENTS.md", f"Fine.\n{planted}\n")).startswith("render/AGENTS.md:2: ")


@pytest.mark.parametrize(
    "plain", ["Use lower-case letters.", "There is no such note.", "A module stands in for it.", "## What it does"]
)
def test_plain_word_is_accepted(plain: str) -> None:
    assert list(forbidden_words("render/AGENTS.md", plain)) == []


def test_planted_long_sentence_is_found() -> None:
    page = "# Title\n\nShort. {}end.\n\n```sh\n{}\n```\n"
    assert list(long_sentences("README.md", page.format("word " * 29, "word " * 99))) == []
    assert list(long_sentences("README.md", page.format("word, `a b` " * 15, ""))) == [
        "README.md:3: 31 words: word, code word, code word, code word, code word, code word,…"
    ]
