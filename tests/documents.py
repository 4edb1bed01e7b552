"""Parsers of rendered files by suffix. Each raises an error for invalid syntax."""

import ast
import json
import subprocess
import tomllib
from collections.abc import Callable
from itertools import groupby
from pathlib import PurePath

import dockerfile  # type: ignore[import-not-found]
import yaml
from markdown_it import MarkdownIt
from markdown_it.token import Token

INSTRUCTIONS = {
    *("add", "arg", "cmd", "copy", "entrypoint", "env", "expose", "from", "healthcheck", "label", "onbuild", "run"),
    *("shell", "stopsignal", "user", "volume", "workdir"),
}
MARKDOWN = MarkdownIt("commonmark").enable(["table", "strikethrough"])


def read_dockerfile(text: str) -> object:
    commands = dockerfile.parse_string(text)
    assert {command.cmd.lower() for command in commands} <= INSTRUCTIONS
    return [(command.cmd, command.flags, command.value) for command in commands]


def read_shell(text: str) -> object:
    checked = subprocess.run(["bash", "-n"], input=text, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr
    return text


def read_markdown(text: str) -> object:
    """Return the blocks with their text, code and links in order."""

    def said(token: Token) -> object:
        runs = groupby(token.children or [], key=lambda child: child.type)
        inline = [(kind, "".join(child.content for child in children)) for kind, children in runs]
        return token.type, token.tag, inline or token.content

    return [said(token) for token in MARKDOWN.parse(text)]


READERS: dict[str, Callable[[str], object]] = {
    ".json": json.loads,
    ".md": read_markdown,
    ".py": ast.parse,
    ".py-tpl": ast.parse,  # of Django's `startapp`; the placeholders are in text
    ".sh": read_shell,
    ".toml": tomllib.loads,
    ".yaml": lambda text: list(yaml.safe_load_all(text)),
    ".yml": lambda text: list(yaml.safe_load_all(text)),
    "Dockerfile": read_dockerfile,
    # Not checked: prose, and formats without a parser.
    ".dockerignore": str,
    ".editorconfig": str,
    ".env": str,
    ".env.example": str,
    ".gitattributes": str,
    ".gitignore": str,
    ".html": str,
    ".mako": str,
    ".python-versions": str,
    ".txt": str,
    ".typed": str,
    "LICENSE": str,
}


def read(path: PurePath, text: str) -> object:
    reader = READERS.get(path.name) or READERS.get(path.suffix)
    assert reader, f"Say in {__name__}.py how {path} is read."
    return reader(text)
