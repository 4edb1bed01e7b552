"""Requests to other services."""

from dataclasses import dataclass, field


@dataclass
class OutgoingCall:
    """Headers to send with a request to another service, and the status of the response."""

    headers: dict[str, str] = field(default_factory=dict)
    status: int | None = None
