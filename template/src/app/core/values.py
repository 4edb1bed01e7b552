"""Types of settings, with validation."""

import re
from ipaddress import ip_network
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, SecretStr
from pydantic_settings import NoDecode


def split_commas(value: Any) -> Any:
    """Split text at commas: `"a, b"` → `("a", "b")`, `""` → `()`."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


def split_pairs(value: Any) -> Any:
    """Split text at commas, and each part at its last `=`: `"a=b, a=c"` → `(("a", "b"), ("a", "c"))`."""
    if not isinstance(value, str):
        return value
    pairs = tuple((left.strip(), right.strip()) for left, _, right in (p.rpartition("=") for p in split_commas(value)))
    if not all(left and right for left, right in pairs):
        raise ValueError("must be pairs such as Shop.Admin=admin, comma-separated")
    return pairs


def validate_postgresql(url: str) -> str:
    """Return `url`. Raise ValueError unless it is a valid URL of PostgreSQL."""
    if not url.startswith(("postgresql://", "postgres://")):
        raise ValueError("must start with postgresql://")
    if re.search(r"%(?!0[1-9a-f]|[1-9a-f][0-9a-f])", url, re.IGNORECASE):
        raise ValueError("must write a % of a name or password as %25")
    if "," not in urlsplit(url).netloc:  # urlsplit cannot parse the ports of several hosts
        _ = urlsplit(url).port
    return url.replace("postgres://", "postgresql://", 1)


def validate_redis(url: str) -> str:
    """Return `url`. Raise ValueError unless it is a URL of Redis."""
    if not url.startswith(("redis://", "rediss://", "redis+")) or not urlsplit(url).netloc:
        raise ValueError("must be like redis://host:6379")
    return url


def validate_http(url: str) -> str:
    """Return `url`. Raise ValueError unless it is an HTTP URL with a host."""
    if not url.startswith(("https://", "http://")) or not urlsplit(url).hostname:
        raise ValueError("must start with https:// or http:// and name a host")
    return url


def validate_dsn(dsn: SecretStr) -> SecretStr:
    """Return `dsn`. Raise ValueError unless it has a key, a host and a project number of Sentry."""
    if not re.fullmatch(r"https?://[^@/\s]+@[^@/\s]+/(\S+/)?\d+", dsn.get_secret_value()):
        raise ValueError("must be like https://key@host/1")
    return dsn


def validate_networks(values: tuple[str, ...]) -> tuple[str, ...]:
    """Return `values`. Raise ValueError unless each value is an address, a network or `*`."""
    for value in values:
        if value != "*":
            try:
                ip_network(value)
            except ValueError:
                raise ValueError("must name addresses such as 10.0.0.1 or networks such as 10.0.0.0/8") from None
    return values


def validate_rate(rate: str) -> str:
    """Return `rate`. Raise ValueError unless it is a rate such as `10/minute`."""
    if not re.fullmatch(r"[1-9]\d*/(second|minute|hour|day)", rate):
        raise ValueError("must be a rate such as 10/minute")
    return rate


def validate_webhook_secrets(secrets: SecretStr) -> SecretStr:
    """Return `secrets`. Raise ValueError unless each is a key of Standard Webhooks: 24 to 64 bytes in base64."""
    for secret in split_commas(secrets.get_secret_value()):
        key = secret.removeprefix("whsec_").rstrip("=")
        if not re.fullmatch(r"[A-Za-z0-9+/]{32,86}", key) or len(key) % 4 == 1:
            raise ValueError("must be keys of 24 to 64 bytes in base64, separated by commas")
    return secrets


DatabaseUrl = Annotated[str, AfterValidator(validate_postgresql)]
RedisUrl = Annotated[str, AfterValidator(validate_redis)]
HttpUrl = Annotated[str, AfterValidator(validate_http)]
Dsn = Annotated[SecretStr, AfterValidator(validate_dsn)]
Words = Annotated[tuple[str, ...], NoDecode, BeforeValidator(split_commas)]
Pairs = Annotated[tuple[tuple[str, str], ...], NoDecode, BeforeValidator(split_pairs)]
Networks = Annotated[Words, AfterValidator(validate_networks)]
Rate = Annotated[str, AfterValidator(validate_rate)]
WebhookSecrets = Annotated[SecretStr, AfterValidator(validate_webhook_secrets)]
"""One key of Standard Webhooks, or several during a rotation, separated by commas."""
