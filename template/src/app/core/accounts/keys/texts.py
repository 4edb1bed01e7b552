"""The text of API keys: `apikey_`, 64 random hexadecimal digits, and a checksum of 8."""

import re
import secrets
import zlib

KEY_PREFIX = "apikey_"
"""Distinguishes keys from access tokens, which are JWTs and start with `eyJ`.

Secret scanners search for `apikey_[0-9a-f]{72}`, and compute the checksum.
"""


def new_key() -> str:
    """Return a key with 256 random bits."""
    random = secrets.token_hex(32)
    return f"{KEY_PREFIX}{random}{_checksum(random)}"


def is_intact(key: str) -> bool:
    """Return whether the checksum fits: a mistyped or invented key needs no query."""
    found = re.fullmatch(KEY_PREFIX + r"([0-9a-f]{64})([0-9a-f]{8})", key)
    return found is not None and found[2] == _checksum(found[1])


def _checksum(random: str) -> str:
    return f"{zlib.crc32(random.encode()):08x}"
