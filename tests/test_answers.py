"""Answers are data: refused with a sentence, or shown as they were typed, whatever they hold."""

import keyword
import tomllib
import unicodedata
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st
from jinja2 import FileSystemLoader
from jinja2.sandbox import SandboxedEnvironment
from markdown_it import MarkdownIt
from pytest_copie.plugin import Copie
from questionnaire import REPOSITORY

HOSTILE = [
    "a \"quoted\" \\ word \\n, it's '''triple''' \"\"\" # no comment \\",
    "{{ 7*7 }} {% raw %} {# gone #} $(id) `id` ${HOME} %PATH%",
    "]]> <b>bold</b> &amp; R&D key: value, - item | > * ! % @",
    "*a* _b_ **c** ~~d~~ [e](f) ![g](h) :tada: $x$ # i #",
    "- dash --force שירות 👩‍👩‍👧 🇺🇦 e\u0301",
    "1. null",
    "x" * 80,
]
OVERRIDES = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
MARKDOWN = MarkdownIt("commonmark").enable(["table", "strikethrough"])


@pytest.fixture(scope="module")
def macros() -> SimpleNamespace:
    """hooks/answers.jinja, in an environment like Copier's."""
    environment = SandboxedEnvironment(
        loader=FileSystemLoader(REPOSITORY), extensions=["jinja2_ansible_filters.AnsibleCoreFiltersExtension"]
    )
    return SimpleNamespace(**vars(environment.get_template("hooks/answers.jinja").module))


def shown(markdown: str) -> list[str]:
    """The plain text of each paragraph and heading."""
    blocks = [token.children or [] for token in MARKDOWN.parse(markdown) if token.type == "inline"]
    return ["".join(child.content for child in children if child.type == "text") for children in blocks]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_answer_is_data(copie_session: Copie, template: Path, text: str) -> None:
    author = text.translate({ord(mark): None for mark in ",<>"}).strip()
    answers = {"project_name": text, "project_description": text, "author_name": author}
    result = copie_session.copy(answers, template_dir=template)
    assert result.exception is None
    assert result.project_dir is not None
    assert answers.items() <= result.answers.items()

    stored = yaml.safe_load((result.project_dir / ".copier-answers.yml").read_text())
    assert answers.items() <= stored.items()
    project = tomllib.loads((result.project_dir / "pyproject.toml").read_text())["project"]
    assert project["description"] == text
    assert [person["name"] for person in project["authors"]] == [author]
    readme = shown((result.project_dir / "README.md").read_text())
    assert readme[0] == text
    assert text in readme[1:]
    assert f"Copyright (c) {author}" in (result.project_dir / "LICENSE").read_text()


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
