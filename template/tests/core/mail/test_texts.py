"""Texts of core's messages, and those of the project."""

from html import escape
from pathlib import Path

import pytest

from app.core import ABOUT
from app.core.mail import settings as mail_settings
from app.core.mail import texts
from app.core.mail.settings import Settings
from app.core.mail.texts import CORE_TEXTS, write_message, write_token_message

RESET = "password_reset"


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the project's own texts."""
    monkeypatch.setattr(texts, "OWN_TEXTS", tmp_path)
    return tmp_path


@pytest.mark.usefixtures("own")
def test_values_are_escaped_in_html_only() -> None:
    message = write_message(RESET, name="<b>Ada</b> & $link", link="x", minutes="30")
    assert "Hello <b>Ada</b> & $link," in message.text
    assert "Hello &lt;b&gt;Ada&lt;/b&gt; &amp; $link," in (message.html or "")


def test_text_of_the_project_replaces_cores(own: Path) -> None:
    (own / f"{RESET}.txt").write_text("Neues Passwort für $service\n\nHallo $name: $link $unknown 100 $\n", "utf-8")
    message = write_message(RESET, name="Zoë", link="x", minutes="30")
    assert message.subject.startswith("Neues Passwort für ")
    assert message.text == "Hallo Zoë: x $unknown 100 $\n"
    assert message.html is None
    (own / f"{RESET}.html").write_text("<p>$name</p>", "utf-8")
    assert write_message(RESET, name="<i>", link="x", minutes="30").html == "<p>&lt;i&gt;</p>"


@pytest.mark.usefixtures("own")
@pytest.mark.parametrize("name", sorted({path.stem for path in CORE_TEXTS.iterdir()}))
def test_texts_of_core_name_only_known_values(name: str) -> None:
    message = write_message(name, name="Ada", link="https://link", minutes="30", email="ada@example.com")
    assert message.subject
    assert message.html
    written = message.subject + message.text + message.html
    assert "$" not in written.replace(ABOUT.title, "").replace(escape(ABOUT.title), "")


@pytest.mark.parametrize(
    ("base", "link"),
    [(None, "abc"), ("https://shop.example.com", "https://shop.example.com/reset#token=abc")],
)
def test_link_leads_to_the_frontend(own: Path, monkeypatch: pytest.MonkeyPatch, base: str | None, link: str) -> None:
    monkeypatch.setattr(texts, "get_settings", lambda: Settings(frontend_url=base))
    (own / "any.txt").write_text("Subject\n$link")
    assert write_token_message("any", "reset", "abc").text == link


def test_frontend_url_must_be_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRONTEND_URL", "javascript:alert(1)")
    with pytest.raises(Exception, match="FRONTEND_URL"):
        mail_settings.Settings.load()
