"""HMAC signatures of request bodies."""

import hashlib
import hmac


def signature(secret: str, body: bytes) -> str:
    """The HMAC-SHA-256 of `body`, in hexadecimal."""
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def signature_matches(secret: str, body: bytes, offered: str) -> bool:
    """Whether `offered` signs `body`, in a time that does not tell how close it came."""
    return hmac.compare_digest(signature(secret, body).encode(), offered.encode())
