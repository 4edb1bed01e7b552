"""Answers are data: an answer is refused with one sentence, or appears unchanged in each file."""

import keyword
import re
import shutil
import tomllib
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from conftest import working_tree
from copier._main import Worker
from documents import MARKDOWN, read
from hypothesis import HealthCheck, example, given, seed, settings
from hypothesis import strategies as st
from jinja2 import FileSystemLoader
from jinja2.meta import find_undeclared_variables
from jinja2.sandbox import SandboxedEnvironment
from questionnaire import QUESTIONS, REPOSITORY, ROWS, TEXTS, answers

FRAGMENTS = [
    *(
        '"',
        "'",
        "`",
        "\\",
        "\\n",
        "\\N{BELL}",
        '"""',
        "'''",
        "#",
        "# no comment",
        ":",
        ": ",
        "- ",
        "1. ",
        ",",
        "|",
        ">",
        "&",
    ),
    *(
        "{{ 7*7 }}",
        "{% raw %}",
        "{# gone #}",
        "{",
        "}",
        "$(id)",
        "${HOME}",
        "$$",
        "%PATH%",
        "%(x)s",
        "%s",
        "!",
        "@",
        "*",
        "?",
    ),
    *(
        "*a*",
        "_b_",
        "**c**",
        "~~d~~",
        "[e](f)",
        "![g](h)",
        ":tada:",
        "$x$",
        "<b>",
        "]]>",
        "&amp;",
        "<!--",
        "www.example.com",
    ),
    *(
        "null",
        "true",
        "0x1F",
        "1e3",
        "2026-01-01",
        "=",
        "==",
        "---",
        "+",
        "שירות",
        "👩‍👩‍👧",
        "🇺🇦",
        "e\u0301",
        "\u00ad",
        "\u200b",
        "\u3000",
    ),
]
OVERRIDES = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
ENVIRONMENT = SandboxedEnvironment(
    loader=FileSystemLoader(REPOSITORY), extensions=["jinja2_ansible_filters.AnsibleCoreFiltersExtension"]
)  # as in Copier
PLAIN = {
    "project_name": "Qname",
    "project_slug": "qslug",
    "project_description": "Qdescription",
    "author_name": "Qauthor",
    "author_email": "q@q.example",
}


@pytest.fixture(scope="module")
def macros() -> SimpleNamespace:
    return SimpleNamespace(**vars(ENVIRONMENT.get_template("hooks/answers.jinja").module))


def shown(markdown: str) -> list[str]:
    """Return the plain text of each paragraph and heading."""
    blocks = [token.children or [] for token in MARKDOWN.parse(markdown) if token.type == "inline"]
    return ["".join(child.content for child in children if child.type == "text") for children in blocks]


CHOSEN = [answers(row | dict.fromkeys(TEXTS, "default")) for row in ROWS]

type Rendering = Callable[[Mapping[str, str]], dict[str, object]]


def carrying_answers() -> Iterator[Path]:
    """Yield the template files with a typed answer in text or path."""
    typed = {*TEXTS, "_copier_answers"}
    for name, question in QUESTIONS.items():
        if "when" in question and find_undeclared_variables(ENVIRONMENT.parse(question["default"])) & typed:
            typed.add(name)
    for path in working_tree("template"):
        source = (REPOSITORY / path).read_text() if path.suffix == ".jinja" else ""
        if find_undeclared_variables(ENVIRONMENT.parse(f"{path}{source}")) & typed:
            yield path


@pytest.fixture(scope="module")
def rendering(tmp_path_factory: pytest.TempPathFactory) -> Rendering:
    """Render in this process: only files with answers, each compiled once."""
    template = tmp_path_factory.mktemp("template")
    for path in (Path("copier.yml"), Path("LICENSE"), *working_tree("hooks"), *carrying_answers()):
        (template / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(REPOSITORY / path, template / path)
    compiler = Worker(src_path=str(template), dst_path=template)
    compiler.jinja_env.auto_reload = False
    vars(compiler.jinja_env)["from_string"] = cache(compiler.jinja_env.from_string)

    no_git = {"_sync_git_index_executable_bit": lambda *_: None}  # it would start a process for each file

    def rendering(given: Mapping[str, str]) -> dict[str, object]:
        with TemporaryDirectory() as folder:
            project = Path(folder, "my-service")
            worker = Worker(src_path=str(template), dst_path=project, data=dict(given), defaults=True, quiet=True)
            vars(worker).update(jinja_env=compiler.jinja_env, template=compiler.template, **no_git)
            worker.run_copy()
            files = [path for path in project.rglob("*") if path.is_file()]
            return {str(path.relative_to(project)): read(path, path.read_text()) for path in files}

    return rendering


PLAIN_ANSWER = re.compile("|".join(re.escape(answer) for answer in PLAIN.values()))
QUESTION_OF = {answer: name for name, answer in PLAIN.items()}


def replaced(document: Any, answers: Mapping[str, str]) -> Any:
    """Return the document with each answer of PLAIN replaced by the answer to the same question."""
    match document:
        case str():
            return PLAIN_ANSWER.sub(lambda found: answers[QUESTION_OF[found[0]]], document)
        case dict():
            return {replaced(name, answers): replaced(value, answers) for name, value in document.items()}
        case list() | tuple():
            return [replaced(value, answers) for value in document]
    return document


def acceptable(limit: int, without: str = "") -> st.SearchStrategy[str]:
    marks = st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp"), exclude_characters=f"\ufeff{OVERRIDES}{without}")
    fragments = st.sampled_from([fragment for fragment in FRAGMENTS if not set(fragment) & set(without)])
    texts = st.lists(marks | fragments, min_size=1, max_size=12).map(lambda parts: "".join(parts)[:limit].strip())
    return texts.filter(bool)


ANYTHING = st.lists(st.characters() | st.sampled_from([*FRAGMENTS, *OVERRIDES, "\n", "\0", "x" * 90])).map("".join)
ACCEPTABLE = {
    "project_name": acceptable(80),
    "project_slug": st.from_regex(r"\A[a-z][a-z0-9]{0,9}(-[a-z0-9]{1,9}){0,3}\Z")
    | st.sampled_from(["nan", "inf", "e-1", "o", "x" * 40, "0x1f", "null", "fastapi"]),
    "project_description": acceptable(200),
    "author_name": acceptable(100, without="<>"),
    "author_email": st.just("")
    | st.from_regex(r"(?a)\A[\w%+'-]{1,9}(\.[\w%+'-]{1,5})?@[a-z0-9]{1,9}(\.[a-z0-9]{1,9}){1,2}\Z"),
}


@st.composite
def typed_answers(draw: st.DrawFn) -> dict[str, str]:
    """Draw answers to all questions. All are valid, except one in half of the draws, which is any text."""
    given = draw(st.fixed_dictionaries({name: ACCEPTABLE.get(name, ANYTHING) for name in TEXTS}))
    if draw(st.booleans()):
        given[draw(st.sampled_from(TEXTS))] = draw(ANYTHING)
    return given


@pytest.fixture(scope="module")
def plain(rendering: Rendering) -> Callable[[int, str], dict[str, object]]:
    """Render a row with plain answers."""
    return cache(lambda row, email: rendering({**CHOSEN[row], **PLAIN, "author_email": email}))


@pytest.mark.deep
@pytest.mark.parametrize("part", range(4))
def test_any_answer_is_refused_or_unchanged(
    rendering: Rendering, plain: Callable[[int, str], dict[str, object]], part: int
) -> None:
    """Any text for any question, with any choices, is refused with one sentence or is unchanged in each file.

    The same 1,000 examples in each run, in parts that run concurrently."""
    seen: Counter[str] = Counter()

    @seed(part)
    @settings(max_examples=250, database=None, deadline=None, suppress_health_check=list(HealthCheck))
    @given(row=st.integers(0, len(CHOSEN) - 1), typed=typed_answers())
    def refused_or_read_back(row: int, typed: dict[str, str]) -> None:
        try:
            files = rendering({**CHOSEN[row], **typed})
        except ValueError as refusal:
            assert re.fullmatch(r"Validation error for question '\w+': [A-Z][^\n]+\.", str(refusal))  # noqa: PT017
            seen["refused"] += 1
            return
        typed = {name: text.strip() for name, text in typed.items()}
        before = plain(row, PLAIN["author_email"] if typed["author_email"] else "")
        assert {replaced(path, typed) for path in before} == files.keys()
        for path, document in before.items():
            assert replaced(document, typed) == replaced(files[replaced(path, typed)], PLAIN), path
        seen["read back"] += 1

    refused_or_read_back()
    assert seen.total() >= 250
    assert min(seen["refused"], seen["read back"]) >= 50


@pytest.mark.parametrize("name", ["Ada & Grace", "Forge, Inc.", " O'Neil "])
def test_author_with_punctuation_is_accepted(macros: SimpleNamespace, name: str) -> None:
    assert macros.check_text(name, 100, without="<>") == ""


def test_author_with_angle_brackets_is_refused(macros: SimpleNamespace) -> None:
    sentence = "Remove < and >: package metadata cannot hold them in a name."
    assert macros.check_text("Ada <ada@example.com>", 100, without="<>") == sentence


def test_blanks_around_answers_are_trimmed(rendering: Rendering) -> None:
    given = {**CHOSEN[0], **PLAIN}
    padded = {name: f" {given[name]}\u00a0" for name in TEXTS}
    assert rendering(given | padded) == rendering(given)


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("gh:org/moai-python", "from the address gh:org/moai-python, on every machine."),
        ("git@git.example.com:org/moai.git", "from the address git@git.example.com:org/moai.git, on every machine."),
        ("https://git.example.com/moai.git", "from the address https://git.example.com/moai.git, on every machine."),
        ("/srv/moai", "from the path /srv/moai, which exists only on this machine."),
        ("~/moai", "from the path ~/moai, which exists only on this machine."),
        ("C:\\moai", "from the path C:\\moai, which exists only on this machine."),
        ("file:///srv/moai.git", "from the path file:///srv/moai.git, which exists only on this machine."),
        ("../moai", "Updates cannot find the template: they resolve the relative path ../moai from another folder."),
    ],
)
def test_message_after_copy_explains_updates(source: str, sentence: str) -> None:
    known = {"project_name": "A", "slug": "a", "install": "uv sync", "run": "uv run", "package_manager": "uv"}
    settings = {"dst_path": Path("a"), "answers_file": ".copier-answers.yml"}
    message = ENVIRONMENT.get_template("hooks/after_copy.jinja").render(known, _copier_conf=settings, _src_path=source)
    assert sentence in message
    assert ("et `_src_path` in .copier-answers.yml" in message) == ("address" not in sentence)


@example("- a")
@example("+ a")
@example("12) a")
@given(text=st.text(st.characters() | st.sampled_from(" \"\\'`*_[]<>&#|~$:;!-+=1.)(a" + OVERRIDES), max_size=90))
def test_text_is_refused_or_unchanged(macros: SimpleNamespace, text: str) -> None:
    harmful = any(unicodedata.category(mark) in {"Cc", "Zl", "Zp", "Cs"} for mark in text)
    if sentence := macros.check_text(text, 80):
        assert harmful or not 1 <= len(text.strip()) <= 80 or set(text) & set("\ufeff" + OVERRIDES)
        assert re.fullmatch(r"(Control character found|Empty|Too long): .+\.", sentence)
    else:
        assert not harmful
        assert tomllib.loads(f"text = {macros.toml(text)}") == {"text": text.strip()}
        assert yaml.safe_load(f"text: {macros.toml(text)}") == {"text": text.strip()}
        assert shown(macros.markdown(text)) == [text.strip()]
        assert shown(f"# {macros.markdown(text)}") == [text.strip()]


@pytest.mark.parametrize("mark", ["\n", "\r", "\t", "\0", "\x1b", "\x7f", "\x85", "\u2028", "\u2029", *OVERRIDES])
def test_control_character_is_refused(macros: SimpleNamespace, mark: str) -> None:
    assert macros.check_text(f"a{mark}b", 80).startswith("Control character found: ")


@pytest.mark.parametrize(
    ("folder", "name", "slug"),
    [
        ("my-service", "My Service", "my-service"),
        ("billing_API.v2", "Billing Api V2", "billing-api-v2"),
        ("Café Zürich", "Café Zürich", "cafe-zurich"),
        ("Größe", "Größe", "grosse"),
        ("İstanbul Łódź", "İstanbul Łódź", "istanbul-lodz"),
        ("Đorđe Þór", "Đorđe Þór", "dorde-thor"),
        ("smørrebrød æble", "Smørrebrød Æble", "smorrebrod-aeble"),
        ("服务", "服务", "service"),
        ("3d", "3d", "service-3d"),
        ("fastapi", "Fastapi", "fastapi-service"),
        ("class", "Class", "class-service"),
        ("", "My Service", "my-service"),
        ("two\nlines", "Two Lines", "two-lines"),
        ("bell\a", "My Service", "my-service"),
        ("long " * 17, "My Service", "my-service"),
    ],
)
def test_default_name_and_slug_of_a_folder(macros: SimpleNamespace, folder: str, name: str, slug: str) -> None:
    assert macros.name_from(folder) == name
    assert macros.slugify(name) == slug


@given(text=st.text(max_size=120))
def test_derived_default_is_valid(macros: SimpleNamespace, text: str) -> None:
    assert macros.check_text(macros.name_from(text), 80) == ""
    slug = macros.slugify(text)
    assert macros.check_slug(slug) == ""
    assert macros.check_text(f"{slug} authors", 100, without="<>") == ""


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("œuvre e\u0301te\u0301", "oeuvre-ete"),
        ("Azərbaycan ıŋ", "azerbaycan-ing"),
        ("soft\u00adhyphen", "softhyphen"),
        ("a\\N{BELL}", "a-n-bell"),
        ("a\x80\ud800👩z", "a-z"),
    ],
)
def test_slug_of_unusual_names(macros: SimpleNamespace, name: str, slug: str) -> None:
    assert macros.slugify(name) == slug


def test_slug_spells_out_every_latin_letter(macros: SimpleNamespace) -> None:
    """Latin-1, Latin Extended-A, and Latin Extended Additional (Vietnamese, Welsh)."""
    letters = [chr(point) for point in (*range(0xC0, 0x180), *range(0x1E00, 0x1F00)) if chr(point).isalpha()]
    slugs = {letter: macros.slugify(f"x{letter}x") for letter in letters}
    assert len(letters) > 300
    assert [letter for letter, slug in slugs.items() if not re.fullmatch("x[a-z]{1,6}x", slug)] == []
    for letter, slug in slugs.items():
        base = unicodedata.normalize("NFKD", letter)[0].lower()
        assert not base.isascii() or not base.isalpha() or slug.startswith(f"x{base}"), letter


@pytest.mark.parametrize(
    "slug",
    [
        "",
        "-a",
        "a-",
        "a--b",
        "a_b",
        "A",
        "1a",
        "a.b",
        "é",
        "a\nb",
        "a" * 41,
        "app",
        "tests",
        "yes",
        "postgres",
        "pydantic",
    ],
)
def test_invalid_slug_is_refused(macros: SimpleNamespace, slug: str) -> None:
    assert macros.check_slug(slug).partition(": ")[0] in {
        "Use a-z, 0-9, single dashes",
        "Too long",
        "Reserved word",
        "Name of a dependency",
    }


def test_python_keyword_is_refused_as_slug(macros: SimpleNamespace) -> None:
    assert [word for word in keyword.kwlist if not macros.check_slug(word)] == []


@pytest.mark.parametrize("slug", ["a", "a1", "my-service", " a ", "a-1", "a" * 40])
def test_valid_slug_is_accepted(macros: SimpleNamespace, slug: str) -> None:
    assert macros.check_slug(slug) == ""


@pytest.mark.parametrize("email", ["", "ada@example.com", " ada@example.com ", "Ada.O'Neil+news@mail.example.co.uk"])
def test_valid_email_is_accepted(macros: SimpleNamespace, email: str) -> None:
    assert macros.check_email(email) == ""


@pytest.mark.parametrize(
    "email",
    [
        "ada",
        "ada@example",
        "ada@@example.com",
        "a..b@example.com",
        "ada@-example.com",
        "Ada <ada@example.com>",
        "ada@example.com\nb",
        "ada@" + "e" * 250 + ".com",
    ],
)
def test_invalid_email_is_refused(macros: SimpleNamespace, email: str) -> None:
    assert macros.check_email(email) == "Invalid e-mail: type an address like team@example.com, or nothing."
