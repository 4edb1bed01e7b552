import hashlib
import hmac


def signature(secret: str, body: bytes) -> str:
    """Return the HMAC-SHA-256 of `body`, in hexadecimal."""
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def signature_matches(secret: str, body: bytes, offered: str) -> bool:
    """Return whether `offered` is the signature of `body`. Compares in constant time, against timing attacks."""
    return hmac.compare_digest(signature(secret, body).encode(), offered.encode())
