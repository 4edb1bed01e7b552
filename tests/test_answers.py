"""Answers are data: refused with a sentence, or shown as they were typed, whatever they hold."""

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
)  # like Copier's
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
    """The plain text of each paragraph and heading."""
    blocks = [token.children or [] for token in MARKDOWN.parse(markdown) if token.type == "inline"]
    return ["".join(child.content for child in children if child.type == "text") for children in blocks]


CHOSEN = [answers(row | dict.fromkeys(TEXTS, "default")) for row in ROWS]

type Rendering = Callable[[Mapping[str, str]], dict[str, object]]


def carrying_answers() -> Iterator[Path]:
    """The files of the template with something in them, or in their path, that a person typed."""
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
    """Copier in this process, which compiles each template once, and of the template what carries answers."""
    template = tmp_path_factory.mktemp("template")
    for path in (Path("copier.yml"), Path("LICENSE"), *working_tree("hooks"), *carrying_answers()):
        (template / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(REPOSITORY / path, template / path)
    compiler = Worker(src_path=str(template), dst_path=template)
    compiler.jinja_env.auto_reload = False
    vars(compiler.jinja_env)["from_string"] = cache(compiler.jinja_env.from_string)

    no_git = {"_sync_git_index_executable_bit": lambda *_: None}  # which would start one for each file

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
    """A document with what was typed in place of the plain answers."""
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
    "author_name": acceptable(100, without=",<>"),
    "author_email": st.just("")
    | st.from_regex(r"(?a)\A[\w%+'-]{1,9}(\.[\w%+'-]{1,5})?@[a-z0-9]{1,9}(\.[a-z0-9]{1,9}){1,2}\Z"),
}


@st.composite
def typed_answers(draw: st.DrawFn) -> dict[str, str]:
    """To every question; what is typed into one of them may be anything at all."""
    given = draw(st.fixed_dictionaries({name: ACCEPTABLE.get(name, ANYTHING) for name in TEXTS}))
    if draw(st.booleans()):
        given[draw(st.sampled_from(TEXTS))] = draw(ANYTHING)
    return given


@pytest.fixture(scope="module")
def plain(rendering: Rendering) -> Callable[[int, str], dict[str, object]]:
    """What a row reads like with plain answers."""
    return cache(lambda row, email: rendering({**CHOSEN[row], **PLAIN, "author_email": email}))


@pytest.mark.deep
@pytest.mark.parametrize("part", range(4))
def test_each_answer_is_refused_or_read_back(
    rendering: Rendering, plain: Callable[[int, str], dict[str, object]], part: int
) -> None:
    """Whatever is typed into whichever question, under whichever choices: one sentence, or each file that carries it
    says the same as with plain answers, but for the answers. The same 1,000 at each run, in parts that run at once."""
    seen: Counter[str] = Counter()

    @seed(part)
    @settings(max_examples=250, database=None, deadline=None, suppress_health_check=list(HealthCheck))
    @given(row=st.integers(0, len(CHOSEN) - 1), typed=typed_answers())
    def refused_or_read_back(row: int, typed: dict[str, str]) -> None:
        try:
            files = rendering({**CHOSEN[row], **typed})
        except ValueError as refusal:
            assert re.fullmatch(r"Validation error for question '\w+': Type [^\n]+\.", str(refusal))  # noqa: PT017
            seen["refused"] += 1
            return
        before = plain(row, PLAIN["author_email"] if typed["author_email"] else "")
        assert {replaced(path, typed) for path in before} == files.keys()
        for path, document in before.items():
            assert replaced(document, typed) == replaced(files[replaced(path, typed)], PLAIN), path
        seen["read back"] += 1

    refused_or_read_back()
    assert seen.total() >= 250
    assert min(seen["refused"], seen["read back"]) >= 50


def test_characters_that_end_a_name_are_refused(macros: SimpleNamespace) -> None:
    sentence = "Type it without the characters , < > in it."
    assert macros.check_text("Ada <ada@example.com>", 100, without=",<>") == sentence
    assert macros.check_text("Ada & Grace", 100, without=",<>") == ""


@example("- a")
@example("+ a")
@example("12) a")
@given(text=st.text(st.characters() | st.sampled_from(" \"\\'`*_[]<>&#|~$:;!-+=1.)(a" + OVERRIDES), max_size=90))
def test_text_is_refused_or_kept(macros: SimpleNamespace, text: str) -> None:
    harmful = any(unicodedata.category(mark) in {"Cc", "Zl", "Zp", "Cs"} for mark in text)
    if sentence := macros.check_text(text, 80):
        assert harmful or text != text.strip() or not 1 <= len(text) <= 80 or set(text) & set("\ufeff" + OVERRIDES)
        assert sentence.startswith("Type ")
        assert sentence.endswith(".")
    else:
        assert not harmful
        assert tomllib.loads(f"text = {macros.toml(text)}") == {"text": text}
        assert yaml.safe_load(f"text: {macros.toml(text)}") == {"text": text}
        assert shown(macros.markdown(text)) == [text]
        assert shown(f"# {macros.markdown(text)}") == [text]


@pytest.mark.parametrize("mark", ["\n", "\r", "\t", "\0", "\x1b", "\x7f", "\x85", "\u2028", "\u2029", *OVERRIDES])
def test_a_deceptive_mark_is_refused(macros: SimpleNamespace, mark: str) -> None:
    assert macros.check_text(f"a{mark}b", 80).startswith("Type it on one line, ")


@pytest.mark.parametrize(
    ("folder", "name", "slug"),
    [
        ("my-service", "My Service", "my-service"),
        ("billing_API.v2", "Billing Api V2", "billing-api-v2"),
        ("Café Zürich", "Café Zürich", "cafe-zurich"),
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
def test_a_folder_gives_a_name_and_a_name_a_slug(macros: SimpleNamespace, folder: str, name: str, slug: str) -> None:
    assert macros.name_from(folder) == name
    assert macros.slugify(name) == slug


@given(text=st.text(max_size=120))
def test_a_default_is_always_accepted(macros: SimpleNamespace, text: str) -> None:
    assert macros.check_text(macros.name_from(text), 80) == ""
    slug = macros.slugify(text)
    assert macros.check_slug(slug) == ""
    assert macros.check_text(f"{slug} authors", 100, without=",<>") == ""


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
        "a\n",
        "a" * 41,
        "app",
        "tests",
        "yes",
        "postgres",
        "pydantic",
    ],
)
def test_a_slug_that_something_chokes_on_is_refused(macros: SimpleNamespace, slug: str) -> None:
    assert macros.check_slug(slug).startswith("Type ")


def test_no_keyword_is_a_slug(macros: SimpleNamespace) -> None:
    assert [word for word in keyword.kwlist if not macros.check_slug(word)] == []


@pytest.mark.parametrize("slug", ["a", "a1", "my-service", "a-1", "a" * 40])
def test_a_good_slug_is_accepted(macros: SimpleNamespace, slug: str) -> None:
    assert macros.check_slug(slug) == ""


@pytest.mark.parametrize("email", ["", "ada@example.com", "Ada.O'Neil+news@mail.example.co.uk"])
def test_an_address_is_accepted(macros: SimpleNamespace, email: str) -> None:
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
        "ada@example.com\n",
        "ada@" + "e" * 250 + ".com",
    ],
)
def test_what_metadata_cannot_hold_is_no_address(macros: SimpleNamespace, email: str) -> None:
    assert macros.check_email(email) == "Type an address like team@example.com, or leave it empty."
