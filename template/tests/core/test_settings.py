"""Settings: environment variables, `.env`, validation and rules of production."""

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError
from pydantic_settings import BaseSettings

from app.core.cli.env_example import add_missing, variables
from app.core.config import ADVICE, ConfigError, Environment, Settings
from app.core.slices import find_parts

STRONG = "0123456789abcdef" * 2
GOOD = {"ENVIRONMENT": "production", "DATABASE_URL": "postgresql://app@db/app", "SECRET_KEY": STRONG}
AN_ISSUER = {"JWT_ISSUER": "https://id.example.com", "JWT_AUDIENCE": "api"}

Load = Callable[..., Settings]


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Load:
    """Load the settings with only these variables, in an empty folder."""

    def load(**variables: str) -> Settings:
        for name in Settings.model_fields:
            monkeypatch.delenv(name.upper(), raising=False)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        monkeypatch.chdir(tmp_path)
        return Settings.load()

    return load


ANY_TEXT = {
    "allowed_hosts",
    "allowed_origins",
    "host",
    "jwt_audience",
    "jwt_scope_claims",
    "secret_key",
    "password_forbidden_words",
}
"""Free-text settings: each value is valid."""


def _settings_classes() -> Iterator[type[BaseSettings]]:
    yield Settings
    for found in find_parts():
        if kind := found.attribute("settings", "Settings", type(Environment)):
            yield kind


class TestProduction:
    def test_valid_production_settings_are_accepted(self, load: Load) -> None:
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
    def test_unsafe_production_setting_is_refused(self, load: Load, changes: dict[str, str], sentence: str) -> None:
        with pytest.raises(ConfigError) as refused:
            load(**GOOD | changes)
        assert str(refused.value) == sentence

    def test_every_error_is_reported_without_secrets(self, load: Load) -> None:
        with pytest.raises(ConfigError) as refused:
            load(PORT="http", DATABASE_URL="mysql://app:hunter2@db/app")
        assert [line.split()[0] for line in str(refused.value).splitlines()] == ["DATABASE_URL", "PORT"]
        assert "hunter2" not in str(refused.value)

    def test_secrets_are_not_in_repr(self, load: Load) -> None:
        settings = load(
            **GOOD | {"DATABASE_URL": "postgresql://app:hunter2@db/app", "SENTRY_DSN": "https://key@sentry/1"}
        )
        assert not re.search("hunter2|key@|" + STRONG, f"{settings!r} {settings}")

    def test_local_hosts_are_refused_in_production(self, load: Load) -> None:
        assert load(ALLOWED_HOSTS="a.example").hosts >= {"a.example", "localhost", "127.0.0.1", "[::1]", "testserver"}
        assert load(**GOOD | {"ALLOWED_HOSTS": "a.example"}).hosts == {"a.example"}


class TestIdentityProvider:
    def test_issuer_verifies_addresses_itself(self, load: Load) -> None:
        with pytest.raises(ConfigError, match=r"^VERIFY_EMAIL must be off with JWT_ISSUER: .*$"):
            load(**AN_ISSUER | {"VERIFY_EMAIL": "true"})

    @pytest.mark.parametrize("environment", ["development", "test", "production"])
    def test_issuer_needs_an_audience(self, load: Load, environment: str) -> None:
        with pytest.raises(ConfigError, match=r"^JWT_AUDIENCE is required with JWT_ISSUER: .*$"):
            load(**GOOD | AN_ISSUER | {"ENVIRONMENT": environment, "JWT_AUDIENCE": ""})

    def test_development_accepts_http_issuer(self, load: Load) -> None:
        issuer = "http://localhost:8080"
        assert load(**AN_ISSUER | {"JWT_ISSUER": issuer}).jwt_issuer == issuer
        with pytest.raises(ConfigError, match=r"^JWT_ISSUER must start with https:// or http://$"):
            load(**AN_ISSUER | {"JWT_ISSUER": "localhost"})

    def test_claims_and_map_of_scopes_are_lists(self, load: Load) -> None:
        settings = load(JWT_SCOPE_CLAIMS="scp, roles", JWT_SCOPE_MAP="Shop Admin = admin, a=b=read,Shop Admin=write")
        assert settings.jwt_scope_claims == ("scp", "roles")
        assert settings.jwt_scope_map == (("Shop Admin", "admin"), ("a=b", "read"), ("Shop Admin", "write"))


class TestValues:
    @pytest.mark.parametrize(
        ("name", "value", "sentence"),
        [
            ("DATABASE_URL", "mysql://db/app", "DATABASE_URL is invalid: must start with postgresql://."),
            (
                "DATABASE_URL",
                "postgresql://u:hunter%zz@h/d",
                "DATABASE_URL is invalid: must write a % of a name or password as %25.",
            ),
            ("PORT", "70000", "PORT is invalid: Input should be less than or equal to 65535."),
            ("LOG_LEVEL", "loud", "LOG_LEVEL is invalid: Input should be 'debug', 'info', 'warning' or 'error'."),
            ("LOGIN_RATE", "10 per minute", "LOGIN_RATE is invalid: must be a rate such as 10/minute."),
            ("LOGIN_ADDRESS_RATE", "0/day", "LOGIN_ADDRESS_RATE is invalid: must be a rate such as 10/minute."),
            (
                "TRUSTED_PROXIES",
                "10.0.0.1, proxy",
                "TRUSTED_PROXIES is invalid: must name addresses such as 10.0.0.1 or networks such as 10.0.0.0/8.",
            ),
            (
                "JWT_SCOPE_MAP",
                "Shop.Admin=admin, reader",
                "JWT_SCOPE_MAP is invalid: must be pairs such as Shop.Admin=admin, comma-separated.",
            ),
            ("DATABASE_URL", "postgresql://u@h:port/d", "DATABASE_URL is invalid: Port could not be cast to .*"),
            ("SENTRY_DSN", "not-a-dsn", "SENTRY_DSN is invalid: must be like https://key@host/1."),
            ("SENTRY_DSN", "https://key@host", "SENTRY_DSN is invalid: must be like https://key@host/1."),
            ("REDIS_URL", "127.0.0.1:6379", "REDIS_URL is invalid: must be like redis://host:6379."),
            ("REDIS_URL", "redis://", "REDIS_URL is invalid: must be like redis://host:6379."),
            (
                "OTEL_EXPORTER_OTLP_ENDPOINT",
                "localhost:4317",
                "OTEL_EXPORTER_OTLP_ENDPOINT is invalid: must start with https:// or http:// and name a host.",
            ),
            ("ENVIRONMENT", "staging", "ENVIRONMENT is invalid: Input should be .*"),
        ],
    )
    def test_invalid_value_is_one_sentence(self, load: Load, name: str, value: str, sentence: str) -> None:
        with pytest.raises(ConfigError, match=f"^{sentence}$"):
            load(**{name: value})

    @pytest.mark.parametrize("name", sorted(Settings.model_fields.keys() - ANY_TEXT))
    @pytest.mark.parametrize("garbage", ["☃ ;", "-1e999", "{'a': [", "[::1", "%zz://\x01"])
    def test_garbage_is_one_sentence(self, load: Load, name: str, garbage: str) -> None:
        with pytest.raises(ConfigError) as refused:
            load(**{"JWT_AUDIENCE": "api", name.upper(): garbage})
        assert len(str(refused.value).splitlines()) == 1
        assert str(refused.value).startswith(name.upper())

    @pytest.mark.parametrize(
        "url", ["redis://:p@redis/0", "rediss://redis:6380", "redis+sentinel://a:26379,b:26379/main"]
    )
    def test_redis_urls_are_accepted(self, load: Load, url: str) -> None:
        assert load(REDIS_URL=url).redis_url == url

    @pytest.mark.parametrize(
        "url", ["postgresql://", "postgresql://u@a:1,b:2/d", "postgresql://u@[::1]:5432/d?host=/tmp"]
    )
    def test_postgresql_urls_are_accepted(self, load: Load, url: str) -> None:
        assert load(DATABASE_URL=url).database_url == url

    @pytest.mark.parametrize(
        ("text", "words"),
        [("", ()), ("a.example", ("a.example",)), (" a.example , b.example,, ", ("a.example", "b.example")), (",", ())],
    )
    def test_lists_are_separated_by_commas(self, load: Load, text: str, words: tuple[str, ...]) -> None:
        assert load(ALLOWED_HOSTS=text).allowed_hosts == words

    def test_blank_variable_is_unset(self, load: Load) -> None:
        settings = load(PORT="", DATABASE_URL="", JWT_ISSUER="", LOG_FORMAT="", ENVIRONMENT="")
        assert (settings.port, settings.database_url, settings.jwt_issuer) == (8000, None, None)
        assert settings.environment == "development"

    def test_postgres_scheme_is_accepted(self, load: Load) -> None:
        assert load(DATABASE_URL="postgres://app@db/app").database_url == "postgresql://app@db/app"

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
    def test_log_format_follows_the_environment(
        self, load: Load, environment: str, log_format: str, logs_json: bool
    ) -> None:
        assert load(**GOOD | {"ENVIRONMENT": environment, "LOG_FORMAT": log_format}).logs_json is logs_json

    def test_settings_are_frozen(self, load: Load) -> None:
        with pytest.raises(ValidationError, match="frozen"):
            setattr(load(), "port", 1)  # noqa: B010 -- mypy refuses the plain form


class TestEnvFile:
    def test_development_needs_no_settings(self, load: Load) -> None:
        settings = load()
        assert settings.environment == "development"
        assert not settings.production
        assert settings.database_url is None
        assert settings.secret_key != load().secret_key, "a secret is made for each run"

    def test_env_file_in_latin_1_is_one_sentence(self, load: Load, tmp_path: Path) -> None:
        (tmp_path / ".env").write_bytes("LOG_LEVEL=info # größe".encode("latin-1"))
        with pytest.raises(ConfigError, match=r"^\.env is not UTF-8 \(byte 0xf6\): save it as UTF-8\.$"):
            load()

    @pytest.mark.parametrize(("environment", "port"), [("development", 8001), ("test", 8000), ("production", 8000)])
    def test_only_development_reads_env_file(self, load: Load, tmp_path: Path, environment: str, port: int) -> None:
        (tmp_path / ".env").write_text("PORT=8001\n")
        assert load(**GOOD | {"ENVIRONMENT": environment}).port == port

    def test_env_file_cannot_set_production(self, load: Load, tmp_path: Path) -> None:
        (tmp_path / ".env").write_text("".join(f"{name}={value}\n" for name, value in GOOD.items()))
        with pytest.raises(ConfigError, match=r"^ENVIRONMENT=production must be set in the environment, not in \.env$"):
            load()

    def test_environment_overrides_env_file(self, load: Load, tmp_path: Path) -> None:
        (tmp_path / ".env").write_text("PORT=8001\n")
        assert load(PORT="8002").port == 8002


class TestEnvironment:
    def test_every_setting_has_a_description(self) -> None:
        """`poe env` writes the description beside the variable."""
        missing = [
            f"{kind.__module__.replace('.', '/')}.py: {name} needs a description, as in Field(description='...')."
            for kind in _settings_classes()
            for name, field in kind.model_fields.items()
            if not field.description or "\n" in field.description
        ]
        assert not missing, "\n".join(missing)

    def test_every_setting_is_read_from_the_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """An invalid value must raise an error that names the variable. A text setting returns the value."""
        for kind in _settings_classes():
            for name in (name for name, field in kind.model_fields.items() if field.validation_alias is None):
                with monkeypatch.context() as patch:
                    patch.setenv(name.upper(), "~unlikely~")
                    try:
                        read = getattr(kind(), name)
                    except ValidationError as error:
                        found = {str(part) for mistake in error.errors() for part in mistake["loc"]}
                        assert not found or name in found, f"{kind.__module__}: {name} is not read from {name.upper()}."
                    else:
                        text = read.get_secret_value() if isinstance(read, SecretStr) else str(read)
                        assert "~unlikely~" in text, f"{kind.__module__}: {name} is not read from {name.upper()}."

    def test_env_adds_missing_settings_to_example(self, tmp_path: Path) -> None:
        example = tmp_path / ".env.example"
        example.write_text("# mine\nPORT=8001\n#HOST=0.0.0.0\n# own text")
        added = add_missing(example)
        assert added == [name for name, _ in variables() if name not in {"PORT", "HOST"}]
        text = example.read_text()
        assert text.startswith("# mine\nPORT=8001\n#HOST=0.0.0.0\n# own text\n")
        assert "\n# echo SQL statements; refused in production\n#DEBUG=false\n" in text
        assert add_missing(example) == []
        assert example.read_text() == text

    def test_env_refuses_a_setting_without_description(self, newcomer: Path, tmp_path: Path) -> None:
        lines = "from app.core import Environment", "class Settings(Environment):", "    plum_days: int = 14"
        (newcomer / "settings.py").write_text("\n".join(lines))
        with pytest.raises(ConfigError, match=r"^PLUM_DAYS needs a description"):
            add_missing(tmp_path / ".env.example")

    def test_env_example_holds_the_defaults(self, load: Load, tmp_path: Path) -> None:
        default = load()
        add_missing(tmp_path / ".env.example")
        text = (tmp_path / ".env.example").read_text("utf-8")
        (tmp_path / ".env").write_text(re.sub(r"^#(?=[A-Z])", "", text, flags=re.MULTILINE))
        assert load().model_dump(exclude={"secret_key"}) == default.model_dump(exclude={"secret_key"})

    def test_tests_ignore_settings_of_the_shell(self) -> None:
        assert os.environ["ENVIRONMENT"] == "test"
