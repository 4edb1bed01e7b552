"""Texts of the messages of core, which files of the project replace."""

from collections.abc import Mapping
from html import escape
from pathlib import Path
from string import Template
from typing import NamedTuple

from app.core.config import ABOUT
from app.core.mail.settings import get_settings

CORE_TEXTS = Path(__file__).parent / "emails"

OWN_TEXTS = Path(__file__).parents[2] / "emails"
"""The project's own texts: `src/app/emails/NAME.txt`, and `NAME.html` for an HTML version."""


class Message(NamedTuple):
    """Subject and content of a message."""

    subject: str
    text: str
    html: str | None


def write_message(name: str, /, **values: str) -> Message:
    """Return the message `name` with these values, which are escaped in the HTML version.

    The first line of the text file is the subject. `$service` is the name of the service. An unknown `$name` stays.
    """
    folder = OWN_TEXTS if (OWN_TEXTS / f"{name}.txt").is_file() else CORE_TEXTS
    return _filled(folder, name, {"service": ABOUT.title, **values})


def write_token_message(name: str, path: str, token: str, /, **values: str) -> Message:
    """Return the message `name`. Its `$link` is the page `path` of FRONTEND_URL with the token as fragment.

    Browsers send no fragment to servers, so that no log contains the token. Without FRONTEND_URL, `$link` is the token.
    The link never depends on headers of the request, against forged links.
    """
    base = get_settings().frontend_url
    return write_message(name, link=f"{base.rstrip('/')}/{path}#token={token}" if base else token, **values)


def _filled(folder: Path, name: str, values: Mapping[str, str]) -> Message:
    subject, _, text = (folder / f"{name}.txt").read_text("utf-8").partition("\n")
    html = folder / f"{name}.html"
    escaped = {key: escape(value) for key, value in values.items()}
    return Message(
        Template(subject).safe_substitute(values).strip(),
        Template(text).safe_substitute(values).lstrip("\n"),
        Template(html.read_text("utf-8")).safe_substitute(escaped) if html.is_file() else None,
    )
