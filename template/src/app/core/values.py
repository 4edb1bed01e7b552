"""The kinds of values that settings have, each checked as it is read."""

import re
from ipaddress import ip_network
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, SecretStr
from pydantic_settings import NoDecode


def split_commas(value: Any) -> Any:
    """`"a, b"` → `("a", "b")`; the empty text is nothing at all."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


def validate_postgresql(url: str) -> str:
    """Return `url`; ValueError when it is not PostgreSQL's."""
    if not url.startswith(("postgresql://", "postgres://")):
        raise ValueError("must start with postgresql://")
    if re.search(r"%(?!0[1-9a-f]|[1-9a-f][0-9a-f])", url, re.IGNORECASE):
        raise ValueError("must have a % of a name or password written as %25")
    if "," not in urlsplit(url).netloc:  # urlsplit cannot parse the ports of several hosts
        _ = urlsplit(url).port
    return url.replace("postgres://", "postgresql://", 1)


def validate_redis(url: str) -> str:
    """Return `url`; ValueError when it is not Redis's."""
    if not url.startswith(("redis://", "rediss://", "redis+")) or not urlsplit(url).netloc:
        raise ValueError("must be like redis://host:6379")
    return url


def validate_http(url: str) -> str:
    """Return `url`; ValueError when it is not that of a host that speaks HTTP."""
    if not url.startswith(("https://", "http://")) or not urlsplit(url).hostname:
        raise ValueError("must start with https:// or http:// and name a host")
    return url


def validate_dsn(dsn: SecretStr) -> SecretStr:
    """Return `dsn`; ValueError when it does not name a key, a host and a project of Sentry."""
    if not re.fullmatch(r"https?://[^@/\s]+@[^@/\s]+/(\S+/)?\d+", dsn.get_secret_value()):
        raise ValueError("must be like https://key@host/1")
    return dsn


def validate_networks(values: tuple[str, ...]) -> tuple[str, ...]:
    """Return `values`; ValueError when one is neither an address, nor a network, nor `*`."""
    for value in values:
        if value != "*":
            try:
                ip_network(value)
            except ValueError:
                raise ValueError("must name addresses such as 10.0.0.1 or networks such as 10.0.0.0/8") from None
    return values


def validate_rate(rate: str) -> str:
    """Return `rate`; ValueError when it is none."""
    if not re.fullmatch(r"[1-9]\d*/(second|minute|hour|day)", rate):
        raise ValueError("must be a rate such as 10/minute")
    return rate


DatabaseUrl = Annotated[str, AfterValidator(validate_postgresql)]
RedisUrl = Annotated[str, AfterValidator(validate_redis)]
HttpUrl = Annotated[str, AfterValidator(validate_http)]
Dsn = Annotated[SecretStr, AfterValidator(validate_dsn)]
Words = Annotated[tuple[str, ...], NoDecode, BeforeValidator(split_commas)]
Networks = Annotated[Words, AfterValidator(validate_networks)]
Rate = Annotated[str, AfterValidator(validate_rate)]
