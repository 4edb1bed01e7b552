"""Django's settings, which core derives from environment variables."""

import runpy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.apps import apps
from django.conf import settings as django_settings
from django.core import mail
from django.core.files.storage import FileSystemStorage, InMemoryStorage, default_storage
from django.core.mail import send_mail
from django.core.management import CommandError, call_command
from django.db.models import FileField
from django.test import override_settings
from structlog.testing import capture_logs

from app.core import settings as settings_module
from app.core.cli.management.commands import startapp
from app.core.config import ABOUT, Settings
from app.core.http import application
from app.core.slices import PACKAGE
from app.core.testing import PRODUCTION
from tests.core.mail.inbox import Serve

MAIL = {"EMAIL_BACKEND", "EMAIL_HOST", "EMAIL_PORT", "EMAIL_HOST_USER", "EMAIL_HOST_PASSWORD", "EMAIL_TIMEOUT"}
MAIL |= {"EMAIL_USE_TLS", "EMAIL_USE_SSL", "DEFAULT_FROM_EMAIL", "SERVER_EMAIL"}
SENDER = {"MAIL_FROM": "service@example.com"}


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Read Django's settings with these environment variables."""
    monkeypatch.chdir(tmp_path)  # without an .env

    def read(**environment: str) -> dict[str, Any]:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        return runpy.run_path(settings_module.__file__)

    return read


def production() -> dict[str, str]:
    return {name.upper(): value for name, value in PRODUCTION.items()} | {"DATABASE_URL": "postgresql://u@h/d"}


class TestMail:
    @pytest.mark.parametrize(
        ("environment", "expected"),
        [
            ({"SMTP_URL": "smtp://h", "ENVIRONMENT": "development"}, ("smtp", "h", 587, "", "", False, False)),
            (
                {"SMTP_URL": "smtp://u:p%40@h:25", "ENVIRONMENT": "development"},
                ("smtp", "h", 25, "u", "p@", True, False),
            ),
            (production() | SENDER | {"SMTP_URL": "smtp://h"}, ("smtp", "h", 587, "", "", True, False)),
            (production() | SENDER | {"SMTP_URL": "smtps://u:p@h"}, ("smtp", "h", 465, "u", "p", False, True)),
            (production() | {"SMTP_URL": "off"}, ("dummy", "localhost", 587, "", "", False, False)),
            (production(), ("dummy", "localhost", 587, "", "", False, False)),
            ({"ENVIRONMENT": "development"}, ("console", "localhost", 587, "", "", False, False)),
            ({"ENVIRONMENT": "test"}, ("locmem", "localhost", 587, "", "", False, False)),
        ],
        ids=["smtp", "password", "production", "implicit TLS", "off", "missing", "development", "test"],
    )
    def test_settings_follow_smtp_url(self, read: Any, environment: dict[str, str], expected: tuple[Any, ...]) -> None:
        found = read(**environment)
        names = ("HOST", "PORT", "HOST_USER", "HOST_PASSWORD", "USE_TLS", "USE_SSL")
        backend = found["EMAIL_BACKEND"].split(".")[-2]
        assert (backend, *(found[f"EMAIL_{name}"] for name in names)) == expected
        assert found["DEFAULT_FROM_EMAIL"] == environment.get("MAIL_FROM", "service@localhost")

    def test_send_mail_reaches_the_server(self, read: Any, serve_mail: Serve) -> None:
        inbox, address = serve_mail()
        found = read(ENVIRONMENT="development", SMTP_URL=f"smtp://{address}", MAIL_FROM="me@example.com")
        with override_settings(**{name: found[name] for name in MAIL}):
            assert send_mail("Hello", "Text", None, ["ada@example.com"]) == 1
        [message] = inbox.messages
        assert (message["From"], message["Subject"], inbox.recipients) == (
            "me@example.com",
            "Hello",
            ["ada@example.com"],
        )

    def test_outbox_of_tests_begins_empty(self, mailoutbox: list[Any]) -> None:
        send_mail("Hello", "Text", None, ["ada@example.com"])
        assert [message.subject for message in mailoutbox] == ["Hello"]
        assert mailoutbox is mail.outbox


class TestCaches:
    def test_redis_url_selects_redis_cache(self, read: Any) -> None:
        cache = read(REDIS_URL="redis://127.0.0.1:6379/1")["CACHES"]["default"]
        assert cache["BACKEND"].endswith(".RedisCache")
        assert (cache["LOCATION"], cache["KEY_PREFIX"]) == ("redis://127.0.0.1:6379/1", ABOUT.name)

    def test_cache_without_redis_is_in_memory(self, read: Any) -> None:
        assert read()["CACHES"]["default"]["BACKEND"].endswith(".LocMemCache")


class TestUploads:
    def test_uploads_of_tests_stay_in_memory(self) -> None:
        assert isinstance(default_storage, InMemoryStorage)

    @pytest.mark.parametrize(("location", "is_named"), [(settings_module.MEDIA_ROOT, True), ("/srv/media", False)])
    def test_production_warns_about_default_upload_folder(
        self, settings: Settings, monkeypatch: pytest.MonkeyPatch, location: Any, is_named: bool
    ) -> None:
        field = FileField(name="image", storage=FileSystemStorage(location))
        model = SimpleNamespace(_meta=SimpleNamespace(label="blog.Post", get_fields=lambda: [field]))
        monkeypatch.setattr(apps, "get_models", lambda: [model])
        monkeypatch.setattr("app.core.database.checks.check", lambda: None)
        changed = settings.model_copy(update={"environment": "production"})
        with override_settings(CORE_SETTINGS=changed), capture_logs() as lines:
            application.start()
        found = [line for line in lines if line["event"] == "uploads are not served"]
        assert [line["fields"] for line in found] == ([["blog.Post.image"]] if is_named else [])


def test_project_has_folders() -> None:
    """`makemessages` writes to the folder of LOCALE_PATHS."""
    assert django_settings.BASE_DIR == PACKAGE
    assert django_settings.LOCALE_PATHS == [PACKAGE / "locale"]
    assert [engine["DIRS"] for engine in django_settings.TEMPLATES] == [[PACKAGE / "templates"]]
    folders = [folder for folder in [PACKAGE / "static"] if folder.is_dir()]
    assert folders == django_settings.STATICFILES_DIRS


class TestStartapp:
    @pytest.fixture
    def package(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        monkeypatch.setattr(startapp, "PACKAGE", tmp_path)
        return tmp_path

    def test_application_is_a_slice(self, package: Path, capsys: pytest.CaptureFixture[str]) -> None:
        call_command("startapp", "shop")
        made = {path.relative_to(package).as_posix() for path in package.rglob("*.py")}
        files = {"__init__", "admin", "migrations/__init__", "models", "views"}
        assert made == {f"shop/{name}.py" for name in files}
        assert (package / "shop/models.py").read_text() == '"""The tables of shop."""\n'
        assert f"Made the slice {package / 'shop'}." in capsys.readouterr().out

    @pytest.mark.parametrize(
        ("name", "reason"),
        [
            ("sessions", "'sessions' is the label of django.contrib.sessions"),
            ("taken", "already exists"),
            ("a-b", "is not a valid app name"),
            ("../x", "is not a valid app name"),
            ("json", "conflicts with the name of an existing Python module"),
        ],
    )
    def test_unusable_name_is_one_sentence(self, package: Path, name: str, reason: str) -> None:
        (package / "taken").mkdir()
        with pytest.raises(CommandError, match=reason):
            call_command("startapp", name)
        assert [path.name for path in package.iterdir()] == ["taken"]
