"""Settings, read once from the environment. The service refuses to start with unsafe settings."""

import os
import secrets
import tomllib
from functools import cache
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self

from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from app.core.values import DatabaseUrl, Dsn, HttpUrl, Networks, Pairs, Rate, RedisUrl, Words


class About(NamedTuple):
    """The names of the service in `http/about.toml`."""

    name: str
    """Name of the distribution, the image and the database."""
    title: str
    description: str


ABOUT = About(**tomllib.loads((Path(__file__).parent / "http" / "about.toml").read_text("utf-8")))

API_PREFIX = "/api/v1"
"""Prefix of all routes of core and of the slices, except health checks and documentation."""

MINIMUM_SECRET_BYTES = 32
ADVICE = "Make one with: openssl rand -base64 48"
PLACEHOLDERS = ("change", "placeholder", "example", "secret", "password", "insecure")


class ConfigError(Exception):
    """A setting is missing or invalid; the message says what to set."""


class Environment(BaseSettings):
    """Base class of all settings: those of core, and those of a slice in its `settings.py`."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True)

    environment: Literal["development", "test", "production"] = Field(
        default="development", description="`development`, `test` or `production`"
    )

    @classmethod
    def load(cls) -> Self:
        """Return the settings of this process. Raise ConfigError, with one sentence for each invalid variable.

        Development also reads `.env`; tests and production read only the environment.
        """
        development = os.environ.get("ENVIRONMENT") in {None, "", "development"}
        try:
            settings = cls(_env_file=".env" if development else None)
        except UnicodeDecodeError as error:
            byte = error.object[error.start]
            raise ConfigError(f".env is not UTF-8 (byte 0x{byte:02x}): save it as UTF-8.") from None
        except ValidationError as error:
            raise ConfigError("\n".join(sorted(map(_sentence, error.errors())))) from None
        if development and settings.production:
            raise ConfigError("ENVIRONMENT=production must be set in the environment, not in .env")
        return settings

    @classmethod
    def current(cls) -> Self:
        """Return the settings of this process, which are read once. A slice reads its settings through this method."""
        settings: Self = _current(cls)
        return settings

    @property
    def production(self) -> bool:
        return self.environment == "production"

    @property
    def development(self) -> bool:
        return self.environment == "development"

    def _require_secret(self, name: str) -> None:
        """Raise ValueError when the secret `name` is missing, a placeholder or too short."""
        value: SecretStr = getattr(self, name)
        text = value.get_secret_value()
        variable = name.upper()
        if name not in self.model_fields_set:
            raise ValueError(f"{variable} is required in production. {ADVICE}")
        if any(word in text.lower() for word in PLACEHOLDERS) or len(set(text)) < 10:
            raise ValueError(f"{variable} looks like a placeholder. {ADVICE}")
        if len(text.encode()) < MINIMUM_SECRET_BYTES:
            raise ValueError(f"{variable} must be at least {MINIMUM_SECRET_BYTES} bytes. {ADVICE}")


@cache
def _current[E: Environment](kind: type[E]) -> E:
    return kind.load()


class Settings(Environment):
    """Settings of core. Each field reads the variable of the same name in upper case."""

    debug: bool = Field(default=False, description="echo SQL statements; refused in production")
    host: str = Field(default="127.0.0.1", description="address to listen on; 0.0.0.0 in a container")
    port: int = Field(default=8000, ge=0, le=65535, description="port to listen on")
    database_url: DatabaseUrl | None = Field(
        default=None,
        repr=False,
        description="`postgresql://…`; required in production; elsewhere, the default is the embedded server",
    )
    database_pool_size: int = Field(
        default=20, ge=1, le=1000, description="maximum number of connections of one process"
    )
    database_timeout_seconds: float = Field(
        default=10,
        gt=0,
        le=3600,
        description="time limit for each statement of a request, and for the wait for a connection",
    )
    database_pooler: bool = Field(
        default=False, description="`true` if DATABASE_URL is a PgBouncer in transaction mode"
    )
    secret_key: SecretStr = Field(
        default_factory=lambda: SecretStr(secrets.token_urlsafe(48)),
        description="signs tokens; at least 32 random bytes; required in production, random elsewhere",
    )
    allowed_hosts: Words = Field(
        default=(), description="host names that the service answers to, comma-separated; empty means none"
    )
    allowed_origins: Words = Field(
        default=(), description="origins of browser applications, comma-separated; empty means none"
    )
    trusted_proxies: Networks = Field(
        default=(), description="proxies that may set X-Forwarded-* headers, comma-separated; empty means none"
    )
    root_path: str = Field(
        default="",
        pattern=r"^(/[A-Za-z0-9._~-]+)*$",
        description="prefix that a proxy removes from the path, such as /shop; links start with it",
    )
    jwt_issuer: str | None = Field(
        default=None, description="accept tokens of this identity provider; turns local passwords off"
    )
    jwt_audience: str | None = Field(default=None, description="the audience that tokens must name")
    jwt_scope_claims: Words = Field(
        default=("scope",), description="claims that hold scopes, comma-separated, such as scp, permissions or roles"
    )
    jwt_scope_map: Pairs = Field(
        default=(), description="scopes for values of these claims, such as Shop.Admin=admin; others then give none"
    )
    token_scheme: str = Field(
        default="Bearer",
        pattern=r"^[A-Za-z]+$",
        max_length=20,
        description="scheme of the Authorization header that carries a token, such as Token; Bearer always works too",
    )
    access_token_minutes: int = Field(default=15, ge=1, le=1440, description="lifetime of an access token")
    refresh_token_days: int = Field(
        default=14, ge=1, le=365, description="lifetime of a session and of its refresh tokens"
    )
    login_rate: Rate = Field(default="10/minute", description="log-ins that one address may try for one account")
    login_address_rate: Rate = Field(
        default="100/minute", description="log-ins that one address may try for all accounts together"
    )
    password_min_length: int = Field(
        default=8, ge=8, le=64, description="shortest new password, 8 to 64 characters; 15 is recommended"
    )
    password_forbidden_words: Words = Field(
        default=(), description="words that new passwords must not contain, comma-separated; empty means none"
    )
    refresh_rate: Rate = Field(default="100/minute", description="refreshes of tokens, and log-outs, from one address")
    registration: Literal["open", "invited", "closed"] = Field(
        default="open", description="users who may register: `open` (all), `invited`, or `closed` (none)"
    )
    registration_rate: Rate = Field(default="30/minute", description="registrations from one address")
    verify_email: bool = Field(
        default=False, description="create accounts and change addresses only with an e-mailed token"
    )
    email_rate: Rate = Field(default="5/hour", description="messages with a token to one e-mail address")
    email_address_rate: Rate = Field(
        default="30/hour", description="messages with a token that one client address may ask for"
    )
    redis_url: RedisUrl | None = Field(
        default=None, description="`redis://…` for rate limits shared by all processes; in memory without it"
    )
    max_body_bytes: int = Field(
        default=1_048_576, ge=1024, description="largest form of a page, and largest upload; more is 413"
    )
    max_json_bytes: int = Field(
        default=65_536, ge=1024, description="largest body of an API request, except uploads; more is 413"
    )
    keep_alive_seconds: int = Field(
        default=75,
        ge=1,
        le=3600,
        description="time after which an idle connection is closed; must be longer than that of the proxy",
    )
    drain_seconds: float = Field(
        default=0, ge=0, le=300, description="time between SIGTERM (readiness turns 503) and closing the port"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="`debug`, `info`, `warning` or `error`"
    )
    log_format: Literal["json", "console"] | None = Field(
        default=None, description="`json` or `console`; console in development, json elsewhere"
    )
    otel_exporter_otlp_endpoint: HttpUrl | None = Field(
        default=None, description="URL of the OpenTelemetry collector of traces and metrics; off without it"
    )
    sentry_dsn: Dsn | None = Field(
        default=None, description="DSN of Sentry, which gets unexpected errors; off without it"
    )

    @model_validator(mode="after")
    def _safe_in_production(self) -> Self:
        if not self.production:
            return self
        if self.database_url is None:
            raise ValueError("DATABASE_URL is required in production, for example postgresql://user@host/database")
        self._require_secret("secret_key")
        if "*" in self.allowed_origins:
            raise ValueError("ALLOWED_ORIGINS must name its origins in production, '*' is refused")
        if "*" in self.allowed_hosts:
            raise ValueError("ALLOWED_HOSTS must name its hosts in production, '*' is refused")
        if "*" in self.trusted_proxies:
            raise ValueError("TRUSTED_PROXIES must name its networks in production, '*' is refused")
        if self.debug:
            raise ValueError("DEBUG must be off in production")
        return self

    @model_validator(mode="after")
    def _issuer_is_usable(self) -> Self:
        # Without an audience, a token that the issuer made for another service would be accepted.
        if self.jwt_issuer and not self.jwt_audience:
            raise ValueError("JWT_AUDIENCE is required with JWT_ISSUER: the audience that tokens for this service name")
        if self.jwt_issuer and self.verify_email:
            raise ValueError("VERIFY_EMAIL must be off with JWT_ISSUER: the identity provider verifies addresses")
        schemes = ("https://",) if self.production else ("https://", "http://")
        if self.jwt_issuer and not self.jwt_issuer.startswith(schemes):
            raise ValueError(f"JWT_ISSUER must start with {' or '.join(schemes)}")
        return self

    @property
    def hosts(self) -> frozenset[str]:
        """Accepted host names; outside production also those of this machine and of test clients."""
        local = () if self.production else ("localhost", "127.0.0.1", "[::1]", "test", "testserver")
        return frozenset(host.lower() for host in (*self.allowed_hosts, *local))

    @property
    def logs_json(self) -> bool:
        return (self.log_format or ("console" if self.development else "json")) == "json"

    @property
    def idle_in_transaction_seconds(self) -> float:
        """Maximum pause between two statements of a transaction. No limit (0) in development, for breakpoints."""
        return 0 if self.development else self.database_timeout_seconds


def _sentence(error: Any) -> str:
    if not error["loc"]:
        return str(error["ctx"]["error"])
    return f"{str(error['loc'][0]).upper()} is invalid: {error['msg'].removeprefix('Value error, ')}."
