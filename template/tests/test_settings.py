"""Settings: what the environment may hold, what production refuses, and that `.env.example` tells all of it."""

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError
from pydantic_core import PydanticUndefined
from pydantic_settings import BaseSettings

from app.config import ADVICE, ConfigError, Environment, Settings
from app.slices import find_slices

EXAMPLE = Path(__file__).parents[1] / ".env.example"
STRONG = "0123456789abcdef" * 2
GOOD = {"ENVIRONMENT": "production", "DATABASE_URL": "postgresql://app@db/app", "SECRET_KEY": STRONG}
AN_ISSUER = {"JWT_ISSUER": "https://id.example.com", "JWT_AUDIENCE": "api"}

Load = Callable[..., Settings]


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Load:
    """Loads the settings of an environment that holds nothing else, in an empty folder."""

    def load(**variables: str) -> Settings:
        for name in Settings.model_fields:
            monkeypatch.delenv(name.upper(), raising=False)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        monkeypatch.chdir(tmp_path)
        return Settings.load()

    return load


def test_development_needs_nothing(load: Load) -> None:
    settings = load()
    assert settings.environment == "development"
    assert not settings.production
    assert settings.database_url is None
    assert settings.secret_key != load().secret_key, "a secret is made for each run"


def test_production_starts(load: Load) -> None:
    assert load(**GOOD).production


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"DATABASE_URL": ""},
            "DATABASE_URL is required in production, for example postgresql://user@host/database",
        ),
        ({"SECRET_KEY": ""}, f"SECRET_KEY is required in production. {ADVICE}"),
        ({"SECRET_KEY": "please-change-me-" * 2}, f"SECRET_KEY looks like a placeholder. {ADVICE}"),
        ({"SECRET_KEY": "a" * 64}, f"SECRET_KEY looks like a placeholder. {ADVICE}"),
        ({"SECRET_KEY": STRONG[:31]}, f"SECRET_KEY must be at least 32 bytes. {ADVICE}"),
        (
            {"ALLOWED_ORIGINS": "https://a.example, *"},
            "ALLOWED_ORIGINS must name its origins in production, '*' is refused",
        ),
        ({"ALLOWED_HOSTS": "*"}, "ALLOWED_HOSTS must name its hosts in production, '*' is refused"),
        (
            {"TRUSTED_PROXIES": "10.0.0.0/8, *"},
            "TRUSTED_PROXIES must name its networks in production, '*' is refused",
        ),
        ({"DEBUG": "true"}, "DEBUG must be off in production"),
        ({"JWT_ISSUER": "http://id.example.com", "JWT_AUDIENCE": "api"}, "JWT_ISSUER must start with https://"),
    ],
)
def test_production_refuses(load: Load, changes: dict[str, str], sentence: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load(**GOOD | changes)
    assert str(refused.value) == sentence


@pytest.mark.parametrize("environment", ["development", "test", "production"])
def test_issuer_needs_an_audience(load: Load, environment: str) -> None:
    with pytest.raises(ConfigError, match=r"^JWT_AUDIENCE is required with JWT_ISSUER: .*$"):
        load(**GOOD | AN_ISSUER | {"ENVIRONMENT": environment, "JWT_AUDIENCE": ""})


def test_development_may_use_an_issuer_on_this_machine(load: Load) -> None:
    issuer = "http://localhost:8080"
    assert load(**AN_ISSUER | {"JWT_ISSUER": issuer}).jwt_issuer == issuer
    with pytest.raises(ConfigError, match=r"^JWT_ISSUER must start with https:// or http://$"):
        load(**AN_ISSUER | {"JWT_ISSUER": "localhost"})


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("DATABASE_URL", "mysql://db/app", "DATABASE_URL is not usable: must start with postgresql://."),
        (
            "DATABASE_URL",
            "postgresql://u:hunter%zz@h/d",
            "DATABASE_URL is not usable: must have a % of a name or password written as %25.",
        ),
        ("PORT", "70000", "PORT is not usable: Input should be less than or equal to 65535."),
        ("LOG_LEVEL", "loud", "LOG_LEVEL is not usable: Input should be 'debug', 'info', 'warning' or 'error'."),
        ("LOGIN_RATE", "10 per minute", "LOGIN_RATE is not usable: must be a rate such as 10/minute."),
        ("LOGIN_ADDRESS_RATE", "0/day", "LOGIN_ADDRESS_RATE is not usable: must be a rate such as 10/minute."),
        (
            "TRUSTED_PROXIES",
            "10.0.0.1, proxy",
            "TRUSTED_PROXIES is not usable: must name addresses such as 10.0.0.1 or networks such as 10.0.0.0/8.",
        ),
        ("ENVIRONMENT", "staging", "ENVIRONMENT is not usable: Input should be .*"),
    ],
)
def test_a_value_that_does_not_fit_is_one_sentence(load: Load, name: str, value: str, sentence: str) -> None:
    with pytest.raises(ConfigError, match=f"^{sentence}$"):
        load(**{name: value})


def test_every_mistake_is_told_and_no_secret_is(load: Load) -> None:
    with pytest.raises(ConfigError) as refused:
        load(PORT="http", DATABASE_URL="mysql://app:hunter2@db/app")
    assert [line.split()[0] for line in str(refused.value).splitlines()] == ["DATABASE_URL", "PORT"]
    assert "hunter2" not in str(refused.value)


def test_secrets_are_not_shown(load: Load) -> None:
    settings = load(**GOOD | {"DATABASE_URL": "postgresql://app:hunter2@db/app", "SENTRY_DSN": "https://key@sentry"})
    assert not re.search("hunter2|key@|" + STRONG, f"{settings!r} {settings}")


@pytest.mark.parametrize(
    ("text", "words"),
    [("", ()), ("a.example", ("a.example",)), (" a.example , b.example,, ", ("a.example", "b.example")), (",", ())],
)
def test_lists_are_separated_by_commas(load: Load, text: str, words: tuple[str, ...]) -> None:
    assert load(ALLOWED_HOSTS=text).allowed_hosts == words


def test_a_blank_variable_counts_as_unset(load: Load) -> None:
    settings = load(PORT="", DATABASE_URL="", JWT_ISSUER="", LOG_FORMAT="", ENVIRONMENT="")
    assert (settings.port, settings.database_url, settings.jwt_issuer) == (8000, None, None)
    assert settings.environment == "development"


def test_both_spellings_of_postgresql(load: Load) -> None:
    assert load(DATABASE_URL="postgres://app@db/app").database_url == "postgresql://app@db/app"


@pytest.mark.parametrize(("environment", "port"), [("development", 8001), ("test", 8000), ("production", 8000)])
def test_only_development_reads_the_file(load: Load, tmp_path: Path, environment: str, port: int) -> None:
    (tmp_path / ".env").write_text("PORT=8001\n")
    assert load(**GOOD | {"ENVIRONMENT": environment}).port == port


def test_a_file_makes_no_production(load: Load, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("".join(f"{name}={value}\n" for name, value in GOOD.items()))
    with pytest.raises(ConfigError, match=r"^ENVIRONMENT=production must be set in the environment, not in \.env$"):
        load()


def test_the_environment_is_stronger_than_the_file(load: Load, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("PORT=8001\n")
    assert load(PORT="8002").port == 8002


def test_hosts_of_this_machine_are_answered_outside_production_only(load: Load) -> None:
    assert load(ALLOWED_HOSTS="a.example").hosts >= {"a.example", "localhost", "127.0.0.1", "[::1]"}
    assert load(**GOOD | {"ALLOWED_HOSTS": "a.example"}).hosts == {"a.example"}


@pytest.mark.parametrize(
    ("environment", "log_format", "logs_json"),
    [
        ("development", "", False),
        ("test", "", True),
        ("production", "", True),
        ("development", "json", True),
        ("production", "console", False),
    ],
)
def test_logs_are_for_people_in_development(load: Load, environment: str, log_format: str, logs_json: bool) -> None:
    assert load(**GOOD | {"ENVIRONMENT": environment, "LOG_FORMAT": log_format}).logs_json is logs_json


def test_settings_do_not_change(load: Load) -> None:
    with pytest.raises(ValidationError, match="frozen"):
        setattr(load(), "port", 1)  # noqa: B010 -- mypy refuses the plain form


def test_example_lists_every_variable_with_its_meaning_and_default() -> None:
    written = re.findall(r"^# (.+)\n#([A-Z0-9_]+)=(.*)$", EXAMPLE.read_text("utf-8"), re.MULTILINE)
    assert written == [
        (field.description, name.upper(), _as_text(field.default))
        for kind in _settings_classes()
        for name, field in kind.model_fields.items()
        if kind is Settings or name not in Environment.model_fields
    ]


def test_example_changes_nothing_when_it_is_used_whole(load: Load, tmp_path: Path) -> None:
    default = load()
    (tmp_path / ".env").write_text(re.sub(r"^#(?=[A-Z])", "", EXAMPLE.read_text("utf-8"), flags=re.MULTILINE))
    assert load().model_dump(exclude={"secret_key"}) == default.model_dump(exclude={"secret_key"})


def test_the_tests_run_without_the_settings_of_the_shell() -> None:
    assert os.environ["ENVIRONMENT"] == "test"


def _settings_classes() -> Iterator[type[BaseSettings]]:
    yield Settings
    for found in find_slices():
        if kind := found.attribute("settings", "Settings", type(Environment)):
            yield kind


def _as_text(default: object) -> str:
    if default in (None, (), PydanticUndefined):
        return ""
    if isinstance(default, SecretStr):
        return default.get_secret_value()
    return str(default).lower() if isinstance(default, bool) else str(default)
